// Changing what stat(2) shows: mode, owner, times; extended attributes.
#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

Status set_attributes(const vfs::Path& path, const vfs::Attributes& values, u32 mask) {
    if (mask != 0)
        TRY(vfs::set_attributes(path, values, mask, this_process().lookup_context().credentials));
    return 0;
}

/// Attributes of a file without a path (a pipe) can't be changed; Linux changes them for nobody to see.
Result<vfs::Path> path_of(int fd) {
    auto file = TRY(io_file_at(fd));
    if (!file->path()) {
        posix::report_unsupported("fchmod/fchown/futimens of a file without a name", 0);
        return Errno::kEPERM;
    }
    return file->path();
}

Result<vfs::Path> path_at(int dirfd, UserString path, u32 at_flags) {
    UserPath name;
    TRY(name.load(dirfd, path));
    return name.lookup(lookup_flags(at_flags));
}

Status change_mode(const vfs::Path& path, u32 mode) {
    vfs::Attributes values;
    values.mode = mode & 07777;
    return set_attributes(path, values, vfs::kSetMode);
}

Status change_owner(const vfs::Path& path, u32 uid, u32 gid) {
    constexpr u32 kKeep = UINT32_MAX;
    vfs::Attributes values;
    values.uid = uid;
    values.gid = gid;
    return set_attributes(
        path, values,
        (uid != kKeep ? u32{vfs::kSetUid} : 0) | (gid != kKeep ? u32{vfs::kSetGid} : 0));
}

/// What a utimensat-like call sets.
struct Times {
    vfs::Attributes values;
    u32 mask = 0;
};

Times now() {
    Times t;
    t.values.atime = t.values.mtime = vfs::current_timestamp();
    t.mask = vfs::kSetAtime | vfs::kSetMtime | vfs::kSetTimesToNow;
    return t;
}

Result<Times> from_timespecs(UserPtr<const TimeSpec> from) {
    if (!from) return now();
    constexpr i64 kNow = 0x3fffffff, kOmit = 0x3ffffffe;  // UTIME_NOW, UTIME_OMIT
    TimeSpec spec[2];
    TRY(from.read_array(spec));
    for (const TimeSpec& s : spec) {
        if (s.tv_nsec != kNow && s.tv_nsec != kOmit &&
            (s.tv_nsec < 0 || s.tv_nsec >= static_cast<i64>(kNsPerSec)))
            return Errno::kEINVAL;
    }
    if (spec[0].tv_nsec == kNow && spec[1].tv_nsec == kNow) return now();
    Times t;
    const auto put = [](const TimeSpec& s, vfs::Timestamp& to) {
        to = s.tv_nsec == kNow ? vfs::current_timestamp()
                               : vfs::Timestamp{s.tv_sec, static_cast<u32>(s.tv_nsec)};
    };
    if (spec[0].tv_nsec != kOmit) {
        put(spec[0], t.values.atime);
        t.mask |= vfs::kSetAtime;
    }
    if (spec[1].tv_nsec != kOmit) {
        put(spec[1], t.values.mtime);
        t.mask |= vfs::kSetMtime;
    }
    return t;
}

Result<Times> from_timevals(UserPtr<const TimeVal> from) {
    if (!from) return now();
    TimeVal value[2];
    TRY(from.read_array(value));
    for (const TimeVal& v : value) {
        if (v.tv_usec < 0 || v.tv_usec >= 1'000'000) return Errno::kEINVAL;
    }
    Times t;
    t.values.atime = {value[0].tv_sec, static_cast<u32>(value[0].tv_usec * 1000)};
    t.values.mtime = {value[1].tv_sec, static_cast<u32>(value[1].tv_usec * 1000)};
    t.mask = vfs::kSetAtime | vfs::kSetMtime;
    return t;
}

// Extended attributes. No file system of ours has any; what Linux checks before it asks one comes first.
constexpr std::size_t kXattrNameMax = 255;
constexpr std::size_t kXattrSizeMax = 65536;

Status check_xattr_name(UserString name) {
    UserText text;
    TRY(text.load(name, kXattrNameMax + 1, Errno::kERANGE));
    return text.view().empty() ? Errno::kERANGE : Errno::kEOPNOTSUPP;
}

Status set_xattr(const Result<vfs::Path>& path, UserString name, std::size_t size, u32 flags) {
    if (flags & ~3u) return Errno::kEINVAL;
    if (!path.ok()) return path.error();
    if (size > kXattrSizeMax) return Errno::kE2BIG;
    return check_xattr_name(name);
}

Status get_xattr(const Result<vfs::Path>& path, UserString name) {
    if (!path.ok()) return path.error();
    return check_xattr_name(name);
}

Status list_xattr(const Result<vfs::Path>& path) {
    if (!path.ok()) return path.error();
    return 0;
}

Result<vfs::Path> xattr_path_of(int fd) {
    return TRY(io_file_at(fd))
    ->path();
}

constexpr u32 kNoFollow = kAT_SYMLINK_NOFOLLOW;

}  // namespace

