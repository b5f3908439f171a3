// Signals: what is blocked, pending and handled, and how a handler is run.
//
// One lock per process (SignalState::lock) guards the actions, the shared pending signals and every
// task's mask and pending signals, as Linux's siglock does. It is taken with interrupts disabled,
// because timers send signals, and after the process's task list lock.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/abi/linux/signal.hpp>
#include <kiln/base/list.hpp>
#include <kiln/base/result.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::hal {
struct TrapFrame;
}

namespace kiln::posix {

class Process;
class Task;

/// Bit n−1 is signal n, as in Linux's kernel sigset_t.
using SignalSet = std::uint64_t;
inline constexpr int kSignalCount = 64;
constexpr SignalSet signal_bit(int signo) { return SignalSet{1} << (signo - 1); }
constexpr bool is_signal_number(int signo) { return signo >= 1 && signo <= kSignalCount; }

// Numbers of x86-64 and arm64 (include/uapi/asm-generic/signal.h).
inline constexpr int kSigHup = 1;
inline constexpr int kSigInt = 2;
inline constexpr int kSigQuit = 3;
inline constexpr int kSigIll = 4;
inline constexpr int kSigTrap = 5;
inline constexpr int kSigAbrt = 6;
inline constexpr int kSigBus = 7;
inline constexpr int kSigFpe = 8;
inline constexpr int kSigKill = 9;
inline constexpr int kSigSegv = 11;
inline constexpr int kSigPipe = 13;
inline constexpr int kSigAlrm = 14;
inline constexpr int kSigTerm = 15;
inline constexpr int kSigChld = 17;
inline constexpr int kSigCont = 18;
inline constexpr int kSigStop = 19;
inline constexpr int kSigTstp = 20;
inline constexpr int kSigTtin = 21;
inline constexpr int kSigTtou = 22;
inline constexpr int kSigUrg = 23;
inline constexpr int kSigXcpu = 24;
inline constexpr int kSigXfsz = 25;
inline constexpr int kSigVtalrm = 26;
inline constexpr int kSigProf = 27;
inline constexpr int kSigWinch = 28;
inline constexpr int kSigIo = 29;
inline constexpr int kSigSys = 31;
inline constexpr int kSigRtMin = 32;

/// What no mask can hold back.
inline constexpr SignalSet kUnblockable = signal_bit(kSigKill) | signal_bit(kSigStop);

// si_code (include/uapi/asm-generic/siginfo.h).
inline constexpr std::int32_t kSiUser = 0;
inline constexpr std::int32_t kSiKernel = 0x80;
inline constexpr std::int32_t kSiQueue = -1;
inline constexpr std::int32_t kSiTimer = -2;
inline constexpr std::int32_t kSiTkill = -6;

// sa_flags.
inline constexpr std::uint64_t kSaSigInfo = 0x4;
inline constexpr std::uint64_t kSaRestorer = 0x04000000;
inline constexpr std::uint64_t kSaOnStack = 0x08000000;
inline constexpr std::uint64_t kSaRestart = 0x10000000;
inline constexpr std::uint64_t kSaNoDefer = 0x40000000;
inline constexpr std::uint64_t kSaResetHand = 0x80000000;

inline constexpr std::uintptr_t kSigDfl = 0;
inline constexpr std::uintptr_t kSigIgn = 1;

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

/// _kill: `code` SI_USER, SI_TKILL, SI_KERNEL (pid and uid 0).
SignalInfo make_signal(int signo, std::int32_t code, std::int32_t pid = 0, std::uint32_t uid = 0);
/// _sigfault.
SignalInfo make_fault_signal(int signo, std::int32_t code, std::uintptr_t address);

class PendingSignals;

/// One instance of a pending signal with its information.
struct QueuedSignal {
    ListNode node;
    PendingSignals* queue = nullptr;  ///< where it was put last
    SignalInfo info;
    /// Null: from the heap, freed when taken. Else it belongs to somebody (a timer), who is told
    /// under the lock that it has been taken or discarded, and may change info.
    void (*taken)(QueuedSignal& self, SignalInfo& info) = nullptr;
    void* owner = nullptr;
};

/// Signals pending for one target; real-time ones queue. Guarded by the process's signal lock.
class PendingSignals {
public:
    constexpr PendingSignals() = default;
    ~PendingSignals() { discard(~SignalSet{0}); }
    KILN_NON_COPYABLE(PendingSignals);

