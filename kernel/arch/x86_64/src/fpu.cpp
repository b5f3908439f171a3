// Vector and x87 state of applications (Intel SDM vol. 1, chapter 13).
#include "fpu.hpp"

#include <cstring>

#include <kiln/arch/io.hpp>
#include <kiln/base/types.hpp>
#include <kiln/hal/thread_context.hpp>

extern "C" {
bool kiln_fpu_use_xsave;
bool kiln_fpu_use_xsaveopt;
}

namespace kiln {
namespace {

// XCR0 bits: x87, SSE, AVX, and AVX-512's three.
constexpr std::uint64_t kX87Sse = 0x3;
constexpr std::uint64_t kAvx = 0x4;
constexpr std::uint64_t kAvx512 = 0xe0;

constexpr std::size_t kFxsaveBytes = 512;
constexpr std::size_t kXsaveHeaderBytes = 64;
constexpr std::size_t kMxcsrOffset = 24;
constexpr std::size_t kMxcsrMaskOffset = 28;
constexpr std::uint16_t kInitialControlWord = 0x37f;
constexpr std::uint32_t kInitialMxcsr = 0x1f80;
constexpr std::uint32_t kDefaultMxcsrMask = 0xffbf;

std::size_t state_bytes = kFxsaveBytes;
std::uint64_t enabled_features = kX87Sse;

void write_xcr0(std::uint64_t value) {
    asm volatile("xsetbv"
                 :
                 : "c"(0), "a"(static_cast<std::uint32_t>(value)),
                   "d"(static_cast<std::uint32_t>(value >> 32)));
}

std::uint64_t load64(const std::byte* from) {
    std::uint64_t value;
    std::memcpy(&value, from, sizeof(value));
    return value;
}

}  // namespace

void arch::init_fpu(const CpuFeatures& features) {
    if ((features.leaf1_ecx & kLeaf1Xsave) == 0) return;
    const CpuidResult supported = cpuid(0xd, 0);
    std::uint64_t mask = kX87Sse | (supported.eax & kAvx);
    // AVX-512 comes in one piece and on top of AVX, or not at all (Intel SDM vol. 1, 13.3).
    if ((supported.eax & kAvx512) == kAvx512 && (mask & kAvx) != 0) mask |= kAvx512;
    write_xcr0(mask);
    enabled_features = mask;
    state_bytes = cpuid(0xd, 0).ebx;  // for what XCR0 holds now
    kiln_fpu_use_xsave = true;
    kiln_fpu_use_xsaveopt = (cpuid(0xd, 1).eax & 1) != 0;
}

namespace hal {

std::size_t fpu_state_size() { return state_bytes; }

void fpu_init_state(void* area) {
    std::memset(area, 0, state_bytes);
    auto* bytes = static_cast<std::byte*>(area);
    std::memcpy(bytes, &kInitialControlWord, sizeof(kInitialControlWord));
    std::memcpy(bytes + kMxcsrOffset, &kInitialMxcsr, sizeof(kInitialMxcsr));
}

void fpu_save(void* area) {
    if (kiln_fpu_use_xsave) {
        // XSAVE leaves most of the header as it is.
        std::memset(static_cast<std::byte*>(area) + kFxsaveBytes, 0, kXsaveHeaderBytes);
        asm volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
    } else {
        asm volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    }
}

void fpu_restore(const void* area) {
    if (kiln_fpu_use_xsave) {
        asm volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
    } else {
        asm volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
    }
}

// XRSTOR faults on reserved MXCSR bits, unknown features and a header whose other bytes are not zero (Intel SDM vol. 1, 13.8).
bool fpu_state_valid(std::span<const std::byte> state) {
    if (state.size() < state_bytes) return false;
    std::uint32_t mxcsr;
    std::uint32_t mask;
    std::memcpy(&mxcsr, state.data() + kMxcsrOffset, sizeof(mxcsr));
    alignas(64) std::byte live[kFxsaveBytes];
    asm volatile("fxsave64 (%0)" : : "r"(live) : "memory");
    std::memcpy(&mask, live + kMxcsrMaskOffset, sizeof(mask));
    if (mask == 0) mask = kDefaultMxcsrMask;
    if ((mxcsr & ~mask) != 0) return false;
    if (!kiln_fpu_use_xsave) return true;
    const std::byte* header = state.data() + kFxsaveBytes;
    if ((load64(header) & ~enabled_features) != 0) return false;
    for (std::size_t i = 8; i < kXsaveHeaderBytes; i += 8) {
        if (load64(header + i) != 0) return false;
    }
    return true;
}

}  // namespace hal
}  // namespace kiln
