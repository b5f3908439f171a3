#include "mount_table.hpp"

#include <cstring>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/sched/mutex.hpp>

namespace kiln::vfs {
namespace {

constinit sched::Mutex change_lock{sync::LockRank::kMountList};
constinit Mount* root_mount = nullptr;  // holds a reference; set once
constinit std::uint32_t next_id = 1;    // guarded by change_lock

}  // namespace

Mount::Mount(Ref<FileSystem> fs, Ref<Dentry> root, std::uint32_t flags, std::uint32_t id)
    : fs_(std::move(fs)), root_(std::move(root)), flags_(flags), id_(id) {}

// The last reference of a mount is the last of its file system's names, too: the inodes in the
// cache must go before the file system does.
Mount::~Mount() {
    DentryCache::purge(*fs_);
    root_ = nullptr;
}

namespace {

Result<Ref<Mount>> make_mount(Ref<FileSystem> fs, std::string_view source, std::uint32_t flags) {
    Ref<Inode> inode = fs->root();
    if (!inode) return Errno::kENOMEM;
    Ref<Dentry> root = TRY(Dentry::create(nullptr, {}, std::move(inode)));
    Ref<Mount> mount = TRY(mem::make_ref<Mount>(std::move(fs), std::move(root), flags, next_id));
    next_id++;
    mount->set_source(source);
    return mount;
}

}  // namespace

void Mount::set_source(std::string_view source) {
    source_length_ = static_cast<std::uint8_t>(std::min(source.size(), sizeof(source_)));
    source.copy(source_, source_length_);
}

MountTable::MountList& MountTable::list() {
    static constinit MountList mounts;
    return mounts;
}

Mount* MountTable::find_locked(const Mount& parent, const Dentry& point) {
    auto& mounts = list();
    for (Mount* m = mounts.back(); m; m = mounts.prev(*m)) {
        if (m->parent() == &parent && m->mount_point() == &point) return m;
    }
    return nullptr;
}

Result<void> MountTable::add_root(Ref<FileSystem> fs, std::string_view source) {
    sched::MutexGuard guard(change_lock);
    if (root_mount) return Errno::kEBUSY;
    Ref<Mount> mount = TRY(make_mount(std::move(fs), source, 0));
    sync::SpinGuard spin(DentryCache::lock());
    mount->ref();  // the list's
    list().push_back(*mount);
    root_mount = mount.release();
    return {};
}

Result<void> MountTable::add(const Path& where, Ref<FileSystem> fs, std::string_view source,
                             std::uint32_t flags) {
    if (!where.inode()) return Errno::kENOENT;
    if (where.dentry()->is_unlinked()) return Errno::kENOENT;
    Ref<Inode> new_root = fs->root();
    if (!new_root) return Errno::kENOMEM;
    if (where.inode()->is_directory() != new_root->is_directory()) return Errno::kENOTDIR;
    sched::MutexGuard guard(change_lock);
    Ref<Mount> mount = TRY(make_mount(std::move(fs), source, flags));
    mount->parent_ = Ref<Mount>(where.mount());
    mount->mount_point_ = Ref<Dentry>(where.dentry());
    sync::SpinGuard spin(DentryCache::lock());
    where.dentry()->mounts_.fetch_add(1, std::memory_order_relaxed);
    list().push_back(*mount.release());
    return {};
}

Result<void> MountTable::remove(const Path& where, std::uint32_t flags) {
    sched::MutexGuard guard(change_lock);
    Mount* mount = where.mount();
    if (&mount->root() != where.dentry()) return Errno::kEINVAL;
    if (!mount->parent()) return Errno::kEBUSY;  // the root: nothing to go on with
    {
        sync::SpinGuard spin(DentryCache::lock());
        if (!mount->node_.is_linked()) return Errno::kEINVAL;
        // The list and `where` hold one each; more: open files, directories, mounts below.
        if ((flags & abi::kMNT_DETACH) == 0 && mount->ref_count() > 2) return Errno::kEBUSY;
        MountList::remove(*mount);
        mount->mount_point()->mounts_.fetch_sub(1, std::memory_order_relaxed);
    }
    mount->unref();  // the list's; `where` keeps it until the caller lets go
    return {};
}

Path MountTable::root() {
    if (!root_mount) return {};
    return Path(Ref<Mount>(root_mount), Ref<Dentry>(&root_mount->root()));
}

void MountTable::for_each(bool (*visit)(const MountInfo&, void*), void* cookie) {
    sched::MutexGuard guard(change_lock);
    for (Mount& m : list()) {
        Path where;
        if (m.parent()) where = Path(Ref<Mount>(m.parent()), Ref<Dentry>(m.mount_point()));
        const MountInfo info{m.id(),           m.parent() ? m.parent()->id() : m.id(), m.source(),
                             &m.file_system(), m.parent() ? &where : nullptr,          m.flags()};
        if (!visit(info, cookie)) return;
    }
}

Result<void> mount_root(Ref<FileSystem> fs, std::string_view source) {
    return MountTable::add_root(std::move(fs), source);
}
Result<void> mount(const Path& where, Ref<FileSystem> fs, std::string_view source,
                   std::uint32_t flags) {
    return MountTable::add(where, std::move(fs), source, flags);
}
Result<void> unmount(const Path& where, std::uint32_t flags) {
    return MountTable::remove(where, flags);
}
Path root_path() { return MountTable::root(); }
void for_each_mount(bool (*visit)(const MountInfo&, void*), void* cookie) {
    MountTable::for_each(visit, cookie);
}

}  // namespace kiln::vfs
