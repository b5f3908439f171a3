// Exceptions and interrupts, from entry.S to the handlers of the layers above.
#include <atomic>

#include <config/privilege_user.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/hal/user_access.hpp>

#include "cpu_data.hpp"
#include "user_access.hpp"
#include "vectors.h"

namespace kiln {
namespace {

constexpr std::int64_t kNoSyscall = -38;  // ENOSYS, until the layer above registers its handler

void no_syscalls(hal::TrapFrame& frame) { hal::set_syscall_result(frame, kNoSyscall); }

constinit hal::TrapHandlers handlers{};

// Page fault error code (Intel SDM vol. 3A, 4.7).
constexpr std::uint64_t kFaultPresent = 1u << 0;
constexpr std::uint64_t kFaultWrite = 1u << 1;
constexpr std::uint64_t kFaultFetch = 1u << 4;

constexpr const char* kExceptionNames[] = {
    "divide error",
    "debug exception",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved exception 15",
    "x87 floating point",
    "alignment check",
    "machine check",
    "SIMD floating point",
    "virtualization",
    "control protection",
};

std::string_view exception_name(std::uint64_t vector) {
    return vector < std::size(kExceptionNames) ? kExceptionNames[vector] : "reserved exception";
}

hal::FaultKind fault_kind(std::uint64_t vector) {
    switch (vector) {
        case VECTOR_DE: return hal::FaultKind::kDivide;
        case VECTOR_DB: return hal::FaultKind::kDebug;
        case VECTOR_BP: return hal::FaultKind::kBreakpoint;
        case VECTOR_OF: return hal::FaultKind::kOverflow;
        case VECTOR_UD: return hal::FaultKind::kInvalidOpcode;
        case VECTOR_NP:
        case VECTOR_SS: return hal::FaultKind::kStack;
        case VECTOR_PF: return hal::FaultKind::kPage;
        case VECTOR_MF:
        case VECTOR_XM: return hal::FaultKind::kFpu;
        case VECTOR_AC: return hal::FaultKind::kAlignment;
        default: return hal::FaultKind::kGeneralProtection;
    }
}

[[noreturn]] void fatal(const hal::TrapFrame& frame, std::string_view what, std::uint64_t address) {
    arch::this_cpu().fatal_frame = &frame;
    panicf("{} in the kernel at {:x} (address {:x}, code {:x})", what, frame.rip, address,
           frame.orig_rax);
}

bool is_on_trap_stack(std::uint64_t rsp) {
    const auto& stack = arch::this_cpu().stacks->trap;
    const auto begin = reinterpret_cast<std::uint64_t>(stack);
    return rsp >= begin && rsp <= begin + sizeof(stack);
}

/// In ring 0 a kernel that jumps to a wild address looks like the application; its stack tells.
void check_is_application(const hal::TrapFrame& frame) {
    if constexpr (!config::privilege_user) {
        const std::uint64_t top = hal::cpu_local().kernel_stack;
        constexpr std::uint64_t kStackReach = 64_KiB;
        if (frame.rsp < top && top - frame.rsp < kStackReach)
            fatal(frame, "jump to a wild address", frame.rip);
    }
}

hal::Fault page_fault_of(const hal::TrapFrame& frame, std::uint64_t address) {
    const std::uint64_t code = frame.orig_rax;
    const hal::Access access = (code & kFaultFetch) != 0   ? hal::Access::kExecute
                               : (code & kFaultWrite) != 0 ? hal::Access::kWrite
                                                           : hal::Access::kRead;
    return {.kind = hal::FaultKind::kPage,
            .access = access,
            .present = (code & kFaultPresent) != 0,
            .address = address,
            .code = code,
            .vector = VECTOR_PF};
}

/// Also the debugger's probes of any address.
bool go_to_fixup(hal::TrapFrame& frame) {
    const std::uintptr_t fixup = arch::find_fixup(frame.rip);
    if (fixup == 0) return false;
    frame.rip = fixup;
    return true;
}

void user_fault(const hal::Fault& fault, hal::TrapFrame& frame) {
    check_is_application(frame);
    if (handlers.user_fault == nullptr) fatal(frame, exception_name(fault.vector), fault.address);
    handlers.user_fault(fault, frame);
}

void user_page_fault(hal::TrapFrame& frame, std::uint64_t address) {
    const hal::Fault fault = page_fault_of(frame, address);
    hal::irq_enable();
    const bool ours = address < hal::kUserEnd && handlers.page_fault != nullptr;
    if (!ours || !handlers.page_fault(fault, frame)) user_fault(fault, frame);
    hal::irq_disable();
}

void kernel_page_fault(hal::TrapFrame& frame, std::uint64_t address) {
    const bool had_interrupts = (frame.rflags & hal::kRflagsInterrupt) != 0;
    const bool may_resolve = address < hal::kUserEnd && had_interrupts &&
                             !arch::user_faults_are_fatal() && handlers.page_fault != nullptr &&
                             arch::find_fixup(frame.rip) != 0;
    if (may_resolve) {
        hal::irq_enable();
        const bool resolved = handlers.page_fault(page_fault_of(frame, address), frame);
        hal::irq_disable();
        if (resolved) return;
    }
    if (go_to_fixup(frame)) return;
    if (is_on_trap_stack(frame.rsp)) fatal(frame, "kernel stack overflow", address);
    fatal(frame, exception_name(VECTOR_PF), address);
}

void exception(hal::TrapFrame& frame) {
    const bool user = hal::from_user(frame);
    if (frame.vector == VECTOR_PF) {
        // Before anything else can fault.
        const std::uint64_t address = arch::read_cr2();
        if (user) {
            user_page_fault(frame, address);
        } else {
            kernel_page_fault(frame, address);
        }
        return;
    }
    if (!user) {
        if ((frame.vector == VECTOR_GP || frame.vector == VECTOR_SS) && go_to_fixup(frame)) return;
        fatal(frame, exception_name(frame.vector), frame.rip);
    }
    hal::irq_enable();
    user_fault({.kind = fault_kind(frame.vector),
                .access = hal::Access::kRead,
                .present = true,
                .address = frame.rip,
                .code = frame.orig_rax,
                .vector = static_cast<std::uint32_t>(frame.vector)},
               frame);
    hal::irq_disable();
}

void interrupt(hal::TrapFrame& frame) {
    hal::CpuLocal& cpu = hal::cpu_local();
    ++cpu.preempt_count;
    cpu.in_interrupt = true;
    if (handlers.interrupt == nullptr) fatal(frame, "interrupt without a handler", frame.vector);
    handlers.interrupt(static_cast<std::uint32_t>(frame.vector), frame);
    cpu.in_interrupt = false;
    if (--cpu.preempt_count == 0 && cpu.need_resched.load(std::memory_order_relaxed) &&
        hal::preempt_hook != nullptr)
        hal::preempt_hook();
    hal::irq_disable();
}

}  // namespace

extern "C" {

void (*kiln_syscall_handler)(hal::TrapFrame&) = no_syscalls;

/// Called by entry.S and returns with interrupts off.
void kiln_trap(hal::TrapFrame* frame) {
    if (frame->vector < EXCEPTION_COUNT) {
        exception(*frame);
    } else {
        interrupt(*frame);
    }
}

/// Vectors with a stack of their own.
void kiln_trap_own_stack(hal::TrapFrame* frame) {
    // In PRIVILEGE_USER an overflow of the kernel stack gets here: the page fault's frame had no room either.
    constexpr std::uint64_t kNear = kPageSize;
    if (frame->vector == VECTOR_DF && arch::read_cr2() - (frame->rsp - kNear) < 2 * kNear)
        fatal(*frame, "kernel stack overflow", arch::read_cr2());
    fatal(*frame, exception_name(frame->vector), frame->rip);
}

/// The application's thread has work to do before it goes on.
void kiln_user_work(hal::TrapFrame* frame) {
    hal::irq_enable();
    if (handlers.return_to_user != nullptr) {
        handlers.return_to_user(*frame);
    } else {
        hal::current_context()->work.store(0, std::memory_order_relaxed);
    }
    hal::irq_disable();
}

}  // extern "C"

namespace hal {

void set_page_fault_handler(bool (*handler)(const Fault&, TrapFrame&)) {
    handlers.page_fault = handler;
}
void set_user_fault_handler(void (*handler)(const Fault&, TrapFrame&)) {
    handlers.user_fault = handler;
}
void set_interrupt_handler(void (*handler)(std::uint32_t, TrapFrame&)) {
    handlers.interrupt = handler;
}
void set_return_to_user_handler(void (*handler)(TrapFrame&)) { handlers.return_to_user = handler; }
void set_syscall_handler(void (*handler)(TrapFrame&)) { kiln_syscall_handler = handler; }

const TrapFrame* fatal_frame() { return arch::this_cpu().fatal_frame; }

std::size_t format_registers(const TrapFrame& f, std::span<char> out) {
    return format_to(out,
                     "rip {:016x}  rsp {:016x}  flags {:08x}  vector {}  code {:x}\n"
                     "rax {:016x}  rbx {:016x}  rcx {:016x}  rdx {:016x}\n"
                     "rsi {:016x}  rdi {:016x}  rbp {:016x}  r8  {:016x}\n"
                     "r9  {:016x}  r10 {:016x}  r11 {:016x}  r12 {:016x}\n"
                     "r13 {:016x}  r14 {:016x}  r15 {:016x}  cr2 {:016x}\n",
                     f.rip, f.rsp, f.rflags, f.vector, f.orig_rax, f.rax, f.rbx, f.rcx, f.rdx,
                     f.rsi, f.rdi, f.rbp, f.r8, f.r9, f.r10, f.r11, f.r12, f.r13, f.r14, f.r15,
                     arch::read_cr2());
}

void walk_stack(std::uintptr_t ip, std::uintptr_t fp, bool (*visit)(std::uintptr_t, void*),
                void* cookie) {
    constexpr int kMaxFrames = 64;
    for (int i = 0; i < kMaxFrames; ++i) {
        if (!visit(ip, cookie)) return;
        struct {
            std::uint64_t next;
            std::uint64_t return_address;
        } frame;
        if (fp % sizeof(std::uint64_t) != 0 || !read_memory_safely(&frame, fp, sizeof(frame)))
            return;
        // Stacks grow down: callers are above. A way from the kernel's stack to the application's is the exception.
        const bool leaves_kernel =
            static_cast<std::int64_t>(fp) < 0 && static_cast<std::int64_t>(frame.next) >= 0;
        ip = frame.return_address;
        if (ip == 0) return;
        if (frame.next <= fp && !leaves_kernel) {
            // The outermost frame, or a register that is no frame pointer: its return address is the last we know.
            visit(ip, cookie);
            return;
        }
        fp = frame.next;
    }
}

[[gnu::noinline]] std::uintptr_t current_frame_pointer() {
    return *static_cast<std::uintptr_t*>(__builtin_frame_address(0));
}

}  // namespace hal
}  // namespace kiln
