// Opening, closing, duplicating descriptors; fcntl(2).
#include <kiln/posix/file_locks.hpp>
#include <kiln/posix/memfd.hpp>
#include <kiln/posix/pipe.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

/// What open(2) and openat(2) look at; they ignore other bits, openat2(2) refuses them.
constexpr u32 kValidOpenFlags = kO_ACCMODE | kO_CREAT | kO_EXCL | kO_NOCTTY | kO_TRUNC | kO_APPEND |
                                kO_NONBLOCK | kO_SYNC | kO_ASYNC | kO_DIRECT | kO_LARGEFILE |
                                kO_DIRECTORY | kO_NOFOLLOW | kO_NOATIME | kO_CLOEXEC | kO_PATH |
                                kO_TMPFILE_BIT;
constexpr u32 kPathFlags = kO_DIRECTORY | kO_NOFOLLOW | kO_PATH | kO_CLOEXEC;

// struct open_how, RESOLVE_ flags (include/uapi/linux/openat2.h).
struct OpenHow {
    u64 flags;
    u64 mode;
    u64 resolve;
};
constexpr u64 kResolveNoXdev = 0x01;
constexpr u64 kResolveNoMagiclinks = 0x02;
constexpr u64 kResolveNoSymlinks = 0x04;
constexpr u64 kResolveBeneath = 0x08;
constexpr u64 kResolveInRoot = 0x10;
constexpr u64 kResolveCached = 0x20;

// fcntl commands (include/uapi/asm-generic/fcntl.h, include/uapi/linux/fcntl.h).
constexpr u32 kFDupfd = 0;
constexpr u32 kFGetfd = 1;
constexpr u32 kFSetfd = 2;
constexpr u32 kFGetfl = 3;
constexpr u32 kFSetfl = 4;
constexpr u32 kFGetlk = 5;
constexpr u32 kFSetlk = 6;
constexpr u32 kFSetlkw = 7;
constexpr u32 kFSetown = 8;
constexpr u32 kFGetown = 9;
constexpr u32 kFSetsig = 10;
constexpr u32 kFGetsig = 11;
constexpr u32 kFOfdGetlk = 36;
constexpr u32 kFOfdSetlk = 37;
constexpr u32 kFOfdSetlkw = 38;
constexpr u32 kFGetlease = 1025;
constexpr u32 kFDupfdCloexec = 1030;
constexpr u32 kFSetpipeSize = 1031;
constexpr u32 kFGetpipeSize = 1032;
constexpr u32 kFAddSeals = 1033;
constexpr u32 kFGetSeals = 1034;
constexpr u64 kFdCloexec = 1;
constexpr std::int16_t kFWrlck = 1;
constexpr std::int16_t kFUnlck = 2;

/// struct flock of 64-bit machines.
struct UserFlock {
    std::int16_t l_type;
    std::int16_t l_whence;
    i32 pad;
    i64 l_start;
    i64 l_len;
    i32 l_pid;
    i32 pad2;
};
static_assert(sizeof(UserFlock) == 32);

Status open_at(int dirfd, UserString path, u64 flags, u64 mode, u32 resolve) {
    // Linux fs/open.c, build_open_flags: what is wrong with the flags comes before any look at the name.
    if (flags & kO_PATH) {
        flags &= kPathFlags;
    } else if (flags & kO_TMPFILE_BIT) {
        if ((flags & kO_TMPFILE) != kO_TMPFILE || (flags & kO_ACCMODE) == kO_RDONLY)
            return Errno::kEINVAL;
    }
    if ((flags & kO_CREAT) && (flags & kO_DIRECTORY)) return Errno::kEINVAL;
    UserPath name;
    TRY(name.load(dirfd, path));
    const auto open_flags = static_cast<u32>(flags);
    auto file =
        vfs::open(name.context(), name.name(), open_flags, static_cast<u32>(mode) & 07777, resolve);
    if (!file.ok()) return restartable(Result<i64>(file.error()));
    return install(std::move(file).value(), open_flags);
}

/// The range that a struct flock means, [first, last]. EINVAL, EOVERFLOW.
Result<posix::LockRange> lock_range(vfs::File& file, const UserFlock& lock) {
    i64 base = 0;
    switch (lock.l_whence) {
        case kSEEK_SET: break;
        case kSEEK_CUR: base = static_cast<i64>(TRY(file.seek(0, kSEEK_CUR))); break;
        case kSEEK_END: base = static_cast<i64>(file.inode() ? file.inode()->size() : 0); break;
        default: return Errno::kEINVAL;
    }
    i64 start;
    if (!checked_add(base, lock.l_start, &start)) return Errno::kEOVERFLOW;
    if (start < 0) return Errno::kEINVAL;
    if (lock.l_len == 0) return posix::LockRange{start, INT64_MAX};
    i64 end;
    if (!checked_add(start, lock.l_len, &end)) return Errno::kEOVERFLOW;
    // fcntl(2): a negative length means the bytes before.
    if (lock.l_len < 0) {
        if (end < 0) return Errno::kEINVAL;
        return posix::LockRange{end, start - 1};
    }
    return posix::LockRange{start, end - 1};
}

