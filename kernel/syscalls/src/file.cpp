// Syncing, sizing, advising and locking files.
#include <kiln/posix/file_locks.hpp>
#include <kiln/posix/memfd.hpp>
#include <kiln/vfs/file_system.hpp>

#include "support.hpp"

namespace kiln::syscalls {

using namespace abi;

Status sys_fsync(int fd) {
    auto file = TRY(io_file_at(fd));
    TRY(file->sync());
    return 0;
}

Status sys_fdatasync(int fd) { return sys_fsync(fd); }

Status sys_sync() {
    // File systems whose sync may sleep are asked outside the mount table's lock, by reference.
    struct Visit {
        Ref<vfs::FileSystem> found;
        u32 index;
    };
    for (u32 next = 0;; next++) {
        Visit visit{nullptr, next};
        vfs::for_each_mount(
            [](const vfs::MountInfo& mount, void* cookie) {
                auto& v = *static_cast<Visit*>(cookie);
                if (v.index-- != 0) return true;
                v.found = Ref<vfs::FileSystem>(mount.fs);
                return false;
            },
            &visit);
        if (!visit.found) return 0;
        (void)visit.found->sync();  // sync(2) always succeeds
    }
}

Status sys_syncfs(int fd) {
    auto file = TRY(io_file_at(fd));
    if (vfs::Inode* inode = file->inode()) TRY(inode->file_system().sync());
    return 0;
}

Status sys_sync_file_range(int fd, i64 offset, i64 length, u32 flags) {
    // SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE, _WAIT_AFTER.
    if (flags & ~7u) return Errno::kEINVAL;
    i64 end;
    if (offset < 0 || length < 0 || !checked_add(offset, length, &end)) return Errno::kEINVAL;
    auto file = TRY(io_file_at(fd));
    const vfs::Inode* inode = file->inode();
    if (!inode || !(inode->is_regular() || inode->is_directory() || inode->is_symlink() ||
                    inode->type() == vfs::kModeBlock))
        return Errno::kESPIPE;
    if (flags != 0) TRY(file->sync());
    return 0;
}

Status sys_fadvise64(int fd, i64 offset, i64 length, int advice) {
    (void)offset;
    auto file = TRY(io_file_at(fd));
    const vfs::Inode* inode = file->inode();
    if (!inode || inode->type() == vfs::kModeFifo) return Errno::kESPIPE;
    // POSIX_FADV_NORMAL … POSIX_FADV_NOREUSE. All file pages are in memory: each is followed already.
    if (length < 0 || advice < 0 || advice > 5) return Errno::kEINVAL;
    return 0;
}

Status sys_readahead(int fd, i64, std::size_t) {
    auto file = TRY(io_file_at(fd));
    const vfs::Inode* inode = file->inode();
    if (!file->is_readable()) return Errno::kEBADF;
    if (!inode || !inode->is_regular()) return Errno::kEINVAL;
    return 0;
}

Status sys_truncate(UserString path, i64 length) {
    if (length < 0) return Errno::kEINVAL;
    UserPath name;
    TRY(name.load(kAT_FDCWD, path));
    const vfs::Path found = TRY(name.lookup(vfs::kLookupFollow));
    if (found.inode()->is_directory()) return Errno::kEISDIR;
    if (!found.inode()->is_regular()) return Errno::kEINVAL;
    vfs::Attributes values;
    values.size = static_cast<u64>(length);
    TRY(vfs::set_attributes(found, values, vfs::kSetSize, name.context().credentials));
    return 0;
}

Status sys_ftruncate(int fd, i64 length) {
    if (length < 0) return Errno::kEINVAL;
    auto file = TRY(io_file_at(fd));
    TRY(file->truncate(static_cast<u64>(length)));
    return 0;
}

Status sys_fallocate(int fd, int mode, i64 offset, i64 length) {
    auto file = TRY(io_file_at(fd));
    // Linux fs/open.c, vfs_fallocate.
    if (offset < 0 || length <= 0) return Errno::kEINVAL;
    constexpr int kKnown = kFALLOC_FL_KEEP_SIZE | kFALLOC_FL_PUNCH_HOLE |
                           kFALLOC_FL_COLLAPSE_RANGE | kFALLOC_FL_ZERO_RANGE |
                           kFALLOC_FL_INSERT_RANGE | kFALLOC_FL_UNSHARE_RANGE;
    if (mode & ~kKnown) return Errno::kEOPNOTSUPP;
    if ((mode & kFALLOC_FL_PUNCH_HOLE) && (mode & kFALLOC_FL_ZERO_RANGE)) return Errno::kEOPNOTSUPP;
    if ((mode & kFALLOC_FL_PUNCH_HOLE) && !(mode & kFALLOC_FL_KEEP_SIZE)) return Errno::kEOPNOTSUPP;
    if ((mode & kFALLOC_FL_COLLAPSE_RANGE) && (mode & ~kFALLOC_FL_COLLAPSE_RANGE))
        return Errno::kEINVAL;
    if ((mode & kFALLOC_FL_INSERT_RANGE) && (mode & ~kFALLOC_FL_INSERT_RANGE))
        return Errno::kEINVAL;
    if (!file->is_writable()) return Errno::kEBADF;
    if (const vfs::Inode* inode = file->inode(); !inode || inode->type() == vfs::kModeFifo)
        return Errno::kESPIPE;
    TRY(file->allocate(mode, static_cast<u64>(offset), static_cast<u64>(length)));
    return 0;
}

Status sys_flock(int fd, u32 operation) {
    constexpr u32 kShared = 1, kExclusive = 2, kNonBlocking = 4, kUnlock = 8;
    auto file = TRY(io_file_at(fd));
    const u32 command = operation & ~kNonBlocking;
    posix::LockRequest request{posix::LockKind::kFlock, posix::LockMode::kExclusive,
                               posix::kWholeFile};
    switch (command) {
        case kUnlock: TRY(posix::release_lock(*file, request)); return 0;
        case kShared: request.mode = posix::LockMode::kShared; break;
        case kExclusive: break;
        default: return Errno::kEINVAL;
    }
    const auto wait = operation & kNonBlocking ? posix::LockWait::kNo : posix::LockWait::kYes;
    const auto result = posix::acquire_lock(*file, request, wait);
    if (!result.ok()) return result.error() == Errno::kEINTR ? Errno::kERESTARTSYS : result.error();
    return 0;
}

Status sys_memfd_create(UserString name, u32 flags) {
    constexpr u32 kHugeShiftBits = 0x3fu << 26;
    if (flags & kMFD_HUGETLB) {
        if (flags & ~(kMFD_CLOEXEC | kMFD_ALLOW_SEALING | kMFD_HUGETLB | kHugeShiftBits))
            return Errno::kEINVAL;
        posix::report_unsupported("memfd_create MFD_HUGETLB", flags);
        return Errno::kENODEV;
    }
    if (flags & ~(kMFD_CLOEXEC | kMFD_ALLOW_SEALING)) return Errno::kEINVAL;
    // memfd_create(2): at most 249 bytes; longer is EINVAL.
    constexpr std::size_t kNameMax = 249;
    UserText text;
    TRY(text.load(name, kNameMax + 1, Errno::kEINVAL));
    auto file = TRY(posix::create_memfd(text.view(), flags & kMFD_ALLOW_SEALING
                                                         ? posix::Sealing::kAllowed
                                                         : posix::Sealing::kForbidden));
    return install(std::move(file), flags & kMFD_CLOEXEC ? kO_CLOEXEC : 0);
}

}  // namespace kiln::syscalls
