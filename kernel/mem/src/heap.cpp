// The heap of the configuration behind <kiln/mem/heap.hpp>. Guest only: host tests use malloc (heap_host.cpp).
#include <kiln/mem/heap.hpp>

#include <cstring>
#include <type_traits>

#include <config/heap_debug.hpp>
#include <config/heap_general.hpp>

#include "failure_injection.hpp"
#include "heap_debug.hpp"
#include "heap_general.hpp"
#include "heap_region.hpp"

namespace kiln::mem {
namespace {

constinit GeneralHeap::CpuCaches cpu_caches;

// A general heap, with checks or without, or a region heap.
template <bool kGeneral>
struct Choice {
    using Heap = std::conditional_t<config::heap_debug, CheckedHeap<GeneralHeap>, GeneralHeap>;
    static constexpr Heap make() { return Heap(kernel_pages, cpu_caches); }
};
template <>
struct Choice<false> {
    using Heap = RegionHeap;
    static constexpr Heap make() { return Heap(kernel_pages); }
};
constinit auto heap = Choice<config::heap_general>::make();

}  // namespace

void* allocate(std::size_t size) {
    if (failure_injected()) return nullptr;
    return heap.allocate(size);
}
void* allocate_aligned(std::size_t size, std::size_t alignment) {
    if (failure_injected()) return nullptr;
    return heap.allocate_aligned(size, alignment);
}
void* allocate_zeroed(std::size_t size) {
    if (failure_injected()) return nullptr;
    return heap.allocate_zeroed(size);
}
void* reallocate(void* p, std::size_t new_size) {
    if (!p) return allocate(new_size);
    const std::size_t old_size = heap.usable_size(p);
    // Shrinking moves only when it gives back more than half.
    if (!config::heap_debug && new_size <= old_size && new_size > old_size / 2) return p;
    void* moved = allocate(new_size);
    if (!moved) return nullptr;
    std::memcpy(moved, p, old_size < new_size ? old_size : new_size);
    heap.release(p);
    return moved;
}
void release(void* p) { heap.release(p); }
HeapStats heap_stats() { return heap.stats(); }
std::uint64_t heap_trim() { return heap.trim(); }

}  // namespace kiln::mem

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return kiln::mem::allocate(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return kiln::mem::allocate(size);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return kiln::mem::allocate_aligned(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { kiln::mem::release(p); }
void operator delete[](void* p) noexcept { kiln::mem::release(p); }
void operator delete(void* p, std::size_t) noexcept { kiln::mem::release(p); }
void operator delete[](void* p, std::size_t) noexcept { kiln::mem::release(p); }
void operator delete(void* p, std::align_val_t) noexcept { kiln::mem::release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { kiln::mem::release(p); }
