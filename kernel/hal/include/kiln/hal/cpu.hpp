// The processor: interrupts, CPU-local data, waiting, the cycle counter.
//
// Part of the contract (kernel/hal) that an architecture and a platform meet. Functions declared
// here without a body are implemented in kernel/arch/<cpu>; the small hot ones are inline in
// <kiln/arch/cpu_inline.hpp>. Host tests use kernel/arch/host.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/base/types.hpp>

namespace kiln::hal {

struct ThreadContext;

/// What every CPU has for itself and what entry code reaches with one instruction (x86-64: GS,
/// arm64: TPIDR_EL1). Assembler knows the offsets: keep order and static_asserts in arch/.
struct CpuLocal {
    CpuLocal* self;               ///< this CPU's block
    ThreadContext* current;       ///< the running thread; never null once sched is up
    std::uintptr_t kernel_stack;  ///< top of the running thread's kernel stack
    std::uintptr_t scratch[2];    ///< for entry code only
    std::uint32_t cpu_id;         ///< 0 … NR_CPUS-1, dense
    std::uint32_t hw_id;          ///< APIC id or MPIDR affinity
    /// Preemption is allowed only at 0. Spinlocks and interrupt handlers raise it.
    std::uint32_t preempt_count;
    /// Set when the scheduler should run at the next chance (end of interrupt, preempt_count back
    /// to 0).
    std::atomic<bool> need_resched;
    bool in_interrupt;  ///< between an interrupt's entry and its end
};

/// Interrupt state as saved by irq_save(): opaque.
using IrqState = std::uintptr_t;

/// Disables interrupts on this CPU, returns what they were.
IrqState irq_save();
void irq_restore(IrqState state);
bool irqs_enabled();
void irq_enable();
void irq_disable();

CpuLocal& cpu_local();
inline std::uint32_t cpu_id();
/// The running thread's context (one instruction, preemption-safe).
ThreadContext* current_context();

/// A hint inside spin loops.
void cpu_relax();

/// Waits for the next interrupt. Called with interrupts disabled; enables them and sleeps in one
/// step (no lost wake-up), returns with interrupts enabled.
void idle_wait();

/// Stops this CPU for ever.
[[noreturn]] void halt_forever();

/// The free-running cycle counter (TSC, CNTVCT). Monotonic on one CPU.
std::uint64_t cycle_counter();

/// Hardware random number, false when the CPU has none (or it is exhausted).
bool hw_random(std::uint64_t* out);

/// Raises and lowers the preemption count of this CPU. Lowering to 0 with need_resched set and interrupts
/// enabled calls the function registered by set_preempt_hook(): code with interrupts disabled is never
/// preempted.
/// The end of an interrupt (in_interrupt cleared, count lowered, need_resched set and the count 0) calls the hook,
/// too, with interrupts disabled; it returns with interrupts disabled when the interrupted thread runs again.
void preempt_disable();
void preempt_enable();
void set_preempt_hook(void (*hook)());

}  // namespace kiln::hal

#include <kiln/arch/cpu_inline.hpp>

inline std::uint32_t kiln::hal::cpu_id() { return cpu_local().cpu_id; }
