// Names: directories, links, renaming, mounts.
#include <cstring>

#include <kiln/abi/linux/dirent.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/file_system.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

/// getdents64(2) records gathered in kernel memory: directories call with locks held under which the
/// application's memory must not be touched.
class RecordSink final : public vfs::DirectorySink {
public:
    enum class Format { kOld, k64 };
    RecordSink(std::span<std::byte> out, Format format) : out_(out), format_(format) {}

    bool add(std::string_view name, u64 number, u32 mode_type, u64 next_offset) override {
        // Both have inode, offset, record length; struct linux_dirent keeps the type in its last byte.
        constexpr std::size_t kOldNameOffset = 18;
        const bool is_64 = format_ == Format::k64;
        const std::size_t name_offset = is_64 ? kDirent64NameOffset : kOldNameOffset;
        const std::size_t length = align_up(name_offset + name.size() + (is_64 ? 1 : 2), 8);
        if (length > out_.size() - used_) {
            overflowed_ = true;
            return false;
        }
        std::byte* record = out_.data() + used_;
        std::memset(record, 0, length);
        const auto offset = static_cast<i64>(next_offset);
        const auto record_length = static_cast<std::uint16_t>(length);
        const std::uint8_t type = dirent_type(mode_type);
        std::memcpy(record, &number, sizeof(number));
        std::memcpy(record + 8, &offset, sizeof(offset));
        std::memcpy(record + 16, &record_length, sizeof(record_length));
        std::memcpy(record + name_offset, name.data(), name.size());
        std::memcpy(is_64 ? record + 18 : record + length - 1, &type, sizeof(type));
        used_ += length;
        return true;
    }
    std::size_t used() const { return used_; }
    bool overflowed() const { return overflowed_; }

private:
    std::span<std::byte> out_;
    Format format_;
    std::size_t used_ = 0;
    bool overflowed_ = false;
};

Status read_entries(int fd, UserPtr<void> buffer, u32 size, RecordSink::Format format) {
    constexpr std::size_t kMost = 64_KiB;
    auto file = TRY(io_file_at(fd));
    if (!hal::is_user_range(buffer.address(), size)) return Errno::kEFAULT;
    const std::size_t room = size < kMost ? size : kMost;
    auto* memory = static_cast<std::byte*>(mem::allocate(room ? room : 1));
    if (!memory) return Errno::kENOMEM;
    Status result = [&]() -> Status {
        RecordSink sink({memory, room}, format);
        TRY(file->read_directory(sink));
        // getdents(2), EINVAL: the buffer is too small for one entry.
        if (sink.used() == 0 && sink.overflowed()) return Errno::kEINVAL;
        TRY(buffer.copy_out(memory, sink.used()));
        return static_cast<i64>(sink.used());
    }();
    mem::release(memory);
    return result;
}

/// A directory to go to: X permission on it.
Result<vfs::Path> enterable(const UserPath& name) {
    vfs::Path path = TRY(name.lookup(vfs::kLookupFollow | vfs::kLookupDirectory));
    constexpr u32 kExecute = 1;
    TRY(vfs::check_access(path, kExecute, name.context().credentials));
    return path;
}

Status make_node_at(int dirfd, UserString path, u32 mode, u32 device) {
    UserPath name;
    TRY(name.load(dirfd, path));
    const u32 type = mode & vfs::kModeTypeMask;
    switch (type) {
        case 0:
        case vfs::kModeRegular:
        case vfs::kModeFifo:
        case vfs::kModeSocket: device = 0; break;
        case vfs::kModeCharacter:
        case vfs::kModeBlock: break;
        case vfs::kModeDirectory: return Errno::kEPERM;
        default: return Errno::kEINVAL;
    }
    TRY(vfs::make_node(name.context(), name.name(), type == 0 ? mode | vfs::kModeRegular : mode,
                       device));
    return 0;
}

