// The buddy allocator behind <kiln/mem/pages.hpp>, as a class so that tests make their own over any RAM.
//
// What is true at all times:
// - RAM is cut into chunks of 2^kMaxOrder pages (4 MiB), opened in ascending order and only when the free lists run dry.
//   Frame records of chunks that are not open yet hold garbage; nobody can own a page there.
// - In an open chunk exactly the *first* frame of each block (free, allocated or reserved) has a valid record. That is
//   enough: a block's buddy is always the first frame of some block, and it keeps opening a chunk and splitting cheap.
// - Pages that are in RAM but not usable (kernel image, initrd, holes) are reserved: they count no references.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include <config/nr_cpus.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/base/result.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::mem {

/// What a block is, in the low bits of PageFrame::state. The rest: order, and what the owner stores.
enum class BlockKind : std::uint32_t {
    kFree = 1,
    kAllocated = 2,
    kReserved = 3,
    kCached = 4,    ///< single page in a CPU's cache
    kSlab = 5,      ///< first page of a heap slab
    kSlabTail = 6,  ///< further pages of a slab
    kLarge = 7,     ///< first page of a large heap allocation
};

constexpr std::uint32_t block_state(BlockKind kind, unsigned order, std::uint32_t owner = 0) {
    return static_cast<std::uint32_t>(kind) | order << 4 | owner << 8;
}
constexpr BlockKind block_kind(std::uint32_t state) { return static_cast<BlockKind>(state & 0xf); }
constexpr unsigned block_order(std::uint32_t state) { return state >> 4 & 0xf; }
constexpr std::uint32_t block_owner(std::uint32_t state) { return state >> 8; }

class PageAllocator {
public:
    static constexpr std::uint32_t kNoPage = 0;  ///< page 0 is never given out
    static constexpr std::uint32_t kReservedRefs = UINT32_MAX;

    static constexpr std::uint32_t kCacheSize = 30;
    /// Single pages that a CPU has at hand. Touched by that CPU alone, with interrupts off.
    struct alignas(64) CpuCache {
        std::uint32_t count = 0;
        std::uint32_t pages[kCacheSize] = {};
    };
    /// Kept apart so that the kernel's own lies in .bss.
    using CpuCaches = std::array<CpuCache, config::nr_cpus>;

    explicit constexpr PageAllocator(CpuCaches& caches) : caches_(caches) {}
    KILN_NON_COPYABLE(PageAllocator);

    /// `ram` ascending and disjoint; `reserved` in any order, may overlap. `direct_map`: where physical address 0
    /// appears (tests; null: hal's direct map).
    void init(std::span<const hal::MemoryRange> ram, std::span<const hal::MemoryRange> reserved,
              std::byte* direct_map = nullptr);

    Result<PhysAddr> allocate(unsigned order, std::uint32_t flags);
    void free(PhysAddr block, unsigned order);
    void ref(PhysAddr page);
    void unref(PhysAddr page);
    std::uint32_t refs(PhysAddr page);
    PageStats stats();

    /// `pages` contiguous pages, aligned as the next power of two; what is over goes back at once.
    Result<PhysAddr> allocate_run(std::uint32_t pages, std::uint32_t flags);
    void free_run(PhysAddr run, std::uint32_t pages);

    /// The record of a page that is in an open chunk; null when the page is not RAM.
    PageFrame* frame(std::uint32_t page) {
        const Region& first = regions_[0];
        if (page - first.begin < first.count) [[likely]]
            return &first.frames[page - first.begin];
        return other_frame(page);
    }

    void* to_virt(std::uint32_t page) const {
        const std::uint64_t address = std::uint64_t{page} << kPageShift;
#ifdef KILN_HOST
        if (direct_map_) return direct_map_ + address;
#endif
        return hal::phys_to_virt({address});
    }
    std::uint32_t to_page(const void* p) const {
#ifdef KILN_HOST
        if (direct_map_)
            return static_cast<std::uint32_t>((static_cast<const std::byte*>(p) - direct_map_) >>
                                              kPageShift);
#endif
        return static_cast<std::uint32_t>(hal::virt_to_phys(p).value >> kPageShift);
    }

