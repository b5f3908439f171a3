// The pages of a file.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/sched/mutex.hpp>
#include <kiln/vm/memory_object.hpp>

#include <kiln/fs/ramfs.hpp>

namespace kiln::fs {

/// A sparse array of pages: a tree with 512-way nodes of a page each, as high as the largest index
/// needs. Holds one reference to each page.
class FilePages final : public vm::MemoryObject {
public:
    explicit FilePages(Ref<RamUsage> usage) : usage_(std::move(usage)) {}
    ~FilePages() override;

    Result<vm::ObjectPage> get_page(std::uint64_t index, hal::Access access) override;
    std::uint64_t size() const override { return size_.load(std::memory_order_acquire); }
    void set_size(std::uint64_t size) { size_.store(size, std::memory_order_release); }

    /// The page with a reference for the caller, or 0 (a hole).
    PhysAddr find(std::uint64_t index);
    /// The page, made when it is missing, with a reference for the caller. A new one is zeroed only
    /// if `zeroed`; then its contents are the caller's business at once. ENOSPC, ENOMEM.
    enum class Contents : std::uint8_t { kZeroed, kToBeWritten };
    Result<PhysAddr> find_or_make(std::uint64_t index, Contents contents, bool* made);
    /// Frees the pages [begin, end).
    void remove(std::uint64_t begin, std::uint64_t end);
    /// Zeroes part of a page if it is there.
    void zero(std::uint64_t index, std::size_t from, std::size_t to);
    /// The first index in [begin, end) with (or without) a page; `end` if there is none.
    std::uint64_t next(std::uint64_t begin, std::uint64_t end, bool hole);
    std::uint64_t page_count() const { return pages_.load(std::memory_order_relaxed); }

private:
    static constexpr unsigned kFanoutShift = 9;
    static constexpr std::uint64_t kFanout = 1u << kFanoutShift;
    using Node = PhysAddr;  // of a page with kFanout physical addresses; a leaf is a file page

    static PhysAddr* slots(Node node);
    bool covers(std::uint64_t index) const;
    PhysAddr* slot(std::uint64_t index);
    Result<PhysAddr*> make_slot(std::uint64_t index);
    void free_page(PhysAddr page);
    bool remove_below(Node node, unsigned level, std::uint64_t first, std::uint64_t begin,
                      std::uint64_t end);
    std::uint64_t next_locked(std::uint64_t begin, std::uint64_t end, bool hole);

    sched::Mutex lock_{sync::LockRank::kMemoryObject};
    PhysAddr root_{0};     // the page with index 0 when levels_ is 0
    unsigned levels_ = 0;  // of nodes above the pages
    std::atomic<std::uint64_t> size_{0};
    std::atomic<std::uint64_t> pages_{0};
    Ref<RamUsage> usage_;
};

/// A regular file.
class RamFile final : public RamInode {
public:
    RamFile(RamFs& fs, std::uint32_t mode, std::uint32_t uid, std::uint32_t gid,
            std::uint32_t links, Ref<FilePages> pages)
        : RamInode(fs, vfs::kModeRegular | (mode & vfs::kModePermissions), uid, gid, links, 0),
          pages_(std::move(pages)) {}

    Result<vfs::Attributes> attributes() override;
    Result<void> set_attributes(const vfs::Attributes& values, std::uint32_t mask) override;
    std::uint64_t size() override { return pages_->size(); }
    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t offset) override;
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t offset) override;
    Result<Ref<vm::MemoryObject>> memory_object() override { return Ref<vm::MemoryObject>(pages_); }
    Result<void> allocate(int mode, std::uint64_t offset, std::uint64_t length) override;
    Result<std::uint64_t> seek_data_or_hole(std::uint64_t offset, bool hole) override;

private:
    void resize(std::uint64_t size);
    void punch(std::uint64_t offset, std::uint64_t length);
    Ref<FilePages> pages_;
};

}  // namespace kiln::fs
