// rename(2). Linux's do_renameat2() and vfs_rename() tell the order of the errors.
#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/path.hpp>

#include "walk.hpp"

namespace kiln::vfs {
namespace {

using namespace abi;

// Directories move only while it is held, so that ancestry can be relied on. Rank: before inodes.
constinit sched::Mutex topology_lock{sync::LockRank::kMountTable};

// The child of `ancestor` on the way to `d`, or null if `ancestor` is not above `d`.
Dentry* child_towards(const Dentry& ancestor, Dentry& d) {
    for (Dentry* at = &d; at->parent(); at = at->parent()) {
        if (at->parent() == &ancestor) return at;
    }
    return nullptr;
}

/// Locks one or two directories, the outer first. lock_rename().
class TwoDirectories {
public:
    TwoDirectories(Dentry& a, Dentry& b) : first_(a.inode()), second_(b.inode()) {
        if (&a == &b) {
            second_ = nullptr;
        } else {
            topology_lock.lock();
            trap_ = child_towards(a, b);
            if (!trap_) {
                trap_ = child_towards(b, a);
                if (trap_ || second_ < first_) std::swap(first_, second_);
            }
        }
        first_->lock().write_lock();
        if (second_) second_->lock().write_lock();
    }
    ~TwoDirectories() {
        first_->lock().write_unlock();
        if (second_) {
            second_->lock().write_unlock();
            topology_lock.unlock();
        }
    }
    KILN_NON_COPYABLE(TwoDirectories);
    /// The entry of the outer directory on the way to the inner one; null if neither is inside the
    /// other.
    const Dentry* trap() const { return trap_; }

private:
    Inode* first_;
    Inode* second_;
    Dentry* trap_ = nullptr;
};

Result<void> check_move_out(const Path& directory, const Dentry& moved,
                            const Credentials& credentials) {
    const Inode& parent = *directory.inode();
    TRY(check_permission(parent, 3, credentials));
    if ((parent.mode() & kModeSticky) != 0 && !is_owner(*moved.inode(), credentials) &&
        !is_owner(parent, credentials))
        return Errno::kEPERM;
    return {};
}

}  // namespace

Result<void> rename(const LookupContext& old_context, std::string_view old_name,
                    const LookupContext& new_context, std::string_view new_name,
                    std::uint32_t flags) {
    if ((flags & ~(kRENAME_NOREPLACE | kRENAME_EXCHANGE)) != 0) return Errno::kEINVAL;
    const bool exchange = (flags & kRENAME_EXCHANGE) != 0;
    const bool no_replace = (flags & kRENAME_NOREPLACE) != 0;
    if (exchange && no_replace) return Errno::kEINVAL;

    Ref<Dentry> old_dentry;  // they outlive the locks
    Ref<Dentry> new_dentry;
    Walk old_walk(old_context, 0);
    TRY(old_walk.to_parent(old_name));
    Walk new_walk(new_context, 0);
    TRY(new_walk.to_parent(new_name));
    const Path& old_directory = old_walk.directory();
    const Path& new_directory = new_walk.directory();
    if (old_directory.mount() != new_directory.mount()) return Errno::kEXDEV;
    if (old_walk.last_kind() != Last::kNormal) return Errno::kEBUSY;
    if (new_walk.last_kind() != Last::kNormal) return no_replace ? Errno::kEEXIST : Errno::kEBUSY;
    if (old_directory.mount()->is_read_only()) return Errno::kEROFS;
    if (!old_directory.inode()->is_directory() || !new_directory.inode()->is_directory())
        return Errno::kENOTDIR;

    TwoDirectories locked(*old_directory.dentry(), *new_directory.dentry());
    old_dentry = TRY(lookup_locked(*old_directory.dentry(), old_walk.last()));
    if (old_dentry->is_negative()) return Errno::kENOENT;
    new_dentry = TRY(lookup_locked(*new_directory.dentry(), new_walk.last()));
    const bool replaces = !new_dentry->is_negative();
    if (no_replace && replaces) return Errno::kEEXIST;
    if (exchange && !replaces) return Errno::kENOENT;

    Inode& moved = *old_dentry->inode();
    Inode* const replaced = new_dentry->inode();
    if (exchange && !replaced->is_directory() && new_walk.trailing_slash()) return Errno::kENOTDIR;
    if (!moved.is_directory()) {
        if (old_walk.trailing_slash()) return Errno::kENOTDIR;
        if (!exchange && new_walk.trailing_slash()) return Errno::kENOTDIR;
    }
    // Into itself; or over one of its own parents.
    if (old_dentry.get() == locked.trap()) return Errno::kEINVAL;
    if (new_dentry.get() == locked.trap()) return exchange ? Errno::kEINVAL : Errno::kENOTEMPTY;

    // rename(2): two names of one file are left as they are.
    if (replaced == &moved) return {};
    TRY(check_move_out(old_directory, *old_dentry, old_context.credentials));
    if (!replaces) {
        TRY(check_create(new_directory, new_context.credentials));
    } else {
        TRY(check_move_out(new_directory, *new_dentry, new_context.credentials));
        if (!exchange) {
            if (moved.is_directory() && !replaced->is_directory()) return Errno::kENOTDIR;
            if (!moved.is_directory() && replaced->is_directory()) return Errno::kEISDIR;
        }
    }
    if (old_directory.dentry() != new_directory.dentry()) {
        // ".." of a directory changes.
        if (moved.is_directory()) TRY(check_permission(moved, 2, old_context.credentials));
        if (exchange && replaced->is_directory())
            TRY(check_permission(*replaced, 2, new_context.credentials));
    }
    if (old_dentry->mounts() != 0 || (replaces && new_dentry->mounts() != 0)) return Errno::kEBUSY;

    DentryCache::NewName storage;
    if (!exchange) TRY(DentryCache::reserve_name(new_walk.last(), &storage));
    const bool guard_replaced = replaced && !exchange && replaced->is_directory();
    if (guard_replaced) replaced->lock().write_lock();
    const Result<void> result =
        old_directory.inode()->rename(old_walk.last(), moved, *new_directory.inode(),
                                      new_walk.last(), replaced, flags & kRENAME_EXCHANGE);
    if (guard_replaced) replaced->lock().write_unlock();
    if (!result.ok()) return result.error();
    if (exchange) {
        DentryCache::exchange(*old_dentry, *new_dentry);
    } else {
        DentryCache::move(*old_dentry, *new_directory.dentry(), new_walk.last(), storage,
                          replaces ? new_dentry.get() : nullptr);
    }
    return {};
}

}  // namespace kiln::vfs
