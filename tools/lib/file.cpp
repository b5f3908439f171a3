#include "lib/file.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.hpp"

namespace kiln::tool {

void UniqueFd::reset(int fd) {
    if (fd_ >= 0) {
        ::close(fd_);
    }
    fd_ = fd;
}

std::string errno_text(int error) {
    return ::strerrordesc_np(error) != nullptr ? ::strerrordesc_np(error)
                                               : fmt::format("error {}", error);
}

std::optional<MappedFile> MappedFile::try_open(const std::filesystem::path& path) {
    // O_NONBLOCK: a FIFO of that name must not hang the tool.
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return std::nullopt;
    }
    if (!S_ISREG(status.st_mode)) {
        errno = EINVAL;
        return std::nullopt;
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0) {
        return MappedFile{std::span<const std::byte>{}};
    }
    void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (address == MAP_FAILED) {
        return std::nullopt;
    }
    return MappedFile{{static_cast<const std::byte*>(address), size}};
}

MappedFile MappedFile::open(const std::filesystem::path& path) {
    auto file = try_open(path);
    if (!file) {
        fail("cannot read {}: {}", path.string(), errno_text(errno));
    }
    return std::move(*file);
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) {
        ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
}

std::optional<std::string> read_text(const std::filesystem::path& path) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) {
        return std::nullopt;
    }
    std::string text;
    char buffer[64 * 1024];
    for (;;) {
        const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return std::nullopt;
        }
        if (got == 0) {
            return text;
        }
        text.append(buffer, static_cast<std::size_t>(got));
    }
}

void write_all(int fd, std::string_view bytes, std::string_view what) {
    while (!bytes.empty()) {
        const ssize_t done = ::write(fd, bytes.data(), bytes.size());
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail("cannot write {}: {}", what, errno_text(errno));
        }
        bytes.remove_prefix(static_cast<std::size_t>(done));
    }
}

void append_file(int to, int from, std::uint64_t size, std::string_view what) {
    const off_t start = ::lseek(to, 0, SEEK_CUR);
    if (start >= 0 && size > 0) {
        file_clone_range range{};
        range.src_fd = from;
        range.dest_offset = static_cast<std::uint64_t>(start);
        if (::ioctl(to, FICLONERANGE, &range) == 0) {
            ::lseek(to, start + static_cast<off_t>(size), SEEK_SET);
            return;
        }
    }
    loff_t from_offset = 0;
    std::uint64_t left = size;
    while (left > 0) {
        ssize_t done = ::copy_file_range(from, &from_offset, to, nullptr, left, 0);
        if (done < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                         errno == EOPNOTSUPP || errno == EBADF)) {
            off_t offset = from_offset;
            done = ::sendfile(to, from, &offset, left);
            from_offset = offset;
        }
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            fail("cannot write {}: {}", what, errno_text(errno));
        }
        if (done == 0) {
            fail("cannot write {}: its source became shorter meanwhile", what);
        }
        left -= static_cast<std::uint64_t>(done);
    }
}

TemporaryDirectory::TemporaryDirectory(const std::filesystem::path& parent,
                                       const std::string& prefix) {
    std::string name = (parent / (prefix + "XXXXXX")).string();
    if (::mkdtemp(name.data()) == nullptr) {
        fail("cannot make a folder in {}: {}", parent.string(), errno_text(errno));
    }
    path_ = name;
    lock_.reset(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock_) {
        ::flock(lock_.get(), LOCK_EX | LOCK_NB);
    }
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void TemporaryDirectory::remove_abandoned(const std::filesystem::path& parent,
                                          const std::string& prefix) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator{parent, error}) {
        if (!entry.path().filename().string().starts_with(prefix)) {
            continue;
        }
        const UniqueFd fd{::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        struct stat status {};
        // A folder just made and not yet locked is spared by its age.
        if (fd && ::fstat(fd.get(), &status) == 0 && ::time(nullptr) - status.st_mtime > 60 &&
            ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
            std::error_code ignored;
            std::filesystem::remove_all(entry.path(), ignored);
        }
    }
}

}  // namespace kiln::tool
