// Making and removing names. Linux's fs/namei.c tells the order of the errors.
#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/path.hpp>

#include "walk.hpp"

namespace kiln::vfs {
namespace {

/// A name about to be made: its directory locked, the dentry negative. filename_create().
class Creation {
public:
    enum class Kind : std::uint8_t { kDirectory, kOther };

    Creation(const LookupContext& context, std::uint32_t flags)
        : context_(context), walk_(context, flags) {}
    ~Creation() {
        if (locked_) inode().lock().write_unlock();
    }
    KILN_NON_COPYABLE(Creation);

    Result<void> start(std::string_view name, Kind kind) {
        TRY(walk_.to_parent(name));
        if (walk_.last_kind() != Last::kNormal) return Errno::kEEXIST;
        if (!inode().is_directory()) return Errno::kENOTDIR;
        inode().lock().write_lock();
        locked_ = true;
        dentry_ = TRY(lookup_locked(*walk_.directory().dentry(), walk_.last()));
        if (!dentry_->is_negative()) return Errno::kEEXIST;
        // A name with a slash behind it can only become a directory.
        if (walk_.trailing_slash() && kind != Kind::kDirectory) return Errno::kENOENT;
        if (walk_.directory().mount()->is_read_only()) return Errno::kEROFS;
        return check_create(walk_.directory(), context_.credentials);
    }
    const Path& directory() const { return walk_.directory(); }
    Inode& inode() const { return *walk_.directory().inode(); }
    std::string_view name() const { return walk_.last(); }
    void finish(Ref<Inode> made) { DentryCache::set_inode(*dentry_, std::move(made)); }
    Path path() const { return {Ref<Mount>(walk_.directory().mount()), dentry_}; }

private:
    const LookupContext& context_;
    Walk walk_;
    Ref<Dentry> dentry_;
    bool locked_ = false;
};

// may_delete().
Result<void> check_delete(const Path& directory, const Dentry& victim, bool as_directory,
                          const Credentials& credentials) {
    const Inode& parent = *directory.inode();
    const Inode& inode = *victim.inode();
    TRY(check_permission(parent, 3, credentials));
    // unlink(2), EPERM: a sticky directory, and neither it nor the file is the caller's.
    if ((parent.mode() & kModeSticky) != 0 && !is_owner(inode, credentials) &&
        !is_owner(parent, credentials))
        return Errno::kEPERM;
    if (as_directory) {
        if (!inode.is_directory()) return Errno::kENOTDIR;
        if (!victim.parent()) return Errno::kEBUSY;
    } else if (inode.is_directory()) {
        return Errno::kEISDIR;
    }
    if (directory.dentry()->is_unlinked()) return Errno::kENOENT;
    return {};
}

Result<Path> make_object(const LookupContext& context, std::string_view name, std::uint32_t mode,
                         std::uint64_t rdev) {
    const bool directory = (mode & kModeTypeMask) == kModeDirectory;
    Creation creation(context, 0);
    TRY(creation.start(name, directory ? Creation::Kind::kDirectory : Creation::Kind::kOther));
    const NewObject object = new_object(creation.inode(), mode, context);
    creation.finish(
        TRY(creation.inode().create(creation.name(), object.mode, rdev, object.uid, object.gid)));
    return creation.path();
}

}  // namespace

Result<void> make_directory(const LookupContext& context, std::string_view name,
                            std::uint32_t mode) {
    // mkdir(2): besides the permissions only the sticky bit counts.
    TRY(make_object(context, name, kModeDirectory | (mode & 01777), 0));
    return {};
}

Result<void> make_node(const LookupContext& context, std::string_view name, std::uint32_t mode,
                       std::uint64_t rdev) {
    switch (mode & kModeTypeMask) {
        case 0: mode |= kModeRegular; break;
        case kModeRegular:
        case kModeFifo:
        case kModeSocket: break;
        case kModeCharacter:
        case kModeBlock:
            // mknod(2), EPERM: CAP_MKNOD.
            if (!context.credentials.override_dac) return Errno::kEPERM;
            break;
        case kModeDirectory: return Errno::kEPERM;
        default: return Errno::kEINVAL;
    }
    const bool device =
        (mode & kModeTypeMask) == kModeCharacter || (mode & kModeTypeMask) == kModeBlock;
    TRY(make_object(context, name, mode, device ? rdev : 0));
    return {};
}

Result<void> make_symlink(const LookupContext& context, std::string_view target,
                          std::string_view name) {
    if (target.empty()) return Errno::kENOENT;
    if (target.size() >= kPathMax) return Errno::kENAMETOOLONG;
    Creation creation(context, 0);
    TRY(creation.start(name, Creation::Kind::kOther));
    const NewObject object = new_object(creation.inode(), kModeSymlink, context);
    creation.finish(TRY(creation.inode().symlink(creation.name(), target, object.uid, object.gid)));
    return {};
}

Result<void> make_link(const LookupContext& old_context, std::string_view old_name,
                       const LookupContext& new_context, std::string_view new_name,
                       std::uint32_t lookup_flags) {
    const Path old_path = TRY(lookup(old_context, old_name, lookup_flags));
    Creation creation(new_context, 0);
    TRY(creation.start(new_name, Creation::Kind::kOther));
    if (old_path.mount() != creation.directory().mount()) return Errno::kEXDEV;
    Inode& target = *old_path.inode();
    if (target.is_directory()) return Errno::kEPERM;
    TRY(creation.inode().link(creation.name(), target));
    creation.finish(Ref<Inode>(&target));
    return {};
}

Result<void> unlink(const LookupContext& context, std::string_view name) {
    Ref<Dentry> dentry;  // outlives the lock: the last reference may free much
    Walk walk(context, 0);
    TRY(walk.to_parent(name));
    if (walk.last_kind() != Last::kNormal) return Errno::kEISDIR;
    const Path& directory = walk.directory();
    Inode& parent = *directory.inode();
    if (!parent.is_directory()) return Errno::kENOTDIR;
    sched::WriteGuard guard(parent.lock());
    dentry = TRY(lookup_locked(*directory.dentry(), walk.last()));
    if (dentry->is_negative()) return Errno::kENOENT;
    Inode& inode = *dentry->inode();
    if (walk.trailing_slash()) return inode.is_directory() ? Errno::kEISDIR : Errno::kENOTDIR;
    if (directory.mount()->is_read_only()) return Errno::kEROFS;
    TRY(check_delete(directory, *dentry, false, context.credentials));
    if (dentry->mounts() != 0) return Errno::kEBUSY;
    TRY(parent.unlink(walk.last(), inode));
    DentryCache::unlink(*dentry);
    return {};
}

Result<void> remove_directory(const LookupContext& context, std::string_view name) {
    Ref<Dentry> dentry;
    Walk walk(context, 0);
    TRY(walk.to_parent(name));
    switch (walk.last_kind()) {
        case Last::kDotDot: return Errno::kENOTEMPTY;
        case Last::kDot: return Errno::kEINVAL;
        case Last::kRoot: return Errno::kEBUSY;
        case Last::kNormal: break;
    }
    const Path& directory = walk.directory();
    Inode& parent = *directory.inode();
    if (!parent.is_directory()) return Errno::kENOTDIR;
    sched::WriteGuard guard(parent.lock());
    dentry = TRY(lookup_locked(*directory.dentry(), walk.last()));
    if (dentry->is_negative()) return Errno::kENOENT;
    if (directory.mount()->is_read_only()) return Errno::kEROFS;
    TRY(check_delete(directory, *dentry, true, context.credentials));
    if (dentry->mounts() != 0) return Errno::kEBUSY;
    Inode& inode = *dentry->inode();
    // Nothing may be made in it while it goes.
    sched::WriteGuard victim_guard(inode.lock());
    TRY(parent.rmdir(walk.last(), inode));
    DentryCache::unlink(*dentry);
    return {};
}

LookupContext kernel_context() {
    LookupContext context;
    context.root = root_path();
    context.cwd = context.root;
    context.umask = 0;
    return context;
}

Result<Path> create_path(std::string_view absolute_name, std::uint32_t mode, std::uint64_t rdev) {
    const LookupContext context = kernel_context();
    const Result<Path> made = make_object(context, absolute_name, mode, rdev);
    if (made.ok()) return Path(made.value());
    if (made.error() == Errno::kEEXIST) {
        Path there = TRY(lookup(context, absolute_name, 0));
        if (there.inode()->type() != (mode & kModeTypeMask)) return Errno::kEEXIST;
        Attributes values;
        values.mode = mode & kModePermissions;
        TRY(set_attributes(there, values, kSetMode, context.credentials));
        return there;
    }
    if (made.error() != Errno::kENOENT) return made.error();
    // Parents are missing: from the front, so that a deep name needs no recursion.
    for (std::size_t at = 1; at < absolute_name.size(); at++) {
        if (absolute_name[at] != '/') continue;
        const Result<Path> parent =
            make_object(context, absolute_name.substr(0, at), kModeDirectory | 0755, 0);
        if (!parent.ok() && parent.error() != Errno::kEEXIST) return parent.error();
    }
    return make_object(context, absolute_name, mode, rdev);
}

// A mount of its own that is in no list: the file system lives as long as the path.
Result<Path> make_unlinked_path(Ref<FileSystem> fs, Ref<Inode> inode, std::string_view name) {
    Ref<Dentry> dentry = TRY(Dentry::create(nullptr, name, std::move(inode)));
    DentryCache::unlink(*dentry);
    Ref<Mount> mount = TRY(mem::make_ref<Mount>(std::move(fs), dentry, 0u, 0u));
    return Path(std::move(mount), std::move(dentry));
}

std::size_t reclaim_names(std::size_t wanted) { return DentryCache::reclaim(wanted); }

}  // namespace kiln::vfs
