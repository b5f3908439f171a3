#include <kiln/mem/pages.hpp>

#include <memory>

#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/mem/heap.hpp>

#include "page_allocator.hpp"

namespace kiln::mem {
namespace {

constinit PageAllocator allocator;

}  // namespace

PageAllocator& page_allocator() { return allocator; }

Result<PhysAddr> allocate_pages(unsigned order, std::uint32_t flags) { return allocator.allocate(order, flags); }
void free_pages(PhysAddr block, unsigned order) { allocator.free(block, order); }
void ref_page(PhysAddr page) { allocator.ref(page); }
void unref_page(PhysAddr page) { allocator.unref(page); }
std::uint32_t page_refs(PhysAddr page) { return allocator.refs(page); }
PageStats page_stats() { return allocator.stats(); }
void set_reclaim_hook(std::uint64_t (*hook)(std::uint64_t)) { allocator.set_reclaim_hook(hook); }

std::uint64_t trim_caches() { return heap_trim() + kernel_map_trim(); }

void init() {
#ifdef KILN_HOST
    // Each test may set up a machine of its own.
    std::construct_at(&allocator);
#endif
    const hal::BootInfo& boot = hal::boot_info();
    allocator.init(boot.ram, boot.reserved);
    hal::set_page_table_allocator({
        .allocate = [] { return allocator.allocate(0, kPageZeroed); },
        .free = [](PhysAddr page) { allocator.free(page, 0); },
    });
}

}  // namespace kiln::mem
