// The kernel heap. Which allocator stands behind it is a configuration choice (general, region).
#pragma once

#include <cstddef>
#include <new>
#include <utility>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>

namespace kiln::mem {

/// `size` bytes aligned to 16, or null; at most 4 MiB. Callable in any context, interrupts included; does not sleep.
void* allocate(std::size_t size);
void* allocate_aligned(std::size_t size, std::size_t alignment);
void* allocate_zeroed(std::size_t size);
/// Grows or shrinks; null leaves the old block as it was.
void* reallocate(void* p, std::size_t new_size);
void release(void* p);  ///< null is allowed

struct HeapStats {
    std::size_t used_bytes;
    std::size_t footprint_bytes;  ///< pages taken for the heap
    std::size_t allocations;
};
HeapStats heap_stats();
/// Gives back to the page allocator what is cached; returns pages freed.
std::uint64_t heap_trim();

#ifdef KILN_HOST
/// Host tests: `new` is the C++ library's, so the factories below ask here (inject_allocation_failures()).
bool allocation_failure_due();
#else
constexpr bool allocation_failure_due() { return false; }
#endif

/// `new T(args…)` that can fail: ENOMEM.
template <typename T, typename... Args>
Result<Owned<T>> make_owned(Args&&... args) {
    if (allocation_failure_due()) return Errno::kENOMEM;
    T* p = new (std::nothrow) T(std::forward<Args>(args)...);
    if (!p) return Errno::kENOMEM;
    return Owned<T>(p);
}
/// The same for RefCounted types.
template <typename T, typename... Args>
Result<Ref<T>> make_ref(Args&&... args) {
    if (allocation_failure_due()) return Errno::kENOMEM;
    T* p = new (std::nothrow) T(std::forward<Args>(args)...);
    if (!p) return Errno::kENOMEM;
    return adopt_ref(p);
}

}  // namespace kiln::mem