Status record_lock(vfs::File& file, u32 command, UserPtr<UserFlock> argument) {
    UserFlock lock = TRY(argument.read());
    const bool of_description =
        command == kFOfdGetlk || command == kFOfdSetlk || command == kFOfdSetlkw;
    // fcntl(2): l_pid must be zero for open file description locks.
    if (of_description && lock.l_pid != 0) return Errno::kEINVAL;
    if (lock.l_type < 0 || lock.l_type > kFUnlck) return Errno::kEINVAL;
    const posix::LockRange range = TRY(lock_range(file, lock));
    const posix::LockRequest request{
        of_description ? posix::LockKind::kOpenFile : posix::LockKind::kProcess,
        lock.l_type == kFWrlck ? posix::LockMode::kExclusive : posix::LockMode::kShared, range};
    if (command == kFGetlk || command == kFOfdGetlk) {
        if (lock.l_type == kFUnlck) return Errno::kEINVAL;
        const auto found = posix::find_lock_conflict(file, request);
        if (!found) {
            lock.l_type = kFUnlck;
        } else {
            lock.l_type = found->mode == posix::LockMode::kExclusive ? kFWrlck : 0;
            lock.l_whence = kSEEK_SET;
            lock.l_start = found->range.first;
            lock.l_len =
                found->range.last == INT64_MAX ? 0 : found->range.last - found->range.first + 1;
            lock.l_pid = found->kind == posix::LockKind::kProcess ? this_process().pid() : -1;
        }
        TRY(argument.write(lock));
        return 0;
    }
    if (lock.l_type == kFUnlck) {
        TRY(posix::release_lock(file, request));
        return 0;
    }
    // The lock must not allow more than the descriptor does.
    if (request.mode == posix::LockMode::kShared ? !file.is_readable() : !file.is_writable())
        return Errno::kEBADF;
    const bool waits = command == kFSetlkw || command == kFOfdSetlkw;
    const auto result =
        posix::acquire_lock(file, request, waits ? posix::LockWait::kYes : posix::LockWait::kNo);
    if (!result.ok()) return result.error() == Errno::kEINTR ? Errno::kERESTARTSYS : result.error();
    return 0;
}

Status duplicate(Ref<vfs::File> file, u64 minimum, bool close_on_exec) {
    if (minimum >= descriptor_limit()) return Errno::kEINVAL;
    return TRY(this_process().files().install(std::move(file), close_on_exec,
                                              static_cast<int>(minimum), descriptor_limit()));
}

Status set_status_flags(vfs::File& file, u64 argument) {
    constexpr u32 kSettable = kO_APPEND | kO_ASYNC | kO_DIRECT | kO_NOATIME | kO_NONBLOCK;
    u32 wanted = static_cast<u32>(argument) & kSettable;
    if (wanted & kO_ASYNC) {
        posix::report_unsupported("fcntl F_SETFL O_ASYNC", argument);
        wanted &= ~kO_ASYNC;
        return Errno::kEINVAL;
    }
    const u32 flags = (file.flags() & ~kSettable) | wanted;
    TRY(file.flags_changed(flags));
    file.set_flags(flags);
    return 0;
}

}  // namespace

Status sys_open(UserString path, u32 flags, u32 mode) {
    return open_at(kAT_FDCWD, path, flags & kValidOpenFlags, mode, 0);
}
Status sys_openat(int dirfd, UserString path, u32 flags, u32 mode) {
    return open_at(dirfd, path, flags & kValidOpenFlags, mode, 0);
}
Status sys_creat(UserString path, u32 mode) {
    return open_at(kAT_FDCWD, path, kO_CREAT | kO_WRONLY | kO_TRUNC, mode, 0);
}

Status sys_openat2(int dirfd, UserString path, UserPtr<void> how, std::size_t size) {
    // openat2(2), "Extensibility": bytes we do not know must be zero.
    if (size < sizeof(OpenHow)) return Errno::kEINVAL;
    if (size > kPageSize) return Errno::kE2BIG;
    const OpenHow request = TRY(how.cast<const OpenHow>().read());
    for (std::size_t i = sizeof(OpenHow); i < size; i++) {
        if (TRY(UserPtr<const std::uint8_t>(how.address() + i).read()) != 0) return Errno::kE2BIG;
    }
    if (request.flags & ~u64{kValidOpenFlags}) return Errno::kEINVAL;
    constexpr u64 kResolveAll = kResolveNoXdev | kResolveNoMagiclinks | kResolveNoSymlinks |
                                kResolveBeneath | kResolveInRoot | kResolveCached;
    if (request.resolve & ~kResolveAll) return Errno::kEINVAL;
    if ((request.resolve & kResolveBeneath) && (request.resolve & kResolveInRoot))
        return Errno::kEINVAL;
    if (request.flags & (kO_CREAT | kO_TMPFILE_BIT)) {
        if (request.mode & ~u64{07777}) return Errno::kEINVAL;
    } else if (request.mode != 0) {
        return Errno::kEINVAL;
    }
    if ((request.flags & kO_PATH) && (request.flags & ~u64{kPathFlags})) return Errno::kEINVAL;
    if (request.resolve & kResolveCached) {
        if (request.flags & (kO_TRUNC | kO_CREAT | kO_TMPFILE_BIT)) return Errno::kEAGAIN;
        // Allowed at any time: "the look-up would need more than the caches".
        return Errno::kEAGAIN;
    }
    u32 resolve = 0;
    if (request.resolve & kResolveNoXdev) resolve |= vfs::kLookupNoXdev;
    if (request.resolve & kResolveNoMagiclinks) resolve |= vfs::kLookupNoMagicLinks;
    if (request.resolve & kResolveNoSymlinks) resolve |= vfs::kLookupNoSymlinks;
    if (request.resolve & kResolveBeneath) resolve |= vfs::kLookupBeneath;
    if (request.resolve & kResolveInRoot) resolve |= vfs::kLookupInRoot;
    return open_at(dirfd, path, request.flags, request.mode, resolve);
}

