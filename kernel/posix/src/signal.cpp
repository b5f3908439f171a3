// Sending signals, masks and actions. Delivery is in signal_delivery.cpp.
#include <kiln/posix/signal.hpp>

#include <kiln/posix/process.hpp>

#include "signal_defaults.hpp"

namespace kiln::posix {
namespace {

/// The task list and the signal lock of a process, in their order.
class SignalGuard {
public:
    explicit SignalGuard(Process& process)
        : tasks_(process.tasks_lock()), signals_(process.signals().lock) {}

private:
    sync::IrqSpinGuard tasks_;
    sync::IrqSpinGuard signals_;
};

bool accepts(const Task& task, SignalSet bit) {
    return (task.signals.blocked & bit) == 0 || (task.signals.waited_for & bit) != 0;
}

/// SIG_IGN, or SIG_DFL of a signal whose default is to be ignored, is dropped at once unless
/// blocked (POSIX leaves a blocked one open; Linux keeps it).
bool is_dropped(SignalState& state, const Task& receiver, int signo) {
    const std::uintptr_t handler = state.action(signo).handler;
    const bool ignored = handler == kSigIgn ||
                         (handler == kSigDfl && default_action(signo) == DefaultAction::kIgnore);
    return ignored &&
           ((receiver.signals.blocked | receiver.signals.waited_for) & signal_bit(signo)) == 0;
}

/// SIGCONT and the stop signals cancel each other.
void cancel_opposites(Process& process, int signo) {
    SignalSet opposites = 0;
    if (signo == kSigCont) {
        opposites = kStopSignals;
    } else if (signal_bit(signo) & kStopSignals) {
        opposites = signal_bit(kSigCont);
    }
    if (opposites == 0) return;
    process.signals().pending.discard(opposites);
    for (Task& task : process.tasks_locked()) task.signals.pending.discard(opposites);
}

Task* choose_receiver(Process& process, SignalSet bit) {
    for (Task& task : process.tasks_locked()) {
        if (accepts(task, bit)) return &task;
    }
    return nullptr;
}

/// Under both locks, `target` null: the process. `add` puts it into the pending signals it is given.
template <typename Add>
Result<void> send_locked(Process& process, Task* target, int signo, Add add) {
    Task* main = process.tasks_locked().front();
    if (!main || (target && !target->process_node.is_linked())) return Errno::kESRCH;
    cancel_opposites(process, signo);
    SignalState& state = process.signals();
    if (is_dropped(state, target ? *target : *main, signo)) return {};
    TRY(add(target ? target->signals.pending : state.pending));
    state.arrivals.wake_all();
    const SignalSet bit = signal_bit(signo);
    Task* receiver = target;
    if (!target) {
        receiver = choose_receiver(process, bit);
    } else if (!accepts(*target, bit)) {
        receiver = nullptr;
    }
    if (receiver) receiver->thread().interrupt(hal::kWorkSignal);
    return {};
}

Result<void> send_info(Process& process, Task* target, const SignalInfo& info) {
    if (!is_signal_number(info.signo)) return Errno::kEINVAL;
    const std::uint64_t most = process.limit(kLimitPendingSignals).soft;
    SignalGuard guard(process);
    return send_locked(process, target, info.signo, [&](PendingSignals& pending) -> Result<void> {
        // sigqueue(3): EAGAIN at the limit of queued signals. A kill(2) goes through always.
        if (info.signo >= kSigRtMin && info.code != kSiUser && pending.queued() >= most)
            return Errno::kEAGAIN;
        return pending.add(info);
    });
}

/// Under both locks: tasks other than `self` that can take what `self` now blocks.
void retarget(Process& process, Task& self, SignalSet bits) {
    for (Task& task : process.tasks_locked()) {
        if (&task != &self && (bits & ~task.signals.blocked) != 0)
            task.thread().interrupt(hal::kWorkSignal);
    }
}

}  // namespace

Result<void> send_signal(Process& process, const SignalInfo& info) {
    return send_info(process, nullptr, info);
}
Result<void> send_signal(Task& task, const SignalInfo& info) {
    return send_info(task.process(), &task, info);
}

bool send_signal(Process& process, std::int32_t tid, QueuedSignal& entry) {
    bool queued = false;
    SignalGuard guard(process);
    Task* target = nullptr;
    for (Task& task : process.tasks_locked()) {
        if (tid != 0 && task.tid() == tid) target = &task;
    }
    (void)send_locked(process, target, entry.info.signo,
                      [&](PendingSignals& pending) -> Result<void> {
                          if (!entry.node.is_linked()) {
                              pending.add(entry);
                              queued = true;
                          }
                          return {};
                      });
    return queued;
}

void force_signal(Task& task, const SignalInfo& info) {
    SignalState& state = task.process().signals();
    const SignalSet bit = signal_bit(info.signo);
    {
        sync::IrqSpinGuard guard(state.lock);
        SignalAction& action = state.action(info.signo);
        if ((task.signals.blocked & bit) != 0 || action.handler == kSigIgn) {
            action.handler = kSigDfl;
            task.signals.blocked &= ~bit;
        }
        (void)task.signals.pending.add(info);
    }
    task.thread().interrupt(hal::kWorkSignal);
}

void set_blocked(Task& task, SignalSet mask) {
    mask &= ~kUnblockable;
    Process& process = task.process();
    SignalState& state = process.signals();
    SignalSet handed_over;
    {
        sync::IrqSpinGuard guard(state.lock);
        const SignalSet newly_blocked = mask & ~task.signals.blocked;
        task.signals.blocked = mask;
        if (((task.signals.pending.set() | state.pending.set()) & ~mask) != 0)
            task.thread().work.fetch_or(hal::kWorkSignal, std::memory_order_release);
        handed_over = state.pending.set() & newly_blocked;
    }
    if (handed_over != 0) {
        SignalGuard guard(process);
        retarget(process, task, state.pending.set() & handed_over);
    }
}

void begin_temporary_mask(Task& task, SignalSet mask) {
    task.signals.saved_blocked = task.signals.blocked;
    set_blocked(task, mask);
}

void end_temporary_mask(Task& task, bool interrupted) {
    if (interrupted) {
        task.signals.restore_saved = true;
        task.thread().work.fetch_or(hal::kWorkSignal, std::memory_order_release);
    } else {
        set_blocked(task, task.signals.saved_blocked);
    }
}

SignalSet blocked_pending(Task& task) {
    SignalState& state = task.process().signals();
    sync::IrqSpinGuard guard(state.lock);
    return (task.signals.pending.set() | state.pending.set()) & task.signals.blocked;
}

int take_signal(Task& task, SignalSet set, SignalInfo* info) {
    SignalState& state = task.process().signals();
    sync::IrqSpinGuard guard(state.lock);
    if (const int signo = task.signals.pending.take(~set, info)) return signo;
    return state.pending.take(~set, info);
}

Result<int> wait_for_signal(Task& task, SignalSet set, time::Deadline deadline, SignalInfo* info) {
    SignalState& state = task.process().signals();
    set &= ~kUnblockable;
    {
        sync::IrqSpinGuard guard(state.lock);
        int signo = task.signals.pending.take(~set, info);
        if (!signo) signo = state.pending.take(~set, info);
        if (signo) return signo;
        // Senders now wake this task for these, though they are blocked.
        task.signals.waited_for = set;
    }
    Result<void> slept;
    if (deadline > time::monotonic_ns())
        slept = sched::sleep_until(deadline, sched::Interruptible::kYes);
    {
        sync::IrqSpinGuard guard(state.lock);
        task.signals.waited_for = 0;
    }
    if (const int signo = take_signal(task, set, info)) return signo;
    return slept.ok() ? Errno::kEAGAIN : slept.error();
}

SignalAction exchange_action(Process& process, int signo, const SignalAction* action) {
    SignalState& state = process.signals();
    SignalGuard guard(process);
    const SignalAction old = state.action(signo);
    if (!action) return old;
    state.action(signo) = *action;
    state.action(signo).mask &= ~kUnblockable;
    // sigaction(2): setting a pending signal to be ignored discards it, blocked or not.
    if (action->handler == kSigIgn ||
        (action->handler == kSigDfl && default_action(signo) == DefaultAction::kIgnore)) {
        state.pending.discard(signal_bit(signo));
        for (Task& task : process.tasks_locked()) task.signals.pending.discard(signal_bit(signo));
    }
    return old;
}

void reset_signals_for_exec(Task& task) {
    SignalState& state = task.process().signals();
    sync::IrqSpinGuard guard(state.lock);
    for (SignalAction& action : state.actions) {
        const std::uintptr_t kept = action.handler == kSigIgn ? kSigIgn : kSigDfl;
        action = {};
        action.handler = kept;
    }
    task.signals.alternate_stack = {};
}

}  // namespace kiln::posix