Status rename_at(int old_dirfd, UserString old_path, int new_dirfd, UserString new_path,
                 u32 flags) {
    // renameat2(2).
    if (flags & ~(kRENAME_NOREPLACE | kRENAME_EXCHANGE | kRENAME_WHITEOUT)) return Errno::kEINVAL;
    if ((flags & kRENAME_EXCHANGE) && (flags & (kRENAME_NOREPLACE | kRENAME_WHITEOUT)))
        return Errno::kEINVAL;
    if (flags & kRENAME_WHITEOUT) {
        posix::report_unsupported("renameat2 RENAME_WHITEOUT", flags);
        return Errno::kEINVAL;
    }
    UserPath from, to;
    TRY(from.load(old_dirfd, old_path));
    TRY(to.load(new_dirfd, new_path));
    TRY(vfs::rename(from.context(), from.name(), to.context(), to.name(), flags));
    return 0;
}

Status link_at(int old_dirfd, UserString old_path, int new_dirfd, UserString new_path, u32 flags) {
    if (flags & ~(kAT_SYMLINK_FOLLOW | kAT_EMPTY_PATH)) return Errno::kEINVAL;
    UserPath from, to;
    TRY(from.load(old_dirfd, old_path));
    TRY(to.load(new_dirfd, new_path));
    const u32 look_up = (flags & kAT_SYMLINK_FOLLOW ? u32{vfs::kLookupFollow} : 0) |
                        (flags & kAT_EMPTY_PATH ? u32{vfs::kLookupEmptyPath} : 0);
    TRY(vfs::make_link(from.context(), from.name(), to.context(), to.name(), look_up));
    return 0;
}

Status symlink_at(UserString target, int dirfd, UserString path) {
    UserText text;
    TRY(text.load(target));
    if (text.view().empty()) return Errno::kENOENT;
    UserPath name;
    TRY(name.load(dirfd, path));
    TRY(vfs::make_symlink(name.context(), text.view(), name.name()));
    return 0;
}

Status mkdir_at(int dirfd, UserString path, u32 mode) {
    UserPath name;
    TRY(name.load(dirfd, path));
    TRY(vfs::make_directory(name.context(), name.name(), mode & 01777));
    return 0;
}

}  // namespace

Status sys_getdents(int fd, UserPtr<void> buffer, u32 size) {
    return read_entries(fd, buffer, size, RecordSink::Format::kOld);
}
Status sys_getdents64(int fd, UserPtr<void> buffer, u32 size) {
    return read_entries(fd, buffer, size, RecordSink::Format::k64);
}

Status sys_getcwd(UserPtr<char> buffer, u64 size) {
    const vfs::Path cwd = this_process().cwd();
    if (cwd.dentry() && cwd.dentry()->is_unlinked()) return Errno::kENOENT;
    auto* text = static_cast<char*>(mem::allocate(vfs::kPathMax));
    if (!text) return Errno::kENOMEM;
    Status result = [&]() -> Status {
        const std::size_t length = TRY(cwd.format({text, vfs::kPathMax}, this_process().root()));
        if (length + 1 > size) return Errno::kERANGE;
        TRY(buffer.copy_out(text, length + 1));
        return static_cast<i64>(length + 1);
    }();
    mem::release(text);
    return result;
}

Status sys_chdir(UserString path) {
    UserPath name;
    TRY(name.load(kAT_FDCWD, path));
    this_process().set_cwd(TRY(enterable(name)));
    return 0;
}

Status sys_fchdir(int fd) {
    auto file = TRY(file_at(fd));
    const vfs::Inode* inode = file->inode();
    if (!inode || !inode->is_directory()) return Errno::kENOTDIR;
    constexpr u32 kExecute = 1;
    TRY(vfs::check_access(file->path(), kExecute, this_process().lookup_context().credentials));
    this_process().set_cwd(file->path());
    return 0;
}

Status sys_chroot(UserString path) {
    UserPath name;
    TRY(name.load(kAT_FDCWD, path));
    vfs::Path root = TRY(enterable(name));
    if (!this_process().credentials().has(posix::kCapSysChroot)) return Errno::kEPERM;
    this_process().set_root(std::move(root));
    return 0;
}

Status sys_mkdir(UserString path, u32 mode) { return mkdir_at(kAT_FDCWD, path, mode); }
Status sys_mkdirat(int dirfd, UserString path, u32 mode) { return mkdir_at(dirfd, path, mode); }
Status sys_mknod(UserString path, u32 mode, u32 device) {
    return make_node_at(kAT_FDCWD, path, mode, device);
}
Status sys_mknodat(int dirfd, UserString path, u32 mode, u32 device) {
    return make_node_at(dirfd, path, mode, device);
}