Status sys_chmod(UserString path, u32 mode) {
    return change_mode(TRY(path_at(kAT_FDCWD, path, 0)), mode);
}
Status sys_fchmod(int fd, u32 mode) { return change_mode(TRY(path_of(fd)), mode); }
Status sys_fchmodat(int dirfd, UserString path, u32 mode) {
    return change_mode(TRY(path_at(dirfd, path, 0)), mode);
}

Status sys_chown(UserString path, u32 uid, u32 gid) {
    return change_owner(TRY(path_at(kAT_FDCWD, path, 0)), uid, gid);
}
Status sys_fchown(int fd, u32 uid, u32 gid) { return change_owner(TRY(path_of(fd)), uid, gid); }
Status sys_lchown(UserString path, u32 uid, u32 gid) {
    return change_owner(TRY(path_at(kAT_FDCWD, path, kNoFollow)), uid, gid);
}
Status sys_fchownat(int dirfd, UserString path, u32 uid, u32 gid, u32 flags) {
    if (flags & ~(kAT_SYMLINK_NOFOLLOW | kAT_EMPTY_PATH)) return Errno::kEINVAL;
    return change_owner(TRY(path_at(dirfd, path, flags)), uid, gid);
}

Status sys_umask(u32 mask) { return this_process().exchange_umask(mask & 0777); }

Status sys_utime(UserString path, UserPtr<const i64> times) {
    Times t = now();
    if (times) {
        i64 seconds[2];
        TRY(times.read_array(seconds));
        t.values.atime = {seconds[0], 0};
        t.values.mtime = {seconds[1], 0};
        t.mask = vfs::kSetAtime | vfs::kSetMtime;
    }
    return set_attributes(TRY(path_at(kAT_FDCWD, path, 0)), t.values, t.mask);
}
Status sys_utimes(UserString path, UserPtr<const TimeVal> times) {
    return sys_futimesat(kAT_FDCWD, path, times);
}
Status sys_futimesat(int dirfd, UserString path, UserPtr<const TimeVal> times) {
    const Times t = TRY(from_timevals(times));
    const vfs::Path target = path ? TRY(path_at(dirfd, path, 0)) : TRY(path_of(dirfd));
    return set_attributes(target, t.values, t.mask);
}
Status sys_utimensat(int dirfd, UserString path, UserPtr<const TimeSpec> times, u32 flags) {
    const Times t = TRY(from_timespecs(times));
    // utimensat(2): with both UTIME_OMIT nothing is looked at any more.
    if (t.mask == 0) return 0;
    if (!path && dirfd != kAT_FDCWD) {
        // futimens(3).
        if (flags != 0) return Errno::kEINVAL;
        return set_attributes(TRY(path_of(dirfd)), t.values, t.mask);
    }
    if (flags & ~(kAT_SYMLINK_NOFOLLOW | kAT_EMPTY_PATH)) return Errno::kEINVAL;
    return set_attributes(TRY(path_at(dirfd, path, flags)), t.values, t.mask);
}

Status sys_setxattr(UserString path, UserString name, UserPtr<void>, std::size_t size, u32 flags) {
    return set_xattr(path_at(kAT_FDCWD, path, 0), name, size, flags);
}
Status sys_lsetxattr(UserString path, UserString name, UserPtr<void>, std::size_t size, u32 flags) {
    return set_xattr(path_at(kAT_FDCWD, path, kNoFollow), name, size, flags);
}
Status sys_fsetxattr(int fd, UserString name, UserPtr<void>, std::size_t size, u32 flags) {
    return set_xattr(xattr_path_of(fd), name, size, flags);
}
Status sys_getxattr(UserString path, UserString name, UserPtr<void>, std::size_t) {
    return get_xattr(path_at(kAT_FDCWD, path, 0), name);
}
Status sys_lgetxattr(UserString path, UserString name, UserPtr<void>, std::size_t) {
    return get_xattr(path_at(kAT_FDCWD, path, kNoFollow), name);
}
Status sys_fgetxattr(int fd, UserString name, UserPtr<void>, std::size_t) {
    return get_xattr(xattr_path_of(fd), name);
}
Status sys_listxattr(UserString path, UserPtr<char>, std::size_t) {
    return list_xattr(path_at(kAT_FDCWD, path, 0));
}
Status sys_llistxattr(UserString path, UserPtr<char>, std::size_t) {
    return list_xattr(path_at(kAT_FDCWD, path, kNoFollow));
}
Status sys_flistxattr(int fd, UserPtr<char>, std::size_t) { return list_xattr(xattr_path_of(fd)); }
Status sys_removexattr(UserString path, UserString name) {
    return get_xattr(path_at(kAT_FDCWD, path, 0), name);
}
Status sys_lremovexattr(UserString path, UserString name) {
    return get_xattr(path_at(kAT_FDCWD, path, kNoFollow), name);
}
Status sys_fremovexattr(int fd, UserString name) { return get_xattr(xattr_path_of(fd), name); }

}  // namespace kiln::syscalls
