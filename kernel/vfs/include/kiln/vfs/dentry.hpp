// Dentries: names in the cache. Mounts: file systems in the tree.
//
// The cache is one hash table over (parent, name). It holds one reference to every dentry in it, so
// that dropping a reference is nothing but a decrement; who is in the table with a count of one is
// unused and can be reclaimed. A dentry holds its parent. One spinlock (rank kDentryCache) guards
// the table, all names and parents, and the mount tree as a walk sees it; a walk over cached names
// takes it once. A name that does not exist is cached, too (negative: no inode).
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include <kiln/base/list.hpp>
#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/vfs/file_system.hpp>
#include <kiln/vfs/inode.hpp>

namespace kiln::vfs {

class Dentry : public RefCounted<Dentry> {
public:
    /// Not yet in the cache. `inode` null: negative. ENOMEM.
    static Result<Ref<Dentry>> create(Dentry* parent, std::string_view name, Ref<Inode> inode);
    ~Dentry();
    /// Destroys it and the parents that only it held.
    void last_reference_dropped();

    /// Null: negative. A positive dentry stays positive while references exist.
    Inode* inode() const { return inode_.load(std::memory_order_acquire); }
    bool is_negative() const { return inode() == nullptr; }
    /// Null for the root of a file system. Valid while the cache lock is held, or the directory
    /// locked.
    Dentry* parent() const { return parent_.get(); }
    std::string_view name() const { return {name_, name_length_}; }
    /// Removed or never had a name.
    bool is_unlinked() const { return unlinked_; }

    /// How many mounts are on it.
    std::uint32_t mounts() const { return mounts_.load(std::memory_order_relaxed); }

private:
    friend class DentryCache;
    friend class MountTable;
    Dentry() = default;
    bool is_inline() const { return name_ == inline_name_; }

    static constexpr std::size_t kInlineName = 32;

    Ref<Dentry> parent_;
    std::atomic<Inode*> inode_{nullptr};  // a reference is held
    Dentry* chain_ = nullptr;             // next in the hash bucket
    char* name_ = inline_name_;           // not NUL-terminated
    ListNode age_node_;                   // in the cache, oldest first
    std::uint32_t hash_ = 0;
    std::uint8_t name_length_ = 0;
    bool hashed_ = false;
    bool unlinked_ = false;
    bool used_ = false;  // looked up since the reclaimer came by
    std::atomic<std::uint32_t> mounts_{0};
    char inline_name_[kInlineName];
};

/// A file system at a place in the tree. The root mount has no parent.
class Mount : public RefCounted<Mount> {
public:
    Mount(Ref<FileSystem> fs, Ref<Dentry> root, std::uint32_t flags, std::uint32_t id);
    ~Mount();

    FileSystem& file_system() const { return *fs_; }
    Dentry& root() const { return *root_; }
    Mount* parent() const { return parent_.get(); }
    Dentry* mount_point() const { return mount_point_.get(); }                      ///< in parent()
    std::uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }  ///< MS_ bits
    bool is_read_only() const { return (flags() & 1) != 0 || fs_->is_read_only(); }
    std::uint32_t id() const { return id_; }
    std::string_view source() const { return {source_, source_length_}; }
    void set_source(std::string_view source);  ///< cut to what fits

private:
    friend class MountTable;
    Ref<FileSystem> fs_;
    Ref<Dentry> root_;
    Ref<Mount> parent_;
    Ref<Dentry> mount_point_;
    std::atomic<std::uint32_t> flags_;
    std::uint32_t id_;
    ListNode node_;
    std::uint8_t source_length_ = 0;
    char source_[47] = {};
};

/// The hash of a name in a directory, computed as the walk scans it.
class NameHash {
public:
    explicit NameHash(const Dentry& parent)
        : value_(static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(&parent) >> 4)) {}
    void add(char c) { value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x01000193u; }
    std::uint32_t value() const { return value_ ^ (value_ >> 15); }
    static std::uint32_t of(const Dentry& parent, std::string_view name) {
        NameHash h(parent);
        for (const char c : name) h.add(c);
        return h.value();
    }

private:
    std::uint32_t value_;
};

/// All functions whose name ends in _locked need lock() held.
class DentryCache {
public:
    static sync::SpinLock& lock();
    /// The dentry, without a reference; null: not cached.
    static Dentry* find_locked(const Dentry& parent, std::string_view name, std::uint32_t hash);
    /// The same with a reference.
    static Ref<Dentry> find(const Dentry& parent, std::string_view name, std::uint32_t hash);
    /// Adds it, or returns the one that is there already under this name.
    static Ref<Dentry> insert(Ref<Dentry> dentry);
    /// Gives a negative dentry its inode.
    static void set_inode(Dentry& dentry, Ref<Inode> inode);
    /// After unlink or rmdir: the dentry leaves the cache and counts as deleted.
    static void unlink(Dentry& dentry);
    /// After rename: `dentry` gets a new place, what was there leaves the cache. ENOMEM leaves all
    /// as it was; call reserve_name() first and pass its result.
    struct NewName {
        char* heap = nullptr;  ///< for names longer than a dentry holds inline
        ~NewName();
    };
    static Result<void> reserve_name(std::string_view name, NewName* out);
    static void move(Dentry& dentry, Dentry& new_parent, std::string_view new_name,
                     NewName& storage, Dentry* replaced);
    static void exchange(Dentry& a, Dentry& b);
    /// Drops unused dentries, oldest first, at most `limit`; returns how many.
    static std::size_t reclaim(std::size_t limit);
    /// Drops all unused dentries of a file system (unmount).
    static void purge(const FileSystem& fs);
    /// Forgets a name (a file system changed it behind the VFS's back).
    static void forget(Dentry& dentry);
    static std::size_t count();
    /// Above this many, each insertion drops an old unused one.
    static void set_limit(std::size_t limit);

private:
    using AgeList = List<Dentry, &Dentry::age_node_>;
    static AgeList& age_list();
    static void link_locked(Dentry& dentry);
    static void unlink_locked(Dentry& dentry);
    static std::size_t collect_locked(std::size_t limit, const FileSystem* only, Dentry** victims);
    static void drop_list(Dentry* victims);
};

}  // namespace kiln::vfs
