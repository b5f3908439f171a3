// stat(2) and its kin, access(2), readlink(2), statfs(2).
#include <kiln/mem/heap.hpp>
#include <kiln/vfs/file_system.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

Stat to_stat(const vfs::Attributes& a) {
    Stat s{};
    s.st_dev = a.device;
    s.st_ino = a.inode_number;
    s.st_nlink = a.links;
    s.st_mode = a.mode;
    s.st_uid = a.uid;
    s.st_gid = a.gid;
    s.st_rdev = a.rdev;
    s.st_size = static_cast<i64>(a.size);
    s.st_blksize = static_cast<decltype(s.st_blksize)>(a.block_size);
    s.st_blocks = static_cast<i64>(a.blocks);
    s.st_atime_sec = static_cast<decltype(s.st_atime_sec)>(a.atime.seconds);
    s.st_atime_nsec = a.atime.nanoseconds;
    s.st_mtime_sec = static_cast<decltype(s.st_mtime_sec)>(a.mtime.seconds);
    s.st_mtime_nsec = a.mtime.nanoseconds;
    s.st_ctime_sec = static_cast<decltype(s.st_ctime_sec)>(a.ctime.seconds);
    s.st_ctime_nsec = a.ctime.nanoseconds;
    return s;
}

StatxTimestamp to_statx_time(const vfs::Timestamp& t) { return {t.seconds, t.nanoseconds, 0}; }

Statx to_statx(const vfs::Attributes& a) {
    Statx s{};
    // Linux's basic file systems fill all of this whatever is asked for.
    s.stx_mask = kSTATX_BASIC_STATS | kSTATX_BTIME;
    s.stx_blksize = a.block_size;
    s.stx_nlink = a.links;
    s.stx_uid = a.uid;
    s.stx_gid = a.gid;
    s.stx_mode = static_cast<std::uint16_t>(a.mode);
    s.stx_ino = a.inode_number;
    s.stx_size = a.size;
    s.stx_blocks = a.blocks;
    s.stx_atime = to_statx_time(a.atime);
    s.stx_btime = to_statx_time(a.btime);
    s.stx_ctime = to_statx_time(a.ctime);
    s.stx_mtime = to_statx_time(a.mtime);
    s.stx_rdev_major = device_major(a.rdev);
    s.stx_rdev_minor = device_minor(a.rdev);
    s.stx_dev_major = device_major(a.device);
    s.stx_dev_minor = device_minor(a.device);
    return s;
}

/// The attributes of what (dirfd, path, flags) name. AT_EMPTY_PATH with an empty path: of the
/// descriptor itself, which may have no name at all.
Result<vfs::Attributes> attributes_at(int dirfd, UserString path, u32 flags) {
    if (flags & kAT_EMPTY_PATH) {
        const char first = TRY(path.read());
        if (first == '\0' && dirfd != kAT_FDCWD) return TRY(file_at(dirfd))
        ->attributes();
    }
    UserPath name;
    TRY(name.load(dirfd, path));
    return vfs::attributes(TRY(name.lookup(lookup_flags(flags))));
}

Status stat_at(int dirfd, UserString path, UserPtr<Stat> out, u32 flags) {
    TRY(out.write(to_stat(TRY(attributes_at(dirfd, path, flags)))));
    return 0;
}

Statfs to_statfs(vfs::FileSystem& fs) {
    const vfs::FileSystemInfo info = fs.info();
    Statfs s{};
    s.f_type = static_cast<i64>(info.magic);
    s.f_bsize = static_cast<i64>(info.block_size);
    s.f_frsize = s.f_bsize;
    s.f_blocks = info.blocks;
    s.f_bfree = s.f_bavail = info.blocks_free;
    s.f_files = info.files;
    s.f_ffree = info.files_free;
    s.f_fsid[0] = static_cast<i32>(fs.device_number());
    s.f_fsid[1] = static_cast<i32>(fs.device_number() >> 32);
    s.f_namelen = static_cast<i64>(info.name_max);
    constexpr i64 kStRdonly = 0x1, kStValid = 0x20;
    s.f_flags = kStValid | (fs.is_read_only() ? kStRdonly : 0);
    return s;
}

Status access_at(int dirfd, UserString path, u32 mode, u32 flags) {
    if (mode & ~7u) return Errno::kEINVAL;
    if (flags & ~(kAT_EACCESS | kAT_SYMLINK_NOFOLLOW | kAT_EMPTY_PATH)) return Errno::kEINVAL;
    UserPath name;
    TRY(name.load(dirfd, path));
    vfs::Credentials credentials = name.context().credentials;
    if ((flags & kAT_EACCESS) == 0) {
        // access(2): with the real ids; root keeps its capabilities, others have none.
        const posix::Credentials own = this_process().credentials();
        credentials.uid = own.user.real;
        credentials.gid = own.group.real;
        credentials.override_dac =
            own.user.real == 0 && (own.permitted >> posix::kCapDacOverride & 1) != 0;
        name.context().credentials = credentials;
    }
    const vfs::Path found = TRY(name.lookup(lookup_flags(flags)));
    TRY(vfs::check_access(found, mode, credentials));
    return 0;
}