Status sys_unlinkat(int dirfd, UserString path, u32 flags) {
    if (flags & ~kAT_REMOVEDIR) return Errno::kEINVAL;
    UserPath name;
    TRY(name.load(dirfd, path));
    if (flags & kAT_REMOVEDIR) {
        TRY(vfs::remove_directory(name.context(), name.name()));
    } else {
        TRY(vfs::unlink(name.context(), name.name()));
    }
    return 0;
}
Status sys_rmdir(UserString path) { return sys_unlinkat(kAT_FDCWD, path, kAT_REMOVEDIR); }
Status sys_unlink(UserString path) { return sys_unlinkat(kAT_FDCWD, path, 0); }

Status sys_rename(UserString old_path, UserString new_path) {
    return rename_at(kAT_FDCWD, old_path, kAT_FDCWD, new_path, 0);
}
Status sys_renameat(int old_dirfd, UserString old_path, int new_dirfd, UserString new_path) {
    return rename_at(old_dirfd, old_path, new_dirfd, new_path, 0);
}
Status sys_renameat2(int old_dirfd, UserString old_path, int new_dirfd, UserString new_path,
                     u32 flags) {
    return rename_at(old_dirfd, old_path, new_dirfd, new_path, flags);
}
Status sys_link(UserString old_path, UserString new_path) {
    return link_at(kAT_FDCWD, old_path, kAT_FDCWD, new_path, 0);
}
Status sys_linkat(int old_dirfd, UserString old_path, int new_dirfd, UserString new_path,
                  u32 flags) {
    return link_at(old_dirfd, old_path, new_dirfd, new_path, flags);
}
Status sys_symlink(UserString target, UserString path) {
    return symlink_at(target, kAT_FDCWD, path);
}
Status sys_symlinkat(UserString target, int dirfd, UserString path) {
    return symlink_at(target, dirfd, path);
}

Status sys_mount(UserString source, UserString target, UserString type, u64 flags,
                 UserPtr<void> data) {
    constexpr u32 kTypeMax = 64;
    constexpr u64 kSupported =
        kMS_RDONLY | kMS_NOSUID | kMS_NODEV | kMS_NOEXEC | kMS_NOATIME | kMS_RELATIME;
    constexpr u64 kSilent = 1u << 15;  // MS_SILENT
    constexpr u64 kMagicMask = 0xffff0000,
                  kMagic = 0xC0ED0000;  // mount(2): needed before Linux 2.4
    if ((flags & kMagicMask) == kMagic) flags &= ~kMagicMask;
    UserText type_name, source_name, options;
    if (type) TRY(type_name.load(type, kTypeMax, Errno::kEINVAL));
    if (source) TRY(source_name.load(source));
    if (data.address()) TRY(options.load(data.cast<const char>(), kPageSize, Errno::kEINVAL));
    UserPath name;
    TRY(name.load(kAT_FDCWD, target));
    const vfs::Path where = TRY(name.lookup(vfs::kLookupFollow));
    if (!this_process().credentials().has(posix::kCapSysAdmin)) return Errno::kEPERM;
    if (flags & ~(kSupported | kSilent)) {
        posix::report_unsupported("mount flags", flags);
        return Errno::kEINVAL;
    }
    const vfs::FileSystemType* fs_type = TRY(vfs::find_file_system_type(type_name.view()));
    vfs::MountSource from{};
    from.device = source_name.view();
    from.options = options.view();
    auto fs = TRY(fs_type->create(from));
    TRY(vfs::mount(where, std::move(fs), source_name.view(), static_cast<u32>(flags & kSupported)));
    return 0;
}

Status sys_umount2(UserString target, u32 flags) {
    if (flags & ~(kMNT_FORCE | kMNT_DETACH | kMNT_EXPIRE | kUMOUNT_NOFOLLOW)) return Errno::kEINVAL;
    if (!this_process().credentials().has(posix::kCapSysAdmin)) return Errno::kEPERM;
    UserPath name;
    TRY(name.load(kAT_FDCWD, target));
    const vfs::Path where =
        TRY(name.lookup(flags & kUMOUNT_NOFOLLOW ? 0 : u32{vfs::kLookupFollow}));
    TRY(vfs::unmount(where, flags));
    return 0;
}

}  // namespace kiln::syscalls
