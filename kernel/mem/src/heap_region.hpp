// The region heap: smallest code. One address-ordered list of free blocks, first fit, neighbours joined on release;
// grows by whole page runs. For images that allocate at start and then run.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kiln/mem/heap.hpp>
#include <kiln/sync/spinlock.hpp>

#include "page_allocator.hpp"

namespace kiln::mem {

class RegionHeap {
public:
    explicit constexpr RegionHeap(PageAllocator& pages) : pages_(pages) {}
    KILN_NON_COPYABLE(RegionHeap);

    void* allocate(std::size_t size) { return allocate_aligned(size, kAlignment); }
    void* allocate_aligned(std::size_t size, std::size_t alignment);
    void* allocate_zeroed(std::size_t size);
    void release(void* p);
    std::size_t usable_size(void* p);
    HeapStats stats();
    std::uint64_t trim() { return 0; }

private:
    static constexpr std::size_t kAlignment = 16;
    static constexpr std::uint32_t kMagic = 0x4b486270;

    /// Before each block, free or not; 16 bytes, so that what follows is aligned.
    struct Header {
        std::uint32_t magic;  ///< kMagic while allocated
        std::uint32_t size;   ///< with the header
        Header* next;         ///< of a free block
    };
    static_assert(sizeof(Header) == 16);

    void* take(std::size_t size, std::size_t alignment);
    void insert(Header* block);

    PageAllocator& pages_;
    sync::SpinLock lock_{sync::LockRank::kHeap};
    Header* free_ = nullptr;
    std::size_t used_bytes_ = 0;
    std::size_t allocations_ = 0;
    std::size_t footprint_bytes_ = 0;
};

}  // namespace kiln::mem
