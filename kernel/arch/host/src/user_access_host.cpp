// The application's memory is the test's own; what is bad is said by set_bad_user_range().
#include <algorithm>
#include <cstring>

#include <kiln/arch/host.hpp>
#include <kiln/hal/user_access.hpp>

namespace kiln {
namespace {

std::uintptr_t bad_begin = 0;
std::uintptr_t bad_end = 0;
constexpr std::uintptr_t kNullPageEnd = 4096;

/// Bytes from `address` on that can be touched, at most `length`.
std::size_t good_bytes(std::uintptr_t address, std::size_t length) {
    if (address < kNullPageEnd) return 0;
    if (address >= bad_begin && address < bad_end) return 0;
    if (address < bad_begin) return std::min<std::size_t>(length, bad_begin - address);
    return length;
}

}  // namespace

void host::set_bad_user_range(const void* begin, std::size_t length) {
    bad_begin = length == 0 ? 0 : reinterpret_cast<std::uintptr_t>(begin);
    bad_end = bad_begin + length;
}

namespace hal {

std::size_t copy_from_user(void* to, std::uintptr_t from, std::size_t length) {
    const std::size_t good = good_bytes(from, length);
    if (good != 0) std::memcpy(to, reinterpret_cast<const void*>(from), good);
    return length - good;
}
std::size_t copy_to_user(std::uintptr_t to, const void* from, std::size_t length) {
    const std::size_t good = good_bytes(to, length);
    if (good != 0) std::memcpy(reinterpret_cast<void*>(to), from, good);
    return length - good;
}
std::size_t zero_user(std::uintptr_t to, std::size_t length) {
    const std::size_t good = good_bytes(to, length);
    if (good != 0) std::memset(reinterpret_cast<void*>(to), 0, good);
    return length - good;
}
std::ptrdiff_t strnlen_user(std::uintptr_t from, std::size_t limit) {
    for (std::size_t i = 0; i < limit; ++i) {
        if (good_bytes(from + i, 1) == 0) return -1;
        if (*reinterpret_cast<const char*>(from + i) == '\0') return static_cast<std::ptrdiff_t>(i);
    }
    return static_cast<std::ptrdiff_t>(limit);
}
bool load_user_u32(std::uintptr_t address, std::uint32_t* value) {
    if (good_bytes(address, sizeof(*value)) != sizeof(*value)) return false;
    *value = __atomic_load_n(reinterpret_cast<std::uint32_t*>(address), __ATOMIC_SEQ_CST);
    return true;
}
bool cmpxchg_user_u32(std::uintptr_t address, std::uint32_t* expected, std::uint32_t desired) {
    if (good_bytes(address, sizeof(*expected)) != sizeof(*expected)) return false;
    __atomic_compare_exchange_n(reinterpret_cast<std::uint32_t*>(address), expected, desired, false,
                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return true;
}
void user_access_nofault_begin() {}
void user_access_nofault_end() {}
bool read_memory_safely(void* to, std::uintptr_t from, std::size_t length) {
    return copy_from_user(to, from, length) == 0;
}

}  // namespace hal
}  // namespace kiln
