#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/vfs/dentry.hpp>

#include "walk.hpp"

namespace kiln::vfs {
namespace {

constexpr std::uint32_t kMayExec = 1;
constexpr std::uint32_t kMayWrite = 2;
constexpr std::uint32_t kMayRead = 4;
constexpr std::uint32_t kAnyExec = 0111;

bool is_in_group(const Credentials& credentials, std::uint32_t gid) {
    if (credentials.gid == gid) return true;
    for (const std::uint32_t g : credentials.groups) {
        if (g == gid) return true;
    }
    return false;
}

}  // namespace

// generic_permission() of Linux's fs/namei.c; capabilities(7), CAP_DAC_OVERRIDE.
bool is_permitted(const Inode& inode, std::uint32_t mask, const Credentials& credentials) {
    const std::uint32_t mode = inode.mode();
    if (credentials.override_dac) {
        return inode.is_directory() || (mask & kMayExec) == 0 || (mode & kAnyExec) != 0;
    }
    std::uint32_t granted = mode;
    if (credentials.uid == inode.uid()) {
        granted >>= 6;
    } else if (is_in_group(credentials, inode.gid())) {
        granted >>= 3;
    }
    return (granted & mask) == mask;
}

Result<void> check_permission(const Inode& inode, std::uint32_t mask,
                              const Credentials& credentials) {
    if ((mask & kMayWrite) != 0 && inode.file_system().is_read_only() &&
        (inode.is_regular() || inode.is_directory() || inode.is_symlink()))
        return Errno::kEROFS;
    if (!is_permitted(inode, mask, credentials)) return Errno::kEACCES;
    return {};
}

bool is_owner(const Inode& inode, const Credentials& credentials) {
    return credentials.override_dac || credentials.uid == inode.uid();
}

// access(2).
Result<void> check_access(const Path& path, std::uint32_t mask, const Credentials& credentials) {
    Inode* inode = path.inode();
    if (!inode) return Errno::kENOENT;
    if ((mask & kMayExec) != 0 && inode->is_regular() &&
        (path.mount()->flags() & abi::kMS_NOEXEC) != 0)
        return Errno::kEACCES;
    TRY(check_permission(*inode, mask & (kMayExec | kMayWrite | kMayRead), credentials));
    // Sockets, FIFOs and devices are written to without changing the file system.
    if ((mask & kMayWrite) != 0 && path.mount()->is_read_only() &&
        (inode->is_regular() || inode->is_directory() || inode->is_symlink()))
        return Errno::kEROFS;
    return {};
}

namespace {

// setattr_prepare() of Linux's fs/attr.c.
Result<void> check_change(const Inode& inode, const Attributes& values, std::uint32_t mask,
                          const Credentials& credentials) {
    const bool privileged = credentials.override_dac;
    if ((mask & kSetUid) != 0 && !privileged &&
        (credentials.uid != inode.uid() || values.uid != inode.uid()))
        return Errno::kEPERM;
    if ((mask & kSetGid) != 0 && !privileged &&
        (credentials.uid != inode.uid() ||
         (values.gid != inode.gid() && !is_in_group(credentials, values.gid))))
        return Errno::kEPERM;
    if ((mask & kSetMode) != 0 && !is_owner(inode, credentials)) return Errno::kEPERM;
    if ((mask & (kSetAtime | kSetMtime)) != 0 && !is_owner(inode, credentials)) {
        // utimensat(2): EACCES for "now" without write access, EPERM for given times.
        if ((mask & kSetTimesToNow) == 0) return Errno::kEPERM;
        if (!is_permitted(inode, kMayWrite, credentials)) return Errno::kEACCES;
    }
    return {};
}

}  // namespace

Result<void> set_attributes(const Path& path, const Attributes& values, std::uint32_t mask,
                            const Credentials& credentials) {
    Inode* inode = path.inode();
    if (!inode) return Errno::kENOENT;
    if ((mask & kSetSize) != 0) {
        // truncate(2).
        if (inode->is_directory()) return Errno::kEISDIR;
        if (!inode->is_regular()) return Errno::kEINVAL;
        if (path.mount()->is_read_only()) return Errno::kEROFS;
        TRY(check_permission(*inode, kMayWrite, credentials));
    }
    if (path.mount()->is_read_only()) return Errno::kEROFS;
    TRY(check_change(*inode, values, mask, credentials));

    Attributes wanted = values;
    if ((mask & (kSetUid | kSetGid)) != 0 && (mask & kSetMode) == 0 && !inode->is_directory() &&
        (inode->mode() & (kModeSetUid | kModeSetGid)) != 0) {
        // chown(2): the set-user-ID and set-group-ID bits of a file go.
        wanted.mode = inode->mode() & kModePermissions & ~kModeSetUid;
        if ((wanted.mode & 010) != 0) wanted.mode &= ~kModeSetGid;
        mask |= kSetMode;
    }
    if ((mask & kSetMode) != 0 && !credentials.override_dac &&
        !is_in_group(credentials, (mask & kSetGid) != 0 ? wanted.gid : inode->gid())) {
        wanted.mode &= ~kModeSetGid;  // chmod(2)
    }
    if ((mask & kSetTimesToNow) != 0) {
        wanted.atime = wanted.mtime = current_timestamp();
        mask &= ~kSetTimesToNow;
    }
    sched::WriteGuard guard(inode->lock());
    return inode->set_attributes(wanted, mask);
}

Result<Attributes> attributes(const Path& path) {
    Inode* inode = path.inode();
    if (!inode) return Errno::kENOENT;
    return inode->attributes();
}

}  // namespace kiln::vfs
