// Touching application memory from the kernel. A bad address is an answer, not a crash.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kiln/base/types.hpp>
#include <kiln/hal/paging.hpp>

namespace kiln::hal {

/// True when [address, address+length) lies in the application's half (it may still be unmapped).
inline bool is_user_range(std::uintptr_t address, std::size_t length) {
#ifdef KILN_HOST
    return address >= 4096 && address + length >= address;
#else
    return length <= kUserEnd && address <= kUserEnd - length;
#endif
}

// The copies below take a checked user range (is_user_range) and return the number of bytes NOT
// copied: 0 on success. Page faults inside are resolved by demand paging first. Callable with
// interrupts enabled only; may sleep, so never under a spinlock, except between
// user_access_nofault_begin/end (then a missing page is a failure at once).
std::size_t copy_from_user(void* to, std::uintptr_t from, std::size_t length);
std::size_t copy_to_user(std::uintptr_t to, const void* from, std::size_t length);
std::size_t zero_user(std::uintptr_t to, std::size_t length);
/// Length of the NUL-terminated string at `from`, at most `limit`; limit if there is no NUL; -1 on
/// a fault.
std::ptrdiff_t strnlen_user(std::uintptr_t from, std::size_t limit);

/// Atomic accesses for futexes; `address` is 4-byte aligned and checked. False: fault.
bool load_user_u32(std::uintptr_t address, std::uint32_t* value);
/// *address: if equal to *expected, becomes desired; *expected gets the old value.
bool cmpxchg_user_u32(std::uintptr_t address, std::uint32_t* expected, std::uint32_t desired);

void user_access_nofault_begin();
void user_access_nofault_end();

/// Reads kernel or application memory without ever faulting (debugger, backtrace). False if
/// unreadable.
bool read_memory_safely(void* to, std::uintptr_t from, std::size_t length);

}  // namespace kiln::hal
