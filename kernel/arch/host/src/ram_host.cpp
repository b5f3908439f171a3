// Physical memory of the pretended machine, and what differs from the guest in page tables.
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>

#include <kiln/arch/host.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/paging.hpp>

namespace kiln {
namespace {

struct Arena {
    std::byte* base = nullptr;
    std::uint64_t size = 0;
};
Arena arena;
std::atomic<std::uint64_t> flushes{0};
thread_local PhysAddr loaded_root{};

Arena& ram() {
    if (arena.base == nullptr) host::set_ram_size(64_MiB);
    return arena;
}

}  // namespace

void host::set_ram_size(std::uint64_t bytes) {
    KILN_ASSERT(is_aligned(bytes, kPageSize) && bytes >= 2_MiB);
    if (arena.base != nullptr) munmap(arena.base, arena.size);
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    KILN_ASSERT(p != MAP_FAILED);
    arena = {static_cast<std::byte*>(p), bytes};
}
std::uint64_t host::ram_size() { return ram().size; }
std::uint64_t host::tlb_flushes() { return flushes.load(); }
PhysAddr host::loaded_page_table_root() { return loaded_root; }

namespace hal {

void* phys_to_virt(PhysAddr p) {
    Arena& a = ram();
    KILN_ASSERT(p.value < a.size);
    return a.base + p.value;
}
PhysAddr virt_to_phys(const void* v) {
    Arena& a = ram();
    const auto offset =
        reinterpret_cast<std::uintptr_t>(v) - reinterpret_cast<std::uintptr_t>(a.base);
    KILN_ASSERT(offset <= a.size);
    return {offset};
}

// The page below 64 KiB that a PC's firmware owns serves as the kernel's root, so that tests need no allocator for it.
PhysAddr kernel_page_table_root() { return {kPageSize}; }

void flush_tlb_page(VirtAddr) { ++flushes; }
void flush_tlb_range(VirtAddr, std::uint64_t) { ++flushes; }
void flush_tlb_all() { ++flushes; }
void load_page_table_root(PhysAddr root) { loaded_root = root; }

}  // namespace hal
}  // namespace kiln
