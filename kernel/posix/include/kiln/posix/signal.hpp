// Signals: what is blocked, pending and handled, and how a handler is run.
#pragma once

#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::hal {
struct TrapFrame;
}

namespace kiln::posix {

class Process;
class Task;

/// Bit n−1 is signal n, as in Linux's kernel sigset_t.
using SignalSet = std::uint64_t;
inline constexpr int kSignalCount = 64;

/// struct kernel_sigaction of x86-64 and arm64 (include/uapi/asm-generic/signal.h).
struct SignalAction {
    std::uintptr_t handler = 0;  ///< SIG_DFL 0, SIG_IGN 1
    std::uint64_t flags = 0;
    std::uintptr_t restorer = 0;
    SignalSet mask = 0;
};
static_assert(sizeof(SignalAction) == 32);

/// siginfo_t (include/uapi/asm-generic/siginfo.h), 128 bytes.
struct SignalInfo {
    std::int32_t signo = 0;
    std::int32_t error = 0;
    std::int32_t code = 0;
    std::int32_t pad = 0;
    std::uint64_t fields[14] = {};  ///< the union: pid/uid, addr, value …
};
static_assert(sizeof(SignalInfo) == 128);

/// Signals pending for one target; real-time ones queue.
class PendingSignals;

/// Per process: actions and shared pending signals.
class SignalState;
/// Per task: mask, alternate stack, own pending signals.
class TaskSignals;

/// kill(2): to the process; tgkill(2): to the task. ESRCH, EAGAIN (queue limit).
Result<void> send_signal(Process& process, const SignalInfo& info);
Result<void> send_signal(Task& task, const SignalInfo& info);
/// A fault of the running task: cannot be blocked or ignored.
void force_signal(Task& task, const SignalInfo& info);
/// Delivers what is pending to the running task before it returns to its application: sets up a
/// handler's frame, restarts or ends the interrupted call, or ends the process.
void deliver_signals(hal::TrapFrame& frame);

}  // namespace kiln::posix