    SignalSet set() const { return set_; }
    /// A standard signal that is pending already is not added again. EAGAIN: a real-time signal of
    /// sigqueue found no memory; a standard one is then pending without its information.
    Result<void> add(const SignalInfo& info);
    /// The same with an entry that can't fail; it must not be in a queue.
    void add(QueuedSignal& entry);
    /// Takes the next signal that is not in `blocked`: faults first, then by number. 0: none.
    int take(SignalSet blocked, SignalInfo* info);
    void discard(SignalSet which);
    /// Unlinks an entry with an owner, if it is queued.
    void remove(QueuedSignal& entry);
    /// Entries on the heap (RLIMIT_SIGPENDING).
    std::uint32_t queued() const { return queued_; }

private:
    SignalSet set_ = 0;
    std::uint32_t queued_ = 0;
    List<QueuedSignal, &QueuedSignal::node> queue_;
};

/// Per process: actions and shared pending signals.
class SignalState {
public:
    constexpr SignalState() = default;
    KILN_NON_COPYABLE(SignalState);

    sync::SpinLock lock{sync::LockRank::kSignal};
    SignalAction actions[kSignalCount];  ///< of signal n at n − 1
    PendingSignals pending;
    /// Woken with each signal sent to the process or a task of it (signalfd).
    sched::WaitQueue arrivals;

    SignalAction& action(int signo) { return actions[signo - 1]; }
};

/// sigaltstack(2).
struct AlternateStack {
    std::uintptr_t base = 0;
    std::uint64_t size = 0;   ///< 0: none
    std::uint32_t flags = 0;  ///< SS_AUTODISARM
};

/// Per task: mask, alternate stack, own pending signals.
class TaskSignals {
public:
    constexpr TaskSignals() = default;
    KILN_NON_COPYABLE(TaskSignals);

    SignalSet blocked = 0;
    /// The mask to go back to after a call with a temporary one (sigsuspend, ppoll, pselect6,
    /// epoll_pwait); meaningful while `restore_saved`.
    SignalSet saved_blocked = 0;
    bool restore_saved = false;
    /// What sigtimedwait waits for although it is blocked.
    SignalSet waited_for = 0;
    PendingSignals pending;
    AlternateStack alternate_stack;  ///< the task's own: no lock
};

/// kill(2): to the process; tgkill(2): to the task. ESRCH (gone), EAGAIN (queue limit). Callable in
/// interrupts.
Result<void> send_signal(Process& process, const SignalInfo& info);
Result<void> send_signal(Task& task, const SignalInfo& info);
/// With an entry of the caller's, which can't fail for want of memory: to the task `tid`, or to the
/// process if that is 0 or gone. False: it is queued already, or the signal is ignored.
bool send_signal(Process& process, std::int32_t tid, QueuedSignal& entry);
/// A fault of the running task: cannot be blocked or ignored.
void force_signal(Task& task, const SignalInfo& info);
/// Delivers what is pending to the running task before it returns to its application: sets up a
/// handler's frame, restarts or ends the interrupted call, or ends the process.
void deliver_signals(hal::TrapFrame& frame);

// -- masks of the running task ----------------------------------------------------------------
void set_blocked(Task& task, SignalSet mask);
/// ppoll(2) and its kin: blocks `mask` until the call returns. Each is followed by
/// end_temporary_mask().
void begin_temporary_mask(Task& task, SignalSet mask);
/// `interrupted`: the call returns because of a signal; the old mask then comes back when the
/// handler has been set up, so that it runs under the temporary one.
void end_temporary_mask(Task& task, bool interrupted);
/// Signals that are pending for the task and blocked by it (sigpending).
SignalSet blocked_pending(Task& task);
/// sigtimedwait(2): takes one of `set`, waiting until `deadline`. EAGAIN (time is over), EINTR.
Result<int> wait_for_signal(Task& task, SignalSet set, time::Deadline deadline, SignalInfo* info);
/// Takes one of `set` if it is pending; 0: none (signalfd).
int take_signal(Task& task, SignalSet set, SignalInfo* info);
/// sigaction(2) for a checked number: returns the old action.
SignalAction exchange_action(Process& process, int signo, const SignalAction* action);
/// execve(2): handlers become SIG_DFL, ignored ones stay; no alternate stack.
void reset_signals_for_exec(Task& task);

// -- src/arch/<cpu> -----------------------------------------------------------------------------
/// Pushes a handler's frame on the application's stack and points `frame` at the handler. EFAULT.
Result<void> push_signal_frame(Task& task, hal::TrapFrame& frame, int signo, const SignalInfo& info,
                               const SignalAction& action, SignalSet mask_to_restore);
/// rt_sigreturn(2): loads the registers back from the application's stack, each of them checked.
Result<void> pop_signal_frame(Task& task, hal::TrapFrame& frame);
/// sigaltstack(2) with the application's stack pointer. EPERM, EINVAL, ENOMEM.
Result<void> set_alternate_stack(Task& task, std::uintptr_t sp, const abi::SigAltStack* stack,
                                 abi::SigAltStack* old_stack);
/// Makes `frame` execute its system call again.
void rewind_system_call(hal::TrapFrame& frame);
/// Makes `frame` execute restart_syscall(2).
void rewind_to_restart_call(hal::TrapFrame& frame);
/// `frame` is that of a system call whose result may ask for a restart.
bool is_system_call(const hal::TrapFrame& frame);

}  // namespace kiln::posix
