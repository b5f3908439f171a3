// What happens to pending signals on the way back to the application; faults of the application.
#include <kiln/hal/trap.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/posix/report.hpp>
#include <kiln/posix/signal.hpp>

#include "fatal_signal.hpp"
#include "signal_defaults.hpp"

namespace kiln::posix {
namespace {

enum class Restart { kNoHandler, kHandlerRestarts, kHandlerInterrupts };

/// signal(7), "Interruption of system calls": what becomes of a call that a signal interrupted.
void finish_system_call(hal::TrapFrame& frame, Restart restart) {
    if (!is_system_call(frame)) return;
    const auto error = static_cast<Errno>(-hal::syscall_result(frame));
    bool again = false;
    switch (error) {
        case Errno::kERESTARTSYS: again = restart != Restart::kHandlerInterrupts; break;
        case Errno::kERESTARTNOINTR: again = true; break;
        case Errno::kERESTARTNOHAND: again = restart == Restart::kNoHandler; break;
        case Errno::kERESTART_RESTARTBLOCK:
            if (restart == Restart::kNoHandler) {
                rewind_to_restart_call(frame);
                return;
            }
            break;
        default: return;
    }
    if (again) {
        rewind_system_call(frame);
    } else {
        hal::set_syscall_result(frame, -static_cast<std::int64_t>(Errno::kEINTR));
    }
}

[[noreturn]] void die_of(Task& task, const SignalInfo& info, const hal::TrapFrame& frame) {
    // Of several threads that die at the same time one tells the story.
    if (!task.process().is_terminating()) tell_fatal_signal(task, info, frame);
    task.process().terminate(info.signo);
    __builtin_unreachable();
}

struct Delivery {
    int signo;  ///< 0: nothing
    SignalInfo info;
    SignalAction action;
    SignalSet mask_to_restore;
};

/// Takes signals until one needs a handler or kills.
Delivery next_delivery(Task& task) {
    SignalState& state = task.process().signals();
    Delivery d{};
    sync::IrqSpinGuard guard(state.lock);
    for (;;) {
        const SignalSet blocked = task.signals.blocked;
        d.signo = task.signals.pending.take(blocked, &d.info);
        if (!d.signo) d.signo = state.pending.take(blocked, &d.info);
        if (!d.signo) {
            // Cleared under the lock: a sender sets it again under the same lock.
            task.thread().work.fetch_and(~hal::kWorkSignal, std::memory_order_acq_rel);
            return d;
        }
        SignalAction& action = state.action(d.signo);
        d.action = action;
        if (action.handler == kSigIgn) continue;
        if (action.handler == kSigDfl) {
            const DefaultAction what = default_action(d.signo);
            if (what == DefaultAction::kIgnore || what == DefaultAction::kContinue) continue;
            if (what == DefaultAction::kStop) {
                report_unsupported("signal: stopping a process by signal",
                                   static_cast<std::uint64_t>(d.signo));
                continue;
            }
            return d;
        }
        if (action.flags & kSaResetHand) action.handler = kSigDfl;
        d.mask_to_restore = task.signals.restore_saved ? task.signals.saved_blocked : blocked;
        task.signals.restore_saved = false;
        return d;
    }
}

void run_handler(Task& task, hal::TrapFrame& frame, const Delivery& d) {
    finish_system_call(frame, d.action.flags & kSaRestart ? Restart::kHandlerRestarts
                                                          : Restart::kHandlerInterrupts);
    if (!push_signal_frame(task, frame, d.signo, d.info, d.action, d.mask_to_restore).ok()) {
        // Linux's force_sigsegv: no way to tell the program but by killing it, if SIGSEGV's own handler
        // has no stack.
        SignalState& state = task.process().signals();
        if (d.signo == kSigSegv) {
            sync::IrqSpinGuard guard(state.lock);
            state.action(kSigSegv).handler = kSigDfl;
        }
        force_signal(task, make_signal(kSigSegv, kSiKernel));
        return;
    }
    SignalSet mask = task.signals.blocked | d.action.mask;
    if ((d.action.flags & kSaNoDefer) == 0) mask |= signal_bit(d.signo);
    set_blocked(task, mask);
}

struct FaultSignal {
    int signo;
    std::int32_t code;
    bool has_address;
};

/// Linux arch/x86/kernel/traps.c.
FaultSignal signal_of(hal::FaultKind kind) {
    switch (kind) {
        case hal::FaultKind::kInvalidOpcode: return {kSigIll, 2, true};  // ILL_ILLOPN
        case hal::FaultKind::kDivide: return {kSigFpe, 1, true};         // FPE_INTDIV
        case hal::FaultKind::kBreakpoint: return {kSigTrap, kSiKernel, false};
        case hal::FaultKind::kDebug: return {kSigTrap, 2, true};      // TRAP_TRACE
        case hal::FaultKind::kAlignment: return {kSigBus, 1, false};  // BUS_ADRALN
        case hal::FaultKind::kFpu: return {kSigFpe, 14, true};        // FPE_FLTUNK
        case hal::FaultKind::kStack: return {kSigBus, kSiKernel, false};
        case hal::FaultKind::kOverflow:
        case hal::FaultKind::kGeneralProtection:
        case hal::FaultKind::kPage: return {kSigSegv, kSiKernel, false};
    }
    return {kSigSegv, kSiKernel, false};
}

void on_user_fault(const hal::Fault& fault, hal::TrapFrame& frame) {
    Task& task = Task::current();
    FaultSignal signal = signal_of(fault.kind);
    task.last_fault.vector = fault.vector;
    task.last_fault.error_code = fault.code;
    if (fault.kind == hal::FaultKind::kPage) task.last_fault.address = fault.address;
    std::uintptr_t address = signal.has_address ? hal::instruction_pointer(frame) : 0;
    if (fault.kind == hal::FaultKind::kPage) {
        // vm has seen it before; asked again, it says what the failure means.
        vm::FaultFailure failure{kSigSegv, 1};
        if (task.process().address_space().handle_fault(VirtAddr{fault.address}, fault.access,
                                                        &failure))
            return;
        signal = {failure.signal, failure.si_code, true};
        address = fault.address;
    }
    force_signal(task, make_fault_signal(signal.signo, signal.code, address));
}

void on_return_to_user(hal::TrapFrame& frame) {
    sched::Thread& thread = sched::Thread::current();
    const std::uint32_t work = thread.work.load(std::memory_order_acquire);
    if (work & hal::kWorkReschedule) {
        thread.work.fetch_and(~hal::kWorkReschedule, std::memory_order_relaxed);
        sched::yield();
    }
    if (work & hal::kWorkExit) Task::exit_current(0);
    if (work & hal::kWorkSignal) deliver_signals(frame);
}

}  // namespace

void deliver_signals(hal::TrapFrame& frame) {
    Task& task = Task::current();
    for (;;) {
        const Delivery d = next_delivery(task);
        if (!d.signo) break;
        if (d.action.handler == kSigDfl) die_of(task, d.info, frame);
        run_handler(task, frame, d);
    }
    // Nothing (more) to deliver: does nothing if a handler's frame was set up.
    finish_system_call(frame, Restart::kNoHandler);
    if (task.signals.restore_saved) {
        task.signals.restore_saved = false;
        set_blocked(task, task.signals.saved_blocked);
    }
}

void install_trap_handlers() {
    hal::set_user_fault_handler(on_user_fault);
    hal::set_return_to_user_handler(on_return_to_user);
}

}  // namespace kiln::posix
