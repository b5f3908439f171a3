// Files of the host: descriptors that close themselves, mapped files, whole-file reads and copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace kiln::tool {

class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_{fd} {}
    UniqueFd(UniqueFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) {
            reset(std::exchange(other.fd_, -1));
        }
        return *this;
    }
    ~UniqueFd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void reset(int fd = -1);

private:
    int fd_ = -1;
};

// A file's bytes, mapped read-only. An empty file gives an empty span.
class MappedFile {
public:
    // Throws Error (125) where the file cannot be opened or is not a regular file.
    static MappedFile open(const std::filesystem::path& path);
    // The same, but gives nothing where it cannot be opened or mapped.
    static std::optional<MappedFile> try_open(const std::filesystem::path& path);

    MappedFile(MappedFile&& other) noexcept : bytes_{std::exchange(other.bytes_, {})} {}
    MappedFile& operator=(MappedFile&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~MappedFile();

    std::span<const std::byte> bytes() const { return bytes_; }
    std::string_view text() const {
        return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
    }

private:
    explicit MappedFile(std::span<const std::byte> bytes) : bytes_{bytes} {}
    std::span<const std::byte> bytes_;
};

// The whole file, or nothing where it cannot be read.
std::optional<std::string> read_text(const std::filesystem::path& path);

// Writes all bytes; throws Error naming `what`.
void write_all(int fd, std::string_view bytes, std::string_view what);

// Appends `size` bytes of `from`, from its start, to `to` at its current position: by sharing
// blocks where the file system can, else inside the kernel. Throws Error naming `what`.
void append_file(int to, int from, std::uint64_t size, std::string_view what);

// The message of an errno value.
std::string errno_text(int error);

// A folder removed with all it holds when the object goes.
class TemporaryDirectory {
public:
    // A fresh folder `prefix`XXXXXX in `parent`. It stays locked (flock) as long as the object
    // lives, so that another process can tell a living folder from one that a killed process left.
    TemporaryDirectory(const std::filesystem::path& parent, const std::string& prefix);
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory();

    const std::filesystem::path& path() const { return path_; }

    // Removes folders of that prefix in `parent` whose process is gone.
    static void remove_abandoned(const std::filesystem::path& parent, const std::string& prefix);

private:
    std::filesystem::path path_;
    UniqueFd lock_;
};

}  // namespace kiln::tool
