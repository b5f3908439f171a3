// AnonymousObject: memory without a file behind it, shared by several mappings (MAP_SHARED|MAP_ANONYMOUS, memfd), and
// the contents of a file in ramfs. Sparse: pages come to be when first written.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/vm/memory_object.hpp>

namespace kiln::vm {

/// Safe to call from several threads; read() and write() are each atomic per page only: who needs more (a file's
/// O_APPEND) holds a lock of its own.
class AnonymousObject : public MemoryObject {
public:
    /// `size` in bytes; reads as zeros. ENOMEM.
    static Result<Ref<AnonymousObject>> create(std::uint64_t size);
    ~AnonymousObject() override;

    Result<ObjectPage> get_page(std::uint64_t index, hal::Access access) override;
    std::uint64_t size() const override { return size_.load(std::memory_order_acquire); }

    /// Cuts or extends it (ftruncate). What lay beyond the new end is gone, in mappings, too. EFBIG beyond kMaxSize.
    Result<void> set_size(std::uint64_t size);
    /// Makes the range read as zeros and frees its whole pages (fallocate FALLOC_FL_PUNCH_HOLE, MADV_REMOVE).
    Result<void> punch_hole(std::uint64_t offset, std::uint64_t length);
    Result<void> remove_range(std::uint64_t offset, std::uint64_t length) override {
        return punch_hole(offset, length);
    }
    /// Allocates the pages of the range, so that later writes can't fail. ENOMEM.
    Result<void> reserve(std::uint64_t offset, std::uint64_t length);

    /// From `offset` to the end or as far as `to` goes; returns the bytes moved, 0 at the end. EFAULT.
    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t offset);
    /// Extends it as needed. Returns the bytes moved, fewer than asked only after a fault or without memory; EFAULT,
    /// ENOMEM, EFBIG when not even one byte was.
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t offset);

    /// The first offset >= `offset` that has data (lseek SEEK_DATA), or is in a hole (SEEK_HOLE; the end is one).
    /// ENXIO when there is none.
    Result<std::uint64_t> seek_data(std::uint64_t offset) const;
    Result<std::uint64_t> seek_hole(std::uint64_t offset) const;

    /// Pages allocated (st_blocks / 8).
    std::uint64_t page_count() const { return page_count_.load(std::memory_order_relaxed); }

    static constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 46;

private:
    // A radix tree of 64 entries a node. Leaves hold page addresses, the levels above nodes; height 0: a single page
    // in root_ itself.
    static constexpr unsigned kNodeBits = 6;
    struct Node {
        std::uint64_t slots[std::size_t{1} << kNodeBits];
    };

    explicit AnonymousObject(std::uint64_t size) : size_(size) {}
    template <typename T, typename... Args>
    friend Result<Ref<T>> mem::make_ref(Args&&...);

    Result<PhysAddr> make_page(std::uint64_t index);
    // The rest under lock_.
    PhysAddr lookup(std::uint64_t index) const;
    Result<std::uint64_t*> make_slot(std::uint64_t index);
    void drop_pages(std::uint64_t first, std::uint64_t last, std::uint64_t* entry, unsigned height,
                    std::uint64_t base);
    bool find(std::uint64_t entry, unsigned height, std::uint64_t base, std::uint64_t from,
              std::uint64_t* found) const;
    bool covers(std::uint64_t index) const;
    void zero_part(std::uint64_t offset, std::uint64_t length);

    mutable sync::SpinLock lock_{sync::LockRank::kObjectPages};
    std::uint64_t root_ = 0;
    unsigned height_ = 0;
    std::atomic<std::uint64_t> size_;
    std::atomic<std::uint64_t> page_count_{0};
};

}  // namespace kiln::vm
