// ramfs: files in memory, as Linux's tmpfs without swap.
//
// File contents are pages of a sparse memory object, so read(), write() and mmap() see the same
// bytes. Directories are hash tables whose entries also have a place in the order of their making,
// which is what readdir offsets are made of: an offset stays valid whatever is made or removed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include <kiln/mem/string.hpp>
#include <kiln/mem/vector.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/file_system.hpp>
#include <kiln/vfs/inode.hpp>

namespace kiln::fs {

/// Pages that an instance may have and has. Apart from the file system, because a mapping may
/// outlive it.
class RamUsage : public RefCounted<RamUsage> {
public:
    explicit RamUsage(std::uint64_t limit_pages) : limit_(limit_pages) {}
    /// ENOSPC at the limit.
    Result<void> take(std::uint64_t pages);
    void give_back(std::uint64_t pages) { used_.fetch_sub(pages, std::memory_order_relaxed); }
    std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
    std::uint64_t limit() const { return limit_; }

private:
    const std::uint64_t limit_;
    std::atomic<std::uint64_t> used_{0};
};

class RamFs : public vfs::FileSystem {
public:
    struct Options {
        std::uint32_t root_mode = 0755;
        std::uint32_t uid = 0;
        std::uint32_t gid = 0;
        std::uint64_t limit_pages = UINT64_MAX;  ///< no limit but memory
    };
    static Result<Ref<RamFs>> create(const Options& options);
    /// mount(2): options mode=, uid=, gid=, size= (bytes, with k, m, g, or %), nr_inodes= (ignored by
    /// a file system that has no table of them); EINVAL for others.
    static Result<Ref<vfs::FileSystem>> create_from(const vfs::MountSource& source);

    Ref<vfs::Inode> root() override { return root_; }
    vfs::FileSystemInfo info() override;
    std::string_view type_name() const override { return "tmpfs"; }

    std::uint64_t next_inode_number() {
        return next_number_.fetch_add(1, std::memory_order_relaxed);
    }
    RamUsage& usage() { return *usage_; }

    RamFs(Ref<RamUsage> usage) : usage_(std::move(usage)) {}

protected:
    Ref<vfs::Inode> root_;

private:
    Ref<RamUsage> usage_;
    std::atomic<std::uint64_t> next_number_{1};
};

/// What all kinds of inodes share: times and attributes.
class RamInode : public vfs::Inode {
public:
    Result<vfs::Attributes> attributes() override;
    Result<void> set_attributes(const vfs::Attributes& values, std::uint32_t mask) override;

    // For operations on names, made by the directory.
    void add_link() { links_.fetch_add(1, std::memory_order_relaxed); }
    void drop_link() { links_.fetch_sub(1, std::memory_order_relaxed); }
    void drop_all_links() { links_.store(0, std::memory_order_relaxed); }
    void touch_changed();   ///< ctime
    void touch_modified();  ///< mtime and ctime

protected:
    RamInode(RamFs& fs, std::uint32_t mode, std::uint32_t uid, std::uint32_t gid,
             std::uint32_t links, std::uint64_t rdev);
    /// relatime: an access is noted once after each change.
    void note_access();
    RamFs& ram_fs() const { return static_cast<RamFs&>(*fs_); }

private:
    // Nanoseconds since 1970, as atomics so that stat() takes no lock.
    std::atomic<std::int64_t> atime_;
    std::atomic<std::int64_t> mtime_;
    std::atomic<std::int64_t> ctime_;
    const std::int64_t btime_;
};

class RamDirectory : public RamInode {
public:
    RamDirectory(RamFs& fs, std::uint32_t mode, std::uint32_t uid, std::uint32_t gid)
        : RamInode(fs, vfs::kModeDirectory | (mode & vfs::kModePermissions), uid, gid, 2, 0) {}
    ~RamDirectory() override;

    Result<vfs::Attributes> attributes() override;
    std::uint64_t size() override;
    Result<Ref<Inode>> lookup(std::string_view name) override;
    Result<Ref<Inode>> create(std::string_view name, std::uint32_t mode, std::uint64_t rdev,
                              std::uint32_t uid, std::uint32_t gid) override;
    Result<Ref<Inode>> symlink(std::string_view name, std::string_view target, std::uint32_t uid,
                               std::uint32_t gid) override;
    Result<void> link(std::string_view name, Inode& target) override;
    Result<void> unlink(std::string_view name, Inode& target) override;
    Result<void> rmdir(std::string_view name, Inode& target) override;
    Result<void> rename(std::string_view old_name, Inode& moved, Inode& new_parent,
                        std::string_view new_name, Inode* replaced, std::uint32_t flags) override;
    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override;
    Result<Ref<Inode>> create_unnamed(std::uint32_t mode, std::uint32_t uid,
                                      std::uint32_t gid) override;
    bool is_empty() const { return count_ == 0; }

private:
    struct Entry {
        Entry* chain;            // in the hash bucket
        std::uint64_t sequence;  // place in the order of making
        std::uint32_t hash;
        std::uint8_t length;
        Ref<Inode> inode;
        std::string_view name() const { return {reinterpret_cast<const char*>(this + 1), length}; }
    };
    /// In ascending order of `sequence`; `entry` null: removed.
    struct Slot {
        std::uint64_t sequence;
        Entry* entry;
    };

    static std::uint32_t hash_of(std::string_view name);
    static Result<Entry*> make_entry(std::string_view name, Ref<Inode> inode);
    static void free_entry(Entry* entry);
    Entry* find(std::string_view name);
    /// Room for one more, so that insert() can't fail.
    Result<void> reserve();
    void insert(Entry* entry);
    Entry* take(std::string_view name);
    void compact();
    Result<void> add(std::string_view name, Ref<Inode> inode);
    Result<void> rename_exchange(std::string_view old_name, RamDirectory& other,
                                 std::string_view new_name);

    mem::Vector<Slot> slots_;
    mem::Vector<Entry*> buckets_;  // empty for small directories: they are searched in slots_
    std::size_t count_ = 0;
    std::uint64_t next_sequence_ = 1;
};

/// A file that no directory names, for memfd_create(2). `flags`: O_ bits of the descriptor.
Result<Ref<vfs::File>> open_memory_file(std::string_view name, std::uint32_t flags);

}  // namespace kiln::fs
