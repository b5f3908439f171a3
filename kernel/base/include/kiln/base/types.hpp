// Address types and page arithmetic.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace kiln {

/// Base page: 4 KiB on both x86-64 and arm64 (4 KiB granule).
inline constexpr std::size_t kPageShift = 12;
inline constexpr std::size_t kPageSize = std::size_t{1} << kPageShift;

/// A physical address.
struct PhysAddr {
    std::uint64_t value = 0;
    friend auto operator<=>(PhysAddr, PhysAddr) = default;
    constexpr PhysAddr operator+(std::uint64_t n) const { return {value + n}; }
    constexpr std::uint64_t operator-(PhysAddr o) const { return value - o.value; }
};

/// A virtual address, of the kernel or of an application: never dereferenced as it is when it came
/// from an application (UserPtr does that).
struct VirtAddr {
    std::uintptr_t value = 0;
    friend auto operator<=>(VirtAddr, VirtAddr) = default;
    constexpr VirtAddr operator+(std::uintptr_t n) const { return {value + n}; }
    constexpr VirtAddr operator-(std::uintptr_t n) const { return {value - n}; }
    constexpr std::uintptr_t operator-(VirtAddr o) const { return value - o.value; }
    template <typename T>
    T* as() const {
        return reinterpret_cast<T*>(value);
    }
};

/// `alignment` is a power of two.
constexpr std::uint64_t align_down(std::uint64_t v, std::uint64_t alignment) {
    return v & ~(alignment - 1);
}
/// Wraps to 0 at the top of the range: check the input first where it comes from outside.
constexpr std::uint64_t align_up(std::uint64_t v, std::uint64_t alignment) {
    return (v + alignment - 1) & ~(alignment - 1);
}
constexpr bool is_aligned(std::uint64_t v, std::uint64_t alignment) {
    return (v & (alignment - 1)) == 0;
}
constexpr std::uint64_t page_down(std::uint64_t v) { return align_down(v, kPageSize); }
constexpr std::uint64_t page_up(std::uint64_t v) { return align_up(v, kPageSize); }

inline constexpr std::size_t operator""_KiB(unsigned long long n) {
    return static_cast<std::size_t>(n) << 10;
}
inline constexpr std::size_t operator""_MiB(unsigned long long n) {
    return static_cast<std::size_t>(n) << 20;
}
inline constexpr std::size_t operator""_GiB(unsigned long long n) {
    return static_cast<std::size_t>(n) << 30;
}

inline constexpr std::uint64_t kNsPerSec = 1'000'000'000;

/// Sum or product of outside numbers; false when it does not fit.
template <typename T>
[[nodiscard]] constexpr bool checked_add(T a, T b, T* out) {
    return !__builtin_add_overflow(a, b, out);
}
template <typename T>
[[nodiscard]] constexpr bool checked_mul(T a, T b, T* out) {
    return !__builtin_mul_overflow(a, b, out);
}

}  // namespace kiln

/// Deletes copying (and so moving) of a class.
#define KILN_NON_COPYABLE(Class)  \
    Class(const Class&) = delete; \
    Class& operator=(const Class&) = delete
