#pragma once

#include <atomic>

#include <kiln/fs/overlay.hpp>
#include <kiln/mem/string.hpp>
#include <kiln/mem/vector.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/file_system.hpp>
#include <kiln/vfs/inode.hpp>

namespace kiln::fs {

class OverlayInode;

/// Set in the inode numbers of what exists above only, apart from those of the lower file system.
inline constexpr std::uint64_t kUpperNumber = std::uint64_t{1} << 48;

class OverlayFs final : public vfs::FileSystem {
public:
    OverlayFs(Ref<vfs::FileSystem> lower, Ref<vfs::FileSystem> upper)
        : lower_(std::move(lower)), upper_(std::move(upper)) {}
    Result<void> init();

    Ref<vfs::Inode> root() override { return root_; }
    vfs::FileSystemInfo info() override;
    std::string_view type_name() const override { return "overlay"; }
    Result<void> sync() override { return upper_->sync(); }

    /// The inode that shows `upper` (may be null), or else `lower` found as `name` in `parent`.
    Result<Ref<vfs::Inode>> get(Ref<vfs::Inode> upper, Ref<vfs::Inode> lower, OverlayInode* parent,
                                std::string_view name);
    void forget(OverlayInode& inode);
    sched::Mutex& copy_lock() { return copy_lock_; }
    sync::SpinLock& table_lock() { return table_lock_; }
    /// Keeps the inode of a copied file for ever: its other names below must lead to the copy.
    Result<void> pin(OverlayInode& inode);
    Result<void> reserve_pin();

private:
    // Before the inodes, so that these go first.
    Ref<vfs::FileSystem> lower_;
    Ref<vfs::FileSystem> upper_;
    sched::Mutex copy_lock_{sync::LockRank::kInode};
    sync::SpinLock table_lock_{sync::LockRank::kDentryCache};  // guards LayerMark::above
    mem::Vector<Ref<vfs::Inode>> pinned_;                      // guarded by copy_lock_
    Ref<vfs::Inode> root_;
};

class OverlayInode final : public vfs::Inode {
public:
    OverlayInode(OverlayFs& fs, Ref<vfs::Inode> upper, Ref<vfs::Inode> lower, OverlayInode* parent,
                 mem::String name);
    ~OverlayInode() override;

    Result<vfs::Attributes> attributes() override;
    Result<void> set_attributes(const vfs::Attributes& values, std::uint32_t mask) override;
    std::uint64_t size() override { return real().size(); }
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
    Result<std::size_t> read_link(std::span<char> out) override { return real().read_link(out); }
    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t offset) override {
        return real().read(to, offset);
    }
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t offset) override;
    Result<Ref<vm::MemoryObject>> memory_object() override { return real().memory_object(); }
    Result<void> allocate(int mode, std::uint64_t offset, std::uint64_t length) override;
    Result<std::uint64_t> seek_data_or_hole(std::uint64_t offset, bool hole) override {
        return real().seek_data_or_hole(offset, hole);
    }
    Result<void> sync() override { return real().sync(); }
    Result<Ref<vfs::File>> open(const vfs::OpenContext& context) override;

    vfs::Inode* upper() const { return upper_.load(std::memory_order_acquire); }
    vfs::Inode* lower() const { return lower_.get(); }
    /// The inode that has the contents.
    vfs::Inode& real() const {
        vfs::Inode* u = upper();
        return u ? *u : *lower_;
    }
    /// The upper inode, made now if there is none: a copy of the lower one with at most
    /// `size_limit` bytes of its contents. Its parents are copied first.
    Result<vfs::Inode*> copy_up(std::uint64_t size_limit = UINT64_MAX);

private:
    friend class OverlayFs;
    OverlayFs& overlay() const { return static_cast<OverlayFs&>(*fs_); }
    Result<void> copy_up_one(std::uint64_t size_limit);
    Result<void> copy_contents(vfs::Inode& to, std::uint64_t size);
    bool lower_has(std::string_view name);
    /// Takes the whiteouts out of an upper directory that shows no entries. ENOTEMPTY.
    Result<void> clear();
    template <typename Make>
    Result<Ref<Inode>> make(std::string_view name, Make make_in);
    /// Puts a whiteout where `name` was removed, if the lower directory has that name.
    Result<void> remove_upper(vfs::Inode& upper, std::string_view name, bool directory);

    std::atomic<vfs::Inode*> upper_;  // holds a reference; once set it stays
    const Ref<vfs::Inode> lower_;
    const Ref<OverlayInode> parent_;  // of inodes that were found below
    const mem::String name_;
    std::atomic<std::uint32_t> names_removed_{0};
};

}  // namespace kiln::fs