    std::uint64_t reclaim(std::uint64_t wanted);
    void set_reclaim_hook(std::uint64_t (*hook)(std::uint64_t)) { reclaim_ = hook; }
    /// For tests: walks the open chunks and panics if blocks overlap, leave gaps or the counts disagree. Returns free pages.
    std::uint64_t check();

private:
    static constexpr std::uint32_t kChunkPages = 1u << kMaxOrder;
    static constexpr std::size_t kMaxRegions = 8;
    static constexpr std::size_t kMaxRuns = 32;
    static constexpr unsigned kRefillOrder = 3;
    static constexpr std::uint32_t kDrain = 16;

    /// Frame records cover [begin, begin+count): RAM ranges and the small holes between them.
    struct Region {
        std::uint32_t begin;
        std::uint32_t count;
        PageFrame* frames;
    };
    /// Usable pages: RAM that is not reserved. Ascending.
    struct Run {
        std::uint32_t begin;
        std::uint32_t end;
    };

    PageFrame* other_frame(std::uint32_t page);
    Region* region_of(std::uint32_t page);
    bool is_usable(std::uint32_t page) const;
    void add_ram(std::uint32_t begin, std::uint32_t end);
    void remove_usable(std::uint32_t begin, std::uint32_t end);
    bool carve_frames();

    [[gnu::noinline]] Result<PhysAddr> allocate_refilling(std::uint32_t flags);
    [[gnu::noinline]] Result<PhysAddr> allocate_block(unsigned order, std::uint32_t flags);
    [[gnu::noinline]] Result<PhysAddr> allocate_slow(unsigned order, std::uint32_t flags);
    [[gnu::always_inline]] PhysAddr finish(std::uint32_t page, unsigned order, std::uint32_t flags);
    [[gnu::noinline]] PhysAddr zeroed(PhysAddr block, unsigned order);
    [[gnu::noinline]] void free_block(std::uint32_t page, unsigned order);
    bool refill(CpuCache& cache);
    [[gnu::noinline]] std::uint32_t drain_own_cache(std::uint32_t keep);

    // Below: under lock_.
    std::uint32_t take_block(unsigned order);
    void put_block(std::uint32_t page, unsigned order);
    void push_free(std::uint32_t page, unsigned order);
    void remove_free(PageFrame* f, unsigned order);
    bool open_chunk();
    /// Calls `fn(page, order)` for the aligned blocks that make up [begin, end).
    template <typename Fn>
    static void for_each_block(std::uint32_t begin, std::uint32_t end, Fn fn) {
        while (begin < end) {
            const unsigned by_size = 31u - static_cast<unsigned>(std::countl_zero(end - begin));
            const unsigned by_alignment =
                static_cast<unsigned>(std::countr_zero(begin | kChunkPages));
            const unsigned order = by_size < by_alignment ? by_size : by_alignment;
            fn(begin, order);
            begin += 1u << order;
        }
    }

    Region regions_[kMaxRegions] = {};
    std::uint32_t region_count_ = 0;
    Run runs_[kMaxRuns] = {};
    std::uint32_t run_count_ = 0;
    std::uint64_t total_pages_ = 0;
    std::uint64_t usable_pages_ = 0;
    std::uint64_t (*reclaim_)(std::uint64_t) = nullptr;
#ifdef KILN_HOST
    std::byte* direct_map_ = nullptr;
#endif

    sync::SpinLock lock_{sync::LockRank::kPages};
    std::uint32_t free_heads_[kMaxOrder + 1] = {};
    std::uint32_t nonempty_ = 0;     ///< bit k: free_heads_[k] is not empty
    std::uint32_t open_end_ = 0;     ///< chunks below are open
    std::uint32_t open_run_ = 0;     ///< first run that reaches beyond open_end_
    std::uint64_t free_listed_ = 0;  ///< pages in the free lists
    std::uint64_t unopened_ = 0;     ///< usable pages in chunks that are not open
    CpuCaches& caches_;
};

/// The one behind the public functions.
extern PageAllocator kernel_pages;

/// Unmaps the kernel stacks kept for reuse; returns pages freed.
std::uint64_t kernel_map_trim();
/// Gives back what the heap and the stack cache can spare; returns pages freed.
std::uint64_t trim_caches();

}  // namespace kiln::mem