Status sys_close(int fd) {
    TRY(this_process().files().close(fd));
    return 0;
}

Status sys_close_range(u32 first, u32 last, u32 flags) {
    constexpr u32 kUnshare = 1u << 1;
    constexpr u32 kCloexec = 1u << 2;
    if (flags & ~(kUnshare | kCloexec)) return Errno::kEINVAL;
    if (first > last) return Errno::kEINVAL;
    if ((flags & kUnshare) && this_process().task_count() > 1) {
        posix::report_unsupported("close_range CLOSE_RANGE_UNSHARE with several threads", flags);
        return Errno::kEINVAL;
    }
    this_process().files().close_range(first, last, (flags & kCloexec) != 0);
    return 0;
}

Status sys_dup(int fd) { return duplicate(TRY(file_at(fd)), 0, false); }

Status sys_dup2(int old_fd, int new_fd) {
    auto file = TRY(file_at(old_fd));
    // dup2(2): equal descriptors, the old one valid: does nothing.
    if (old_fd == new_fd) return new_fd;
    TRY(this_process().files().install_at(new_fd, std::move(file), false, descriptor_limit()));
    return new_fd;
}

Status sys_dup3(int old_fd, int new_fd, u32 flags) {
    if (flags & ~kO_CLOEXEC) return Errno::kEINVAL;
    if (old_fd == new_fd) return Errno::kEINVAL;
    if (new_fd < 0 || static_cast<u64>(new_fd) >= descriptor_limit()) return Errno::kEBADF;
    auto file = TRY(file_at(old_fd));
    TRY(this_process().files().install_at(new_fd, std::move(file), (flags & kO_CLOEXEC) != 0,
                                          descriptor_limit()));
    return new_fd;
}

Status sys_fcntl(int fd, u32 command, u64 argument) {
    posix::FdTable& files = this_process().files();
    auto file = TRY(file_at(fd));
    // open(2), O_PATH: these alone work on such a descriptor.
    switch (command) {
        case kFDupfd: return duplicate(std::move(file), argument & 0xffffffff, false);
        case kFDupfdCloexec: return duplicate(std::move(file), argument & 0xffffffff, true);
        case kFGetfd: return TRY(files.close_on_exec_flag(fd)) ? kFdCloexec : 0;
        case kFSetfd: TRY(files.set_close_on_exec(fd, (argument & kFdCloexec) != 0)); return 0;
        case kFGetfl: return file->flags();
        default: break;
    }
    if (file->is_path_only()) return Errno::kEBADF;
    switch (command) {
        case kFSetfl: return set_status_flags(*file, argument);
        case kFGetlk:
        case kFSetlk:
        case kFSetlkw:
        case kFOfdGetlk:
        case kFOfdSetlk:
        case kFOfdSetlkw: return record_lock(*file, command, UserPtr<UserFlock>(argument));
        // No owner was ever set: SIGIO is never sent.
        case kFGetown:
        case kFGetsig: return 0;
        case kFSetown:
        case kFSetsig:
            if (argument == 0) return 0;
            break;
        case kFGetlease: return kFUnlck;
        case kFSetpipeSize:
        case kFGetpipeSize: {
            if (file->kind() != &posix::PipeFile::kKind) return Errno::kEBADF;
            posix::Pipe& pipe = static_cast<posix::PipeFile&>(*file).pipe();
            if (command == kFGetpipeSize) return static_cast<i64>(pipe.capacity());
            return static_cast<i64>(TRY(pipe.set_capacity(argument & 0xffffffff)));
        }
        case kFAddSeals: TRY(posix::add_seals(*file, static_cast<u32>(argument))); return 0;
        case kFGetSeals: return TRY(posix::seals(*file));
        default: break;
    }
    posix::report_unsupported("fcntl command", command);
    return Errno::kEINVAL;
}

}  // namespace kiln::syscalls
