// Host tests: malloc under ASan finds more than any check of our own. The kernel's heaps have tests of their own.
#include <cstdlib>
#include <cstring>
#include <new>

#include <kiln/mem/heap.hpp>

#include "failure_injection.hpp"

namespace kiln::mem {

void* allocate(std::size_t size) {
    // Beyond the largest block that the guest's heaps have, it must fail here, too.
    if (failure_injected() || size > (std::size_t{4} << 20)) return nullptr;
    return std::malloc(size ? size : 1);
}
void* allocate_aligned(std::size_t size, std::size_t alignment) {
    if (failure_injected()) return nullptr;
    return std::aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
}
void* allocate_zeroed(std::size_t size) {
    void* p = allocate(size);
    if (p) std::memset(p, 0, size);
    return p;
}
void* reallocate(void* p, std::size_t new_size) {
    if (failure_injected() || new_size > (std::size_t{4} << 20)) return nullptr;
    return std::realloc(p, new_size ? new_size : 1);
}
void release(void* p) { std::free(p); }
HeapStats heap_stats() { return {}; }
std::uint64_t heap_trim() { return 0; }

bool allocation_failure_due() { return failure_injected(); }

}  // namespace kiln::mem

// The kernel's objects are made with these, and fail on purpose like the blocks above. The throwing forms that tests
// use are the host's own.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return kiln::mem::failure_injected() ? nullptr : ::operator new(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return kiln::mem::failure_injected() ? nullptr : ::operator new[](size);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return kiln::mem::failure_injected() ? nullptr : ::operator new(size, alignment);
}
