#include "lib/cpio.hpp"

#include <cerrno>
#include <vector>

#include <sys/stat.h>

#include <kiln/abi/formats/initrd.hpp>

#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/root_view.hpp"

namespace kiln::tool {

void CpioWriter::add(const std::string& path, std::uint32_t mode, std::uint32_t mtime,
                     std::string_view bytes) {
    if (bytes.size() > 0xffffffffu) {
        fail("{}: files of 4 GiB and more cannot be put into the image with -v", path);
    }
    const std::string name = path.substr(path.starts_with('/') ? 1 : 0);
    // magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize
    // check
    out_ += fmt::format(
        "{}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
        abi::kCpioMagic, ++entries_, mode, 0, 0, 1, mtime, bytes.size(), 0, 0, 0, 0,
        name.size() + 1, 0);
    const auto pad = [this] { out_.resize((out_.size() + 3) & ~std::size_t{3}, '\0'); };
    out_.append(name.c_str(), name.size() + 1);
    pad();
    out_ += bytes;
    pad();
}

void CpioWriter::add_parents(const std::string& path) {
    const std::string parent = parent_of(path);
    if (parent != "/" && !is_there_(parent)) {
        add_directory(parent, 0755);
    }
}

void CpioWriter::add_directory(const std::string& path, std::uint32_t mode) {
    if (path == "/" || folders_.contains(path)) {
        return;
    }
    add_parents(path);
    folders_.insert(path);
    add(path, S_IFDIR | mode, 0, {});
}

void CpioWriter::add_file(const std::string& path, std::uint32_t mode, std::uint32_t mtime,
                          std::string_view bytes) {
    add_parents(path);
    add(path, S_IFREG | mode, mtime, bytes);
}

void CpioWriter::add_symlink(const std::string& path, std::string_view target) {
    add_parents(path);
    add(path, S_IFLNK | 0777, 0, target);
}

void CpioWriter::add_host(const std::filesystem::path& source, const std::string& path,
                          Access access) {
    struct stat status {};
    if (::lstat(source.c_str(), &status) != 0) {
        fail("cannot read {}: {}", source.string(), errno_text(errno));
    }
    std::uint32_t mode = status.st_mode & 07777;
    if (access == Access::kReadOnly) {
        mode &= ~0222u;
    }
    if (S_ISDIR(status.st_mode)) {
        add_directory(path, mode);
        std::error_code error;
        std::set<std::filesystem::path> children;  // sorted: the same folder gives the same archive
        for (const auto& entry : std::filesystem::directory_iterator{source, error}) {
            children.insert(entry.path());
        }
        if (error) {
            fail("cannot read {}: {}", source.string(), error.message());
        }
        for (const auto& child : children) {
            add_host(child, (path == "/" ? "" : path) + "/" + child.filename().string(), access);
        }
    } else if (S_ISLNK(status.st_mode)) {
        add_symlink(path, std::filesystem::read_symlink(source).string());
    } else if (S_ISREG(status.st_mode)) {
        const auto file = MappedFile::open(source);
        add_file(path, mode, static_cast<std::uint32_t>(status.st_mtim.tv_sec), file.text());
    } else {
        fail("{}: a device, socket or pipe cannot be put into the image", source.string());
    }
}

std::string CpioWriter::finish() {
    add("TRAILER!!!", 0, 0, {});
    return std::move(out_);
}

}  // namespace kiln::tool
