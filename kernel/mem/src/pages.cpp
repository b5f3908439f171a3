#include <kiln/mem/pages.hpp>

#include <memory>

#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/mem/heap.hpp>

#include "page_allocator.hpp"

namespace kiln::mem {
namespace {

constinit PageAllocator::CpuCaches cpu_caches;

}  // namespace

constinit PageAllocator kernel_pages(cpu_caches);

Result<PhysAddr> allocate_pages(unsigned order, std::uint32_t flags) {
    return kernel_pages.allocate(order, flags);
}
void free_pages(PhysAddr block, unsigned order) { kernel_pages.free(block, order); }
void ref_page(PhysAddr page) { kernel_pages.ref(page); }
void unref_page(PhysAddr page) { kernel_pages.unref(page); }
std::uint32_t page_refs(PhysAddr page) { return kernel_pages.refs(page); }
PageStats page_stats() { return kernel_pages.stats(); }
std::uint64_t reclaim(std::uint64_t wanted) { return kernel_pages.reclaim(wanted); }
void set_reclaim_hook(std::uint64_t (*hook)(std::uint64_t)) { kernel_pages.set_reclaim_hook(hook); }

std::uint64_t trim_caches() { return heap_trim() + kernel_map_trim(); }

void init() {
#ifdef KILN_HOST
    // Each test may set up a machine of its own.
    cpu_caches = {};
    std::construct_at(&kernel_pages, cpu_caches);
#endif
    const hal::BootInfo& boot = hal::boot_info();
    kernel_pages.init(boot.ram, boot.reserved);
    hal::set_page_table_allocator({
        // Tables are made under locks, the kernel mapper's among them, which reclaim takes.
        .allocate = [] { return kernel_pages.allocate(0, kPageZeroed | kPageNoReclaim); },
        .free = [](PhysAddr page) { kernel_pages.free(page, 0); },
    });
}

}  // namespace kiln::mem
