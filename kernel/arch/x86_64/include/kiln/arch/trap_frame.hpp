// TrapFrame: all general registers of interrupted code, and the architecture-neutral access to them.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kiln/arch/segments.h>
#include <config/privilege_user.hpp>

namespace kiln::hal {

/// Lies at the top of the thread's kernel stack when the application was interrupted, else below the
/// interrupted kernel stack pointer. Entry code knows the offsets (src/asm_offsets.h). From `orig_rax` up it is what the
/// CPU pushes; below that the order is Linux's struct pt_regs with `vector` added.
struct TrapFrame {
    std::uint64_t r15;
    std::uint64_t r14;
    std::uint64_t r13;
    std::uint64_t r12;
    std::uint64_t rbp;
    std::uint64_t rbx;
    std::uint64_t r11;
    std::uint64_t r10;
    std::uint64_t r9;
    std::uint64_t r8;
    std::uint64_t rax;
    std::uint64_t rcx;
    std::uint64_t rdx;
    std::uint64_t rsi;
    std::uint64_t rdi;
    /// Vector of the exception or interrupt; kVectorSyscall after a system call; kVectorRewritten when
    /// somebody changed registers that the fast return of a system call would not load.
    std::uint64_t vector;
    std::uint64_t
        orig_rax;  ///< system call: its number as entered. Exception: the CPU's error code
    std::uint64_t rip;
    std::uint64_t cs;
    std::uint64_t rflags;
    std::uint64_t rsp;
    std::uint64_t ss;
};
static_assert(sizeof(TrapFrame) == 176);
static_assert(sizeof(TrapFrame) % 16 == 0, "handlers are called with an aligned stack");

inline constexpr std::uint64_t kVectorSyscall = KILN_VECTOR_SYSCALL;
inline constexpr std::uint64_t kVectorRewritten = KILN_VECTOR_REWRITTEN;

// RFLAGS bits (Intel SDM vol. 1, 3.4.3).
inline constexpr std::uint64_t kFlagsReserved = 1u << 1;
inline constexpr std::uint64_t kFlagsTrap = 1u << 8;
inline constexpr std::uint64_t kFlagsInterrupt = 1u << 9;
/// What an application may set itself by sigreturn: CF PF AF ZF SF TF DF OF AC, as Linux's FIX_EFLAGS without RF
/// (arch/x86/kernel/signal.c).
inline constexpr std::uint64_t kFlagsUserMask = 0x00040dd5;

inline std::uintptr_t instruction_pointer(const TrapFrame& frame) { return frame.rip; }
inline std::uintptr_t stack_pointer(const TrapFrame& frame) { return frame.rsp; }
inline std::uintptr_t frame_pointer(const TrapFrame& frame) { return frame.rbp; }

/// To be called by whoever writes registers of a frame directly: the return to the application then
/// loads all of them.
inline void mark_rewritten(TrapFrame& frame) { frame.vector = kVectorRewritten; }
inline void set_instruction_pointer(TrapFrame& frame, std::uintptr_t value) {
    frame.rip = value;
    mark_rewritten(frame);
}
inline void set_stack_pointer(TrapFrame& frame, std::uintptr_t value) {
    frame.rsp = value;
    mark_rewritten(frame);
}

inline std::uint64_t syscall_number(const TrapFrame& frame) { return frame.orig_rax; }
inline std::uint64_t syscall_argument(const TrapFrame& frame, unsigned index) {
    switch (index) {
        case 0: return frame.rdi;
        case 1: return frame.rsi;
        case 2: return frame.rdx;
        case 3: return frame.r10;
        case 4: return frame.r8;
        default: return frame.r9;
    }
}
inline void set_syscall_result(TrapFrame& frame, std::int64_t value) {
    frame.rax = static_cast<std::uint64_t>(value);
}
inline std::int64_t syscall_result(const TrapFrame& frame) {
    return static_cast<std::int64_t>(frame.rax);
}

/// The interrupted code is the application: in ring 0 told by the half of the address space it runs in.
inline bool from_user(const TrapFrame& frame) {
    if constexpr (config::privilege_user) return (frame.cs & 3) != 0;
    return static_cast<std::int64_t>(frame.rip) >= 0;
}

inline TrapFrame new_user_frame(std::uintptr_t entry, std::uintptr_t stack) {
    TrapFrame frame{};
    frame.vector = kVectorRewritten;
    frame.orig_rax = ~std::uint64_t{0};
    frame.rip = entry;
    frame.cs = KILN_USER_CS;
    frame.rflags = kFlagsReserved | kFlagsInterrupt;
    frame.rsp = stack;
    frame.ss = KILN_USER_SS;
    return frame;
}

}  // namespace kiln::hal
