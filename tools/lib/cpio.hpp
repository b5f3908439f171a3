// Writes cpio archives in the "newc" format (Linux
// Documentation/driver-api/early-userspace/buffer-format.rst).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace kiln::tool {

class CpioWriter {
public:
    // `is_there` says whether the root below already has a folder, so that its mode is left alone.
    explicit CpioWriter(std::function<bool(const std::string&)> is_there)
        : is_there_{std::move(is_there)} {}

    // Paths are absolute and canonical in the guest; missing parent folders are added. The owner is
    // root.
    void add_directory(const std::string& path, std::uint32_t mode);
    void add_file(const std::string& path, std::uint32_t mode, std::uint32_t mtime,
                  std::string_view bytes);
    void add_symlink(const std::string& path, std::string_view target);

    // A host file, or a folder with all it holds, as `path`. Where `writable` is false the write
    // bits are taken away. Throws Error for what cannot be read or has no place in an archive
    // (devices, sockets).
    enum class Access : std::uint8_t { kAsOnHost, kReadOnly };
    void add_host(const std::filesystem::path& source, const std::string& path, Access access);

    bool empty() const { return entries_ == 0; }
    // The archive, with its trailer.
    std::string finish();

private:
    void add(const std::string& path, std::uint32_t mode, std::uint32_t mtime,
             std::string_view bytes);
    void add_parents(const std::string& path);

    std::function<bool(const std::string&)> is_there_;
    std::string out_;
    std::set<std::string> folders_;
    std::uint32_t entries_ = 0;
};

}  // namespace kiln::tool
