// Per-CPU data of the architecture.
#pragma once

#include <cstddef>
#include <cstdint>

#include <config/privilege_user.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/trap.hpp>

namespace kiln::arch {

/// 64-bit task state segment (Intel SDM vol. 3A, 8.7).
struct [[gnu::packed]] Tss {
    std::uint32_t reserved0;
    std::uint64_t rsp[3];
    std::uint64_t reserved1;
    std::uint64_t ist[7];
    std::uint64_t reserved2;
    std::uint16_t reserved3;
    std::uint16_t io_map_base;
};
static_assert(sizeof(Tss) == 104);

/// In ring 0 every trap starts on the trap stack and leaves it at once, unless the kernel stack has overflowed: then the
/// panic runs on it.
struct TrapStacks {
    alignas(16) std::byte trap[8192];
    alignas(16) std::byte nmi[4096];
    alignas(16) std::byte double_fault[8192];
    alignas(16) std::byte machine_check[4096];
    alignas(16) std::byte debug[config::privilege_user ? 4096 : 16];
};

/// Begins with what everybody knows of a CPU.
struct Cpu {
    hal::CpuLocal local;
    std::uint64_t loaded_root;  ///< CR3 as switch_context() left it

    Tss tss;
    TrapStacks* stacks;
    std::uint32_t nofault_depth;        ///< hal::user_access_nofault_begin() nests
    const hal::TrapFrame* fatal_frame;  ///< the fault in kernel code that is leading to a panic
};

extern "C" Cpu kiln_boot_cpu;

inline Cpu& this_cpu() { return reinterpret_cast<Cpu&>(hal::cpu_local()); }

}  // namespace kiln::arch
