#include <cpuid.h>

#include <kiln/hal/thread_context.hpp>

#include "../../stack.hpp"

namespace kiln::loader {

CpuFacts cpu_facts() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    __cpuid(1, eax, ebx, ecx, edx);
    // AT_HWCAP is CPUID.1:EDX (arch/x86/include/asm/elf.h); AT_HWCAP2 bit 1: RDFSBASE and friends may
    // be used (HWCAP2_FSGSBASE).
    unsigned ext_eax = 0, ext_ebx = 0, ext_ecx = 0, ext_edx = 0;
    __cpuid_count(7, 0, ext_eax, ext_ebx, ext_ecx, ext_edx);
    const std::uint64_t hwcap2 = (ext_ebx & bit_FSGSBASE) ? 2 : 0;
    // rt_sigframe without the FPU state, its alignment to 64 and the trailing magic
    // (arch/x86/kernel/signal.c: get_sigframe_size()).
    constexpr std::uint64_t kFrameBytes = 8 + 304 + 128 + 64 + 4 + 16;
    return {edx, hwcap2, "x86_64", (kFrameBytes + hal::fpu_state_size() + 15) & ~15ull};
}

}  // namespace kiln::loader
