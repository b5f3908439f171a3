// lookup() and open(). Linux's fs/namei.c (do_filp_open, open_last_lookups, do_open) tells the order
// of the errors.
#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/path.hpp>

#include "walk.hpp"

namespace kiln::vfs {
namespace {

using namespace abi;

/// What open() has found or made.
struct Opened {
    Path path;
    bool created = false;
};

// An O_PATH descriptor: names a place, does nothing.
class PathFile final : public File {
public:
    explicit PathFile(std::uint32_t flags) : File(flags) {}
    Result<std::size_t> read(mem::IoBuffer&, std::uint64_t*) override { return Errno::kEBADF; }
    Result<std::size_t> write(mem::IoBuffer&, std::uint64_t*) override { return Errno::kEBADF; }
    Result<std::int64_t> ioctl(std::uint32_t, std::uintptr_t) override { return Errno::kEBADF; }
    Result<std::uint64_t> seek(std::int64_t, int) override { return Errno::kEBADF; }
    Result<Ref<vm::MemoryObject>> memory_object() override { return Errno::kEBADF; }
    Result<void> read_directory(DirectorySink&) override { return Errno::kEBADF; }
    Result<void> truncate(std::uint64_t) override { return Errno::kEBADF; }
    Result<void> allocate(int, std::uint64_t, std::uint64_t) override { return Errno::kEBADF; }
    Result<void> sync() override { return Errno::kEBADF; }
    std::uint32_t poll(PollWaiter*) override { return kPollNval; }
};

// The rights that the flags ask for: 4 read, 2 write.
std::uint32_t wanted_access(std::uint32_t flags) {
    constexpr std::uint32_t kByMode[] = {4, 2, 6, 6};
    std::uint32_t mask = kByMode[flags & kO_ACCMODE];
    if ((flags & kO_TRUNC) != 0) mask |= 2;
    return mask;
}

// may_open() of Linux's fs/namei.c.
Result<void> check_open(const Path& path, std::uint32_t flags, const Credentials& credentials) {
    const Inode& inode = *path.inode();
    const std::uint32_t mask = wanted_access(flags);
    switch (inode.type()) {
        case kModeSymlink: return Errno::kELOOP;
        case kModeDirectory:
            if ((mask & 2) != 0) return Errno::kEISDIR;
            break;
        case kModeBlock:
        case kModeCharacter:
            if ((path.mount()->flags() & kMS_NODEV) != 0) return Errno::kEACCES;
            break;
        case kModeRegular:
            if ((mask & 2) != 0 && path.mount()->is_read_only()) return Errno::kEROFS;
            break;
        default: break;
    }
    TRY(check_permission(inode, mask, credentials));
    if ((flags & kO_NOATIME) != 0 && !is_owner(inode, credentials)) return Errno::kEPERM;
    return {};
}

Result<Ref<File>> finish_open(const Path& path, std::uint32_t flags) {
    Inode& inode = *path.inode();
    Ref<File> file = TRY(inode.open(OpenContext{path, flags}));
    file->set_path(path);
    return file;
}

Result<Ref<File>> open_found(const LookupContext& context, Opened found, std::uint32_t flags) {
    Inode& inode = *found.path.inode();
    if (!found.created) {
        if ((flags & kO_CREAT) != 0 && inode.is_directory()) return Errno::kEISDIR;
        if ((flags & kO_DIRECTORY) != 0 && !inode.is_directory()) return Errno::kENOTDIR;
        TRY(check_open(found.path, flags, context.credentials));
    }
    Ref<File> file = TRY(finish_open(found.path, flags));
    // open(2): O_TRUNC has no effect on FIFOs and terminals.
    if ((flags & kO_TRUNC) != 0 && !found.created && inode.is_regular()) {
        Attributes wanted;
        wanted.size = 0;
        sched::WriteGuard guard(inode.lock());
        TRY(inode.set_attributes(wanted, kSetSize));
    }
    return file;
}

// Without O_CREAT.
Result<Ref<File>> open_existing(const LookupContext& context, std::string_view name,
                                std::uint32_t flags, std::uint32_t lookup_flags) {
    if ((flags & kO_NOFOLLOW) == 0) lookup_flags |= kLookupFollow;
    Walk walk(context, lookup_flags);
    Opened found;
    found.path = TRY(walk.resolve(name));
    if ((flags & kO_PATH) != 0) {
        if ((flags & kO_DIRECTORY) != 0 && !found.path.inode()->is_directory())
            return Errno::kENOTDIR;
        Ref<File> file = TRY(mem::make_ref<PathFile>(flags));
        file->set_path(std::move(found.path));
        return file;
    }
    return open_found(context, std::move(found), flags);
}

}  // namespace

/// inode_init_owner() of Linux's fs/inode.c: a set-group-ID directory hands its group on.
NewObject new_object(const Inode& directory, std::uint32_t mode, const LookupContext& context) {
    NewObject object{(mode & kModeTypeMask) | (mode & kModePermissions & ~context.umask),
                     context.credentials.uid, context.credentials.gid};
    if ((directory.mode() & kModeSetGid) != 0) {
        object.gid = directory.gid();
        if ((mode & kModeTypeMask) == kModeDirectory) object.mode |= kModeSetGid;
    }
    return object;
}

Result<void> check_create(const Path& directory, const Credentials& credentials) {
    if (directory.dentry()->is_unlinked()) return Errno::kENOENT;
    return check_permission(*directory.inode(), 3, credentials);
}

namespace {

// The last component under O_CREAT: what is there, or a new regular file.
Result<Ref<Dentry>> find_or_create(const LookupContext& context, const Path& directory,
                                   std::string_view name, std::uint32_t mode, bool* created) {
    Dentry& parent = *directory.dentry();
    Inode& inode = *parent.inode();
    if (inode.file_system().caches_names()) {
        Ref<Dentry> known = DentryCache::find(parent, name, NameHash::of(parent, name));
        if (known && !known->is_negative()) return known;
    }
    sched::WriteGuard guard(inode.lock());
    Ref<Dentry> dentry = TRY(lookup_locked(parent, name));
    if (!dentry->is_negative()) return dentry;
    if (directory.mount()->is_read_only()) return Errno::kEROFS;
    TRY(check_create(directory, context.credentials));
    const NewObject object = new_object(inode, kModeRegular | (mode & kModePermissions), context);
    Ref<Inode> made = TRY(inode.create(name, object.mode, 0, object.uid, object.gid));
    DentryCache::set_inode(*dentry, std::move(made));
    *created = true;
    return dentry;
}

Result<Ref<File>> open_create(const LookupContext& context, std::string_view name,
                              std::uint32_t flags, std::uint32_t mode, std::uint32_t lookup_flags) {
    const bool exclusive = (flags & kO_EXCL) != 0;
    Walk walk(context, lookup_flags);
    TRY(walk.to_parent(name));
    for (;;) {
        if (walk.last_kind() != Last::kNormal) return exclusive ? Errno::kEEXIST : Errno::kEISDIR;
        if (walk.trailing_slash()) return Errno::kEISDIR;
        Opened found;
        Ref<Dentry> dentry =
            TRY(find_or_create(context, walk.directory(), walk.last(), mode, &found.created));
        found.path = Path(Ref<Mount>(walk.directory().mount()), std::move(dentry));
        if (!found.created && exclusive) return Errno::kEEXIST;
        cross_mounts(&found.path);
        if (found.path.inode()->is_symlink()) {
            if ((flags & kO_NOFOLLOW) != 0) return Errno::kELOOP;
            if (!TRY(walk.follow_last(found.path))) continue;
            found.path = walk.directory();
        }
        return open_found(context, std::move(found), flags);
    }
}

// O_TMPFILE: `name` is a directory.
Result<Ref<File>> open_unnamed(const LookupContext& context, std::string_view name,
                               std::uint32_t flags, std::uint32_t mode,
                               std::uint32_t lookup_flags) {
    if ((wanted_access(flags) & 2) == 0) return Errno::kEINVAL;
    Walk walk(context, lookup_flags | kLookupFollow | kLookupDirectory);
    const Path directory = TRY(walk.resolve(name));
    if (directory.mount()->is_read_only()) return Errno::kEROFS;
    TRY(check_permission(*directory.inode(), 3, context.credentials));
    const NewObject object =
        new_object(*directory.inode(), kModeRegular | (mode & kModePermissions), context);
    Ref<Inode> inode;
    {
        sched::WriteGuard guard(directory.inode()->lock());
        inode = TRY(directory.inode()->create_unnamed(object.mode, object.uid, object.gid));
    }
    // Linux calls it "#INODE".
    Ref<Dentry> dentry = TRY(Dentry::create(directory.dentry(), "#tmpfile", std::move(inode)));
    DentryCache::unlink(*dentry);
    return finish_open(Path(Ref<Mount>(directory.mount()), std::move(dentry)),
                       flags & ~kO_DIRECTORY);
}

}  // namespace

Result<Path> lookup(const LookupContext& context, std::string_view name, std::uint32_t flags) {
    Walk walk(context, flags);
    return walk.resolve(name);
}

Result<Ref<File>> open(const LookupContext& context, std::string_view name, std::uint32_t flags,
                       std::uint32_t mode, std::uint32_t lookup_flags) {
    if ((flags & kO_PATH) != 0) flags &= kO_PATH | kO_DIRECTORY | kO_NOFOLLOW | kO_CLOEXEC;
    if ((flags & kO_TMPFILE_BIT) != 0) {
        // open(2): without O_DIRECTORY an old kernel would make a file of that name.
        if ((flags & kO_DIRECTORY) == 0 || (flags & kO_CREAT) != 0) return Errno::kEINVAL;
        return open_unnamed(context, name, flags, mode, lookup_flags);
    }
    if ((flags & kO_CREAT) == 0) return open_existing(context, name, flags, lookup_flags);
    // Since Linux 6.4; before, a regular file was made and ENOTDIR returned.
    if ((flags & kO_DIRECTORY) != 0) return Errno::kEINVAL;
    return open_create(context, name, flags, mode, lookup_flags);
}

Result<Ref<File>> open_path(const Path& path, std::uint32_t flags) {
    if (!path.inode()) return Errno::kENOENT;
    return finish_open(path, flags);
}

}  // namespace kiln::vfs
