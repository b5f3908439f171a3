// Physical pages: a buddy allocator over all RAM with one frame record per page.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>

namespace kiln::mem {

/// Largest block: 2^kMaxOrder pages (4 MiB).
inline constexpr unsigned kMaxOrder = 10;

enum PageFlags : std::uint32_t {
    kPageZeroed = 1u << 0,     ///< contents are zero on return
    kPageNoReclaim = 1u << 1,  ///< fail instead of calling the reclaim hook (callers holding locks)
};

/// Per-page record. Pages that belong to the kernel image, initrd etc. have a pinned count.
/// Frames are initialised lazily, block by block, so that boot does not walk all of RAM.
struct PageFrame {
    std::atomic<std::uint32_t> refs;
    std::uint32_t state;  ///< order, free, reserved: pages.cpp's business
    std::uint32_t next;   ///< free list links as page numbers
    std::uint32_t prev;
};

/// 2^order contiguous pages, naturally aligned, one reference held. ENOMEM.
Result<PhysAddr> allocate_pages(unsigned order, std::uint32_t flags = 0);
inline Result<PhysAddr> allocate_page(std::uint32_t flags = 0) { return allocate_pages(0, flags); }
/// Frees a block as it was allocated (no other references).
void free_pages(PhysAddr block, unsigned order);

/// Shares a single page (copy-on-write, page cache). Reserved pages (initrd, image) may be
/// referenced, too; it does nothing for them.
void ref_page(PhysAddr page);
/// Drops a reference; frees the page with the last one.
void unref_page(PhysAddr page);
/// References of a page; UINT32_MAX for reserved pages.
std::uint32_t page_refs(PhysAddr page);

struct PageStats {
    std::uint64_t total;     ///< pages of RAM
    std::uint64_t reserved;  ///< image, initrd, frame records
    std::uint64_t free;
};
PageStats page_stats();

/// Called (no locks held) when an allocation fails, before it gives up; returns pages freed.
void set_reclaim_hook(std::uint64_t (*hook)(std::uint64_t wanted));
/// Trims caches and calls the hook; returns pages freed. For callers of kPageNoReclaim, once they hold no locks.
std::uint64_t reclaim(std::uint64_t wanted);

/// Takes RAM from hal::boot_info(), installs hal's page table allocator.
void init();

/// Tests only: makes every n-th allocation (pages and heap) fail; 0 switches it off.
void inject_allocation_failures(std::uint32_t every_nth);

}  // namespace kiln::mem
