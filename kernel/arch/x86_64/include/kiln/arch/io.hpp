// Instructions that C++ lacks: ports, model-specific and control registers, CPUID.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kiln::arch {

inline std::uint8_t in8(std::uint16_t port) {
    std::uint8_t value;
    asm volatile("inb %w1, %b0" : "=a"(value) : "Nd"(port));
    return value;
}
inline std::uint16_t in16(std::uint16_t port) {
    std::uint16_t value;
    asm volatile("inw %w1, %w0" : "=a"(value) : "Nd"(port));
    return value;
}
inline std::uint32_t in32(std::uint16_t port) {
    std::uint32_t value;
    asm volatile("inl %w1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline void out8(std::uint16_t port, std::uint8_t value) {
    asm volatile("outb %b0, %w1" : : "a"(value), "Nd"(port));
}
inline void out16(std::uint16_t port, std::uint16_t value) {
    asm volatile("outw %w0, %w1" : : "a"(value), "Nd"(port));
}
inline void out32(std::uint16_t port, std::uint32_t value) {
    asm volatile("outl %0, %w1" : : "a"(value), "Nd"(port));
}
/// Writes `count` bytes to a port. One exit for all of them where a hypervisor runs the CPU itself.
inline void out_bytes(std::uint16_t port, const char* bytes, std::size_t count) {
    asm volatile("rep outsb" : "+S"(bytes), "+c"(count) : "d"(port) : "memory");
}

inline std::uint64_t read_msr(std::uint32_t msr) {
    std::uint32_t low;
    std::uint32_t high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (std::uint64_t{high} << 32) | low;
}
inline void write_msr(std::uint32_t msr, std::uint64_t value) {
    asm volatile("wrmsr"
                 :
                 : "c"(msr), "a"(static_cast<std::uint32_t>(value)),
                   "d"(static_cast<std::uint32_t>(value >> 32))
                 : "memory");
}

/// a * b / divisor with all 128 bits of the product; UINT64_MAX when the result does not fit or the divisor is 0.
inline std::uint64_t mul_div(std::uint64_t a, std::uint64_t b, std::uint64_t divisor) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    auto high = static_cast<std::uint64_t>(product >> 64);
    if (high >= divisor) return UINT64_MAX;
    auto low = static_cast<std::uint64_t>(product);
    asm("divq %2" : "+a"(low), "+d"(high) : "rm"(divisor) : "cc");
    return low;
}

struct CpuidResult {
    std::uint32_t eax;
    std::uint32_t ebx;
    std::uint32_t ecx;
    std::uint32_t edx;
};
inline CpuidResult cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
    CpuidResult r;
    asm volatile("cpuid"
                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                 : "a"(leaf), "c"(subleaf));
    return r;
}

inline std::uint64_t read_cr2() {
    std::uint64_t value;
    asm volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}
inline std::uint64_t read_cr3() {
    std::uint64_t value;
    asm volatile("movq %%cr3, %0" : "=r"(value) : : "memory");
    return value;
}
inline void write_cr3(std::uint64_t value) {
    asm volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}
inline std::uint64_t read_cr4() {
    std::uint64_t value;
    asm volatile("movq %%cr4, %0" : "=r"(value) : : "memory");
    return value;
}
inline void write_cr4(std::uint64_t value) {
    asm volatile("movq %0, %%cr4" : : "r"(value) : "memory");
}

// Device memory. The compiler may neither merge nor reorder these.
inline std::uint32_t mmio_read32(const volatile void* at) {
    return *static_cast<const volatile std::uint32_t*>(at);
}
inline void mmio_write32(volatile void* at, std::uint32_t value) {
    *static_cast<volatile std::uint32_t*>(at) = value;
}

}  // namespace kiln::arch
