// x86-64: the hot half of hal/cpu.hpp. GS:0 is the running CPU's hal::CpuLocal.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kiln/hal/cpu.hpp>  // which includes this file at its end

namespace kiln::hal {

inline constexpr std::uintptr_t kRflagsInterrupt = 1u << 9;

inline IrqState irq_save() {
    IrqState state;
    asm volatile("pushfq; popq %0; cli" : "=r"(state) : : "memory");
    return state;
}
inline void irq_restore(IrqState state) {
    if ((state & kRflagsInterrupt) != 0) asm volatile("sti" : : : "memory");
}
inline bool irqs_enabled() {
    IrqState state;
    asm volatile("pushfq; popq %0" : "=r"(state));
    return (state & kRflagsInterrupt) != 0;
}
inline void irq_enable() { asm volatile("sti" : : : "memory"); }
inline void irq_disable() { asm volatile("cli" : : : "memory"); }

inline CpuLocal& cpu_local() {
    CpuLocal* local;
    asm volatile("movq %%gs:%c1, %0" : "=r"(local) : "i"(offsetof(CpuLocal, self)));
    return *local;
}
inline ThreadContext* current_context() {
    ThreadContext* context;
    asm volatile("movq %%gs:%c1, %0" : "=r"(context) : "i"(offsetof(CpuLocal, current)));
    return context;
}

inline void cpu_relax() { asm volatile("pause"); }

inline void idle_wait() { asm volatile("sti; hlt" : : : "memory"); }

inline std::uint64_t cycle_counter() {
    std::uint32_t low;
    std::uint32_t high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (std::uint64_t{high} << 32) | low;
}

/// Set by set_preempt_hook(); not for others.
extern void (*preempt_hook)();
/// The rare half of preempt_enable(), out of line because there are hundreds of the other half.
[[gnu::cold]] void preempt_point();

inline void preempt_disable() {
    asm volatile("incl %%gs:%c0" : : "i"(offsetof(CpuLocal, preempt_count)) : "memory", "cc");
}
inline void preempt_enable() {
    bool is_zero;
    asm volatile("decl %%gs:%c1"
                 : "=@ccz"(is_zero)
                 : "i"(offsetof(CpuLocal, preempt_count))
                 : "memory");
    if (__builtin_expect(is_zero, 1)) {
        bool wanted;
        asm volatile("cmpb $0, %%gs:%c1"
                     : "=@ccnz"(wanted)
                     : "i"(offsetof(CpuLocal, need_resched))
                     : "memory");
        if (__builtin_expect(wanted, 0)) preempt_point();
    }
}

}  // namespace kiln::hal