Status readlink_at(int dirfd, UserString path, UserPtr<char> buffer, int size) {
    if (size <= 0) return Errno::kEINVAL;
    UserPath name;
    TRY(name.load(dirfd, path));
    const vfs::Path found = TRY(name.lookup(vfs::kLookupEmptyPath));
    if (!found.inode()->is_symlink()) return name.name().empty() ? Errno::kENOENT : Errno::kEINVAL;
    const std::size_t room = static_cast<std::size_t>(size) < vfs::kPathMax
                                 ? static_cast<std::size_t>(size)
                                 : vfs::kPathMax;
    auto* text = static_cast<char*>(mem::allocate(room));
    if (!text) return Errno::kENOMEM;
    Status result = [&]() -> Status {
        const std::size_t n = TRY(found.inode()->read_link({text, room}));
        TRY(buffer.copy_out(text, n));
        return static_cast<i64>(n);
    }();
    mem::release(text);
    return result;
}

}  // namespace

Status sys_stat(UserString path, UserPtr<Stat> out) { return stat_at(kAT_FDCWD, path, out, 0); }
Status sys_lstat(UserString path, UserPtr<Stat> out) {
    return stat_at(kAT_FDCWD, path, out, kAT_SYMLINK_NOFOLLOW);
}
Status sys_fstat(int fd, UserPtr<Stat> out) {
    TRY(out.write(to_stat(TRY(TRY(file_at(fd))->attributes()))));
    return 0;
}
Status sys_newfstatat(int dirfd, UserString path, UserPtr<Stat> out, u32 flags) {
    if (flags & ~(kAT_SYMLINK_NOFOLLOW | kAT_NO_AUTOMOUNT | kAT_EMPTY_PATH | kAT_STATX_SYNC_TYPE))
        return Errno::kEINVAL;
    return stat_at(dirfd, path, out, flags);
}

Status sys_statx(int dirfd, UserString path, u32 flags, u32 mask, UserPtr<Statx> out) {
    if (mask & kSTATX_RESERVED) return Errno::kEINVAL;
    if (flags & ~(kAT_SYMLINK_NOFOLLOW | kAT_NO_AUTOMOUNT | kAT_EMPTY_PATH | kAT_STATX_SYNC_TYPE))
        return Errno::kEINVAL;
    if ((flags & kAT_STATX_SYNC_TYPE) == kAT_STATX_SYNC_TYPE) return Errno::kEINVAL;
    TRY(out.write(to_statx(TRY(attributes_at(dirfd, path, flags)))));
    return 0;
}

Status sys_statfs(UserString path, UserPtr<Statfs> out) {
    UserPath name;
    TRY(name.load(kAT_FDCWD, path));
    const vfs::Path found = TRY(name.lookup(vfs::kLookupFollow));
    TRY(out.write(to_statfs(found.inode()->file_system())));
    return 0;
}

Status sys_fstatfs(int fd, UserPtr<Statfs> out) {
    auto file = TRY(file_at(fd));
    if (vfs::Inode* inode = file->inode()) {
        TRY(out.write(to_statfs(inode->file_system())));
        return 0;
    }
    // Files without an inode of ours live in Linux's anon_inodefs (or pipefs).
    constexpr i64 kAnonInodeFsMagic = 0x09041934;
    Statfs s{};
    s.f_type = kAnonInodeFsMagic;
    s.f_bsize = s.f_frsize = kPageSize;
    s.f_namelen = vfs::kNameMax;
    TRY(out.write(s));
    return 0;
}

Status sys_access(UserString path, u32 mode) { return access_at(kAT_FDCWD, path, mode, 0); }
Status sys_faccessat(int dirfd, UserString path, u32 mode) {
    return access_at(dirfd, path, mode, 0);
}
Status sys_faccessat2(int dirfd, UserString path, u32 mode, u32 flags) {
    return access_at(dirfd, path, mode, flags);
}

Status sys_readlink(UserString path, UserPtr<char> buffer, int size) {
    return readlink_at(kAT_FDCWD, path, buffer, size);
}
Status sys_readlinkat(int dirfd, UserString path, UserPtr<char> buffer, int size) {
    return readlink_at(dirfd, path, buffer, size);
}

Status sys_name_to_handle_at(int dirfd, UserString path, UserPtr<void>, UserPtr<i32>, u32 flags) {
    if (flags & ~(kAT_SYMLINK_FOLLOW | kAT_EMPTY_PATH)) return Errno::kEINVAL;
    UserPath name;
    TRY(name.load(dirfd, path));
    const u32 follow = flags & kAT_SYMLINK_FOLLOW ? u32{vfs::kLookupFollow} : 0;
    TRY(name.lookup(follow | (flags & kAT_EMPTY_PATH ? u32{vfs::kLookupEmptyPath} : 0)));
    return Errno::kEOPNOTSUPP;
}

}  // namespace kiln::syscalls
