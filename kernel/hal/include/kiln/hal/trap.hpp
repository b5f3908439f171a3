// Traps: system calls, faults and interrupts, as the layers above see them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <kiln/base/types.hpp>

#include <kiln/arch/trap_frame.hpp>  // struct kiln::hal::TrapFrame: all general registers of the interrupted code

namespace kiln::hal {

// Architecture-neutral access to a TrapFrame (inline in <kiln/arch/trap_frame.hpp>):
//   uintptr_t instruction_pointer(const TrapFrame&), stack_pointer(const TrapFrame&),
//   frame_pointer(…) void set_instruction_pointer(TrapFrame&, uintptr_t),
//   set_stack_pointer(TrapFrame&, uintptr_t) uint64_t syscall_number(const TrapFrame&),
//   syscall_argument(const TrapFrame&, unsigned index) void set_syscall_result(TrapFrame&, int64_t)
//   int64_t syscall_result(const TrapFrame&)
//   bool from_user(const TrapFrame&)          the interrupted code is the application, in either
//   privilege mode TrapFrame new_user_frame(uintptr_t entry, uintptr_t stack)   what a new program
//   or thread starts with

/// Why the page fault happened.
enum class Access : std::uint8_t { kRead, kWrite, kExecute };

/// What kind of CPU exception an application caused.
enum class FaultKind : std::uint8_t {
    kPage,  ///< si_code decided by the page fault handler
    kInvalidOpcode,
    kDivide,
    kBreakpoint,
    kDebug,
    kAlignment,
    kGeneralProtection,
    kFpu,
    kStack,
    kOverflow,
};

struct Fault {
    FaultKind kind;
    Access access;           ///< kPage only
    bool present;            ///< kPage: the page was mapped, the right was missing
    std::uintptr_t address;  ///< kPage: the address touched; else the instruction
    std::uint64_t code;      ///< the hardware's error code (x86-64) or ESR
    std::uint32_t vector;    ///< x86-64 vector number, for messages and si_trapno
};

/// Handlers registered once at boot by the layers above; each replaces the earlier one.
struct TrapHandlers {
    /// A page fault on an application address, from the application or from a user access of the
    /// kernel. Interrupts are enabled as they were. Returns true when the access can be retried.
    bool (*page_fault)(const Fault& fault, TrapFrame& frame);
    /// A fault in application code that page_fault did not solve: deliver a signal.
    void (*user_fault)(const Fault& fault, TrapFrame& frame);
    /// A hardware interrupt. `vector` as given by irq_allocate…; runs with interrupts disabled on
    /// the interrupted thread's kernel stack, in_interrupt set.
    void (*interrupt)(std::uint32_t vector, TrapFrame& frame);
    /// work bits were set when returning to the application; interrupts enabled.
    void (*return_to_user)(TrapFrame& frame);
};
void set_page_fault_handler(bool (*handler)(const Fault&, TrapFrame&));
void set_user_fault_handler(void (*handler)(const Fault&, TrapFrame&));
void set_interrupt_handler(void (*handler)(std::uint32_t, TrapFrame&));
void set_return_to_user_handler(void (*handler)(TrapFrame&));
/// A system call: number and arguments are in `frame`, the handler stores the result there.
/// Interrupts enabled, on the thread's kernel stack.
void set_syscall_handler(void (*handler)(TrapFrame&));

/// The frame with which the running thread entered the kernel from its application (at the top of
/// its kernel stack). Only for threads that have an application part.
TrapFrame& current_user_frame();

/// Walks frame pointers from (`ip`, `fp`): calls `visit(ip, cookie)` per return address until it
/// returns false or the chain leaves readable memory. Never faults.
void walk_stack(std::uintptr_t ip, std::uintptr_t fp,
                bool (*visit)(std::uintptr_t ip, void* cookie), void* cookie);
/// The caller's own frame pointer.
std::uintptr_t current_frame_pointer();

/// The registers of the fault in kernel code that has called panic() on this CPU; null when the panic
/// came from somewhere else.
const TrapFrame* fatal_frame();
/// All registers as text, several lines, each ending in a newline; returns the length. For messages.
std::size_t format_registers(const TrapFrame& frame, std::span<char> out);

}  // namespace kiln::hal
