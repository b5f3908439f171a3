// Host tests: the process has no page tables of its own to map into. Stacks are memory with a guard page, devices RAM.
#include <sys/mman.h>

#include <kiln/hal/paging.hpp>
#include <kiln/mem/kernel_map.hpp>

#include "failure_injection.hpp"
#include "page_allocator.hpp"

namespace kiln::mem {

Result<void*> allocate_stack(std::size_t size) {
    if (failure_injected()) return Errno::kENOMEM;
    void* p = mmap(nullptr, kPageSize + size, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return Errno::kENOMEM;
    std::byte* base = static_cast<std::byte*>(p) + kPageSize;
    KILN_ASSERT(mprotect(base, size, PROT_READ | PROT_WRITE) == 0);
    return static_cast<void*>(base);
}
void free_stack(void* base, std::size_t size) {
    munmap(static_cast<std::byte*>(base) - kPageSize, kPageSize + size);
}
bool is_stack_guard(std::uintptr_t) { return false; }
Result<void*> map_device(PhysAddr at, std::size_t size) {
    if (size == 0) return Errno::kEINVAL;
    return hal::phys_to_virt(at);
}
void unmap_device(void*, std::size_t) {}
std::uint64_t kernel_map_trim() { return 0; }

}  // namespace kiln::mem
