// The part of a thread that the architecture and entry code know.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>

namespace kiln::hal {

struct TrapFrame;

/// Reasons for a thread to call the return-to-user hook before it goes back to its application.
inline constexpr std::uint32_t kWorkReschedule = 1u << 0;
inline constexpr std::uint32_t kWorkSignal = 1u << 1;
inline constexpr std::uint32_t kWorkExit = 1u << 2;
inline constexpr std::uint32_t kWorkTrace = 1u << 3;

/// First member of sched::Thread. Assembler knows the offsets.
struct ThreadContext {
    std::uintptr_t stack_pointer = 0;  ///< saved while not running
    std::uintptr_t kernel_stack = 0;   ///< top of the kernel stack, 16-byte aligned
    std::atomic<std::uint32_t> work =
        0;                        ///< kWork… bits; looked at on each return to the application
    std::uint32_t flags = 0;      ///< kThreadHasUser
    std::uintptr_t user_tls = 0;  ///< FS base (TPIDR_EL0) while not running
    void* fpu = nullptr;          ///< fpu_state_size() bytes, 64-byte aligned; null: kernel thread
    /// Physical root of the lower-half page tables; 0: a kernel thread, runs on whatever is loaded.
    std::uint64_t page_table_root = 0;
};

/// Saves `prev` and resumes `next` on this CPU (stack, callee-saved registers, FPU state of threads
/// that have one, TLS, page table root if it differs, kernel stack top in CpuLocal and the trap
/// hardware). Called with interrupts disabled. Returns when `prev` is resumed, with the context
/// that ran before it.
ThreadContext* switch_context(ThreadContext* prev, ThreadContext* next);

/// Prepares a new context so that the first switch to it calls
/// `entry(previous context, argument)` on its kernel stack with interrupts disabled.
void init_context(ThreadContext* context, std::uintptr_t stack_top,
                  void (*entry)(ThreadContext*, void*), void* argument);

/// Bytes of an FPU/SIMD save area on this CPU (XSAVE area size for the enabled features).
std::size_t fpu_state_size();
/// Puts the state that a new program starts with into `area`.
void fpu_init_state(void* area);
/// Saves the live state into `area` / loads it. The kernel itself never uses the FPU.
void fpu_save(void* area);
void fpu_restore(const void* area);
/// Checks a state that came from an application (a signal frame) before fpu_restore(): false if
/// loading it could fault.
bool fpu_state_valid(std::span<const std::byte> state);

/// Sets the running thread's TLS register and remembers it in `context`.
void set_user_tls(ThreadContext* context, std::uintptr_t base);
/// The TLS register of the running thread (the application may have written it itself).
std::uintptr_t user_tls();

/// Continues in the application with the registers of `frame`, leaving the kernel stack as it is
/// empty. Interrupts are disabled by the callee.
[[noreturn]] void enter_user(const TrapFrame& frame);

}  // namespace kiln::hal
