// The general heap: size classes in slabs of one to four pages, a cache per CPU in front, whole pages for what is larger.
//
// A slab has no header: its first page's frame record is it (state: kind, order, class; refs: counts; next, prev: the
// class's list of slabs with room), found from any address by the same look-up that frees pages. So objects of a
// power of two are naturally aligned, and 16 objects of 256 bytes fill a page exactly.
//
// Locks: interrupts off for the CPU cache; lock_ (kHeap) for slabs, inside it the page allocator's (kPages).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <config/nr_cpus.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/sync/spinlock.hpp>

#include "page_allocator.hpp"

namespace kiln::mem {

class GeneralHeap {
public:
    static constexpr std::size_t kLargestClass = 2048;
    static constexpr std::size_t kAlignment = 16;
    static constexpr unsigned kClassCount = 24;

    /// Free objects are linked through their first word.
    struct FreeObject {
        FreeObject* next;
    };
    struct ClassCache {
        FreeObject* head = nullptr;
        std::uint32_t count = 0;
    };
    /// Touched by its CPU alone, with interrupts off.
    struct alignas(64) CpuCache {
        ClassCache classes[kClassCount];
        std::int64_t used_bytes = 0;
        std::int64_t allocations = 0;
    };
    /// Kept apart so that the kernel's own lies in .bss.
    using CpuCaches = std::array<CpuCache, config::nr_cpus>;

    constexpr GeneralHeap(PageAllocator& pages, CpuCaches& caches)
        : pages_(pages), caches_(caches) {}
    KILN_NON_COPYABLE(GeneralHeap);

    void* allocate(std::size_t size);
    void* allocate_aligned(std::size_t size, std::size_t alignment);
    void* allocate_zeroed(std::size_t size);
    void release(void* p);
    /// Bytes that the block at `p` really has.
    std::size_t usable_size(void* p);
    HeapStats stats();
    /// Gives empty slabs and this CPU's cached objects back; returns pages freed.
    std::uint64_t trim();

    static constexpr std::size_t class_size(unsigned index) {
        // 16 … 128 in steps of 16, then four steps to each doubling.
        if (index < 8) return (index + 1) * 16;
        const unsigned doubling = (index - 8) / 4;
        return (std::size_t{128} << doubling) +
               ((index - 8) % 4 + 1) * (std::size_t{32} << doubling);
    }

private:
    static constexpr std::uint32_t cache_limit(unsigned index) {
        return index < 12 ? 32 : index < 20 ? 16 : 8;
    }
    static unsigned slab_order(unsigned index) { return index < 16 ? 0 : index < 20 ? 1 : 2; }
    static unsigned class_of(std::size_t size);

    void* allocate_class(unsigned index);
    void* allocate_large(std::size_t size, std::uint32_t flags);
    void release_large(void* p, PageFrame* frame);

    // Under lock_.
    bool refill(ClassCache& cache, unsigned index);
    void drain(ClassCache& cache, unsigned index, std::uint32_t keep);
    std::uint32_t new_slab(unsigned index);
    void put_object(FreeObject* object, unsigned index);
    void link_partial(std::uint32_t page, unsigned index);
    void unlink_partial(std::uint32_t page, unsigned index);
    void free_slab(std::uint32_t page, unsigned index);

    PageAllocator& pages_;
    CpuCaches& caches_;
    sync::SpinLock lock_{sync::LockRank::kHeap};
    std::uint32_t partial_[kClassCount] = {};  ///< slabs with room, as page numbers
    std::atomic<std::uint64_t> footprint_pages_{0};
};

}  // namespace kiln::mem
