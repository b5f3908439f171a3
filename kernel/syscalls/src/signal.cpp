// Signals: actions, masks, sending, waiting.
#include <kiln/hal/trap.hpp>
#include <kiln/posix/signal.hpp>
#include <kiln/posix/signal_fd.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using posix::SignalSet;

/// sizeof(sigset_t) of the kernel, which each call with a mask names.
Result<void> check_set_size(std::size_t size) {
    if (size != sizeof(SignalSet)) return Errno::kEINVAL;
    return {};
}

posix::SignalInfo from_this_process(int signo, i32 code) {
    posix::Process& process = this_process();
    return posix::make_signal(signo, code, process.pid(), process.credentials().user.real);
}

/// kill(2): the sender's real or effective id equals the receiver's real or saved one, or CAP_KILL. All tasks of one
/// process share their ids.
bool may_signal(posix::Process& target) {
    if (&target == &this_process()) return true;
    const posix::Credentials own = this_process().credentials();
    const posix::Credentials other = target.credentials();
    return own.has(posix::kCapKill) || own.user.effective == other.user.real ||
           own.user.effective == other.user.saved || own.user.real == other.user.real ||
           own.user.real == other.user.saved;
}

Status send_to_process(int pid, const posix::SignalInfo& info) {
    Ref<posix::Process> process = posix::find_process(pid);
    if (!process) return Errno::kESRCH;
    if (!may_signal(*process)) return Errno::kEPERM;
    // Signal 0 asks only whether one could be sent.
    if (info.signo != 0) TRY(posix::send_signal(*process, info));
    return 0;
}

/// `tgid` −1: any process (tkill).
Status send_to_task(int tgid, int tid, const posix::SignalInfo& info) {
    Ref<posix::Task> task = posix::find_task(tid);
    if (!task || (tgid != -1 && task->process().pid() != tgid)) return Errno::kESRCH;
    if (!may_signal(task->process())) return Errno::kEPERM;
    if (info.signo != 0) TRY(posix::send_signal(*task, info));
    return 0;
}

Result<void> check_number_or_zero(int signo) {
    if (signo < 0 || signo > posix::kSignalCount) return Errno::kEINVAL;
    return {};
}

/// rt_sigqueueinfo(2): codes that the kernel itself uses can't be sent to others.
Result<posix::SignalInfo> queued_info(int signo, UserPtr<const posix::SignalInfo> from,
                                      bool to_self) {
    posix::SignalInfo info = TRY(from.read());
    info.signo = signo;
    if ((info.code >= 0 || info.code == posix::kSiTkill) && !to_self) return Errno::kEPERM;
    TRY(check_number_or_zero(signo));
    return info;
}

}  // namespace

Status sys_rt_sigaction(int signo, UserPtr<const posix::SignalAction> action,
                        UserPtr<posix::SignalAction> old_action, std::size_t set_size) {
    TRY(check_set_size(set_size));
    posix::SignalAction wanted;
    if (action) wanted = TRY(action.read());
    if (!posix::is_signal_number(signo)) return Errno::kEINVAL;
    if (action && (posix::signal_bit(signo) & posix::kUnblockable)) return Errno::kEINVAL;
    const posix::SignalAction old =
        posix::exchange_action(this_process(), signo, action ? &wanted : nullptr);
    if (old_action) TRY(old_action.write(old));
    return 0;
}

Status sys_rt_sigprocmask(int how, UserPtr<const u64> set, UserPtr<u64> old_set,
                          std::size_t set_size) {
    TRY(check_set_size(set_size));
    posix::Task& task = this_task();
    const SignalSet old = task.signals.blocked;  // written by the task itself alone
    if (set) {
        const SignalSet given = TRY(set.read());
        SignalSet wanted;
        switch (how) {
            case abi::kSIG_BLOCK: wanted = old | given; break;
            case abi::kSIG_UNBLOCK: wanted = old & ~given; break;
            case abi::kSIG_SETMASK: wanted = given; break;
            default: return Errno::kEINVAL;
        }
        posix::set_blocked(task, wanted);
    }
    if (old_set) TRY(old_set.write(old));
    return 0;
}

Status sys_rt_sigreturn() {
    hal::TrapFrame& frame = hal::current_user_frame();
    posix::Task& task = this_task();
    if (!posix::pop_signal_frame(task, frame).ok())
        posix::force_signal(task, posix::make_signal(posix::kSigSegv, posix::kSiKernel));
    // The result register is one of those just loaded.
    return hal::syscall_result(frame);
}

Status sys_rt_sigpending(UserPtr<u64> set, std::size_t set_size) {
    if (set_size > sizeof(SignalSet)) return Errno::kEINVAL;
    const SignalSet pending = posix::blocked_pending(this_task());
    TRY(set.copy_out(&pending, set_size));
    return 0;
}

Status sys_rt_sigtimedwait(UserPtr<const u64> set, UserPtr<posix::SignalInfo> info,
                           UserPtr<const abi::TimeSpec> timeout, std::size_t set_size) {
    TRY(check_set_size(set_size));
    const SignalSet wanted = TRY(set.read());
    time::Deadline deadline = time::kForever;
    if (timeout) deadline = time::deadline_after(TRY(to_nanoseconds(TRY(timeout.read()))));
    posix::SignalInfo got;
    const int signo = TRY(posix::wait_for_signal(this_task(), wanted, deadline, &got));
    if (info) TRY(info.write(got));
    return signo;
}

Status sys_rt_sigqueueinfo(int pid, int signo, UserPtr<const posix::SignalInfo> info) {
    return send_to_process(pid, TRY(queued_info(signo, info, pid == this_process().pid())));
}

Status sys_rt_tgsigqueueinfo(int tgid, int tid, int signo, UserPtr<const posix::SignalInfo> info) {
    if (tgid <= 0 || tid <= 0) return Errno::kEINVAL;
    return send_to_task(tgid, tid, TRY(queued_info(signo, info, tgid == this_process().pid())));
}

Status sys_rt_sigsuspend(UserPtr<const u64> set, std::size_t set_size) {
    TRY(check_set_size(set_size));
    const SignalSet mask = TRY(set.read());
    posix::Task& task = this_task();
    posix::begin_temporary_mask(task, mask);
    (void)sched::sleep_until(time::kForever, sched::Interruptible::kYes);
    posix::end_temporary_mask(task, true);
    return Errno::kERESTARTNOHAND;
}

Status sys_sigaltstack(UserPtr<const abi::SigAltStack> stack, UserPtr<abi::SigAltStack> old_stack) {
    abi::SigAltStack wanted, old;
    if (stack) wanted = TRY(stack.read());
    TRY(posix::set_alternate_stack(this_task(), hal::stack_pointer(hal::current_user_frame()),
                                   stack ? &wanted : nullptr, &old));
    if (old_stack) TRY(old_stack.write(old));
    return 0;
}

Status sys_kill(int pid, int signo) {
    TRY(check_number_or_zero(signo));
    const posix::SignalInfo info = from_this_process(signo, posix::kSiUser);
    if (pid > 0) return send_to_process(pid, info);
    // Process groups: this one, another, all. With one process a group is that process or nothing.
    posix::Process& self = this_process();
    if (pid == -1) return Errno::kESRCH;  // everything but init and the caller
    if (pid == 0 || -pid == self.process_group()) return send_to_process(self.pid(), info);
    return Errno::kESRCH;
}

Status sys_tkill(int tid, int signo) {
    if (tid <= 0) return Errno::kEINVAL;
    TRY(check_number_or_zero(signo));
    return send_to_task(-1, tid, from_this_process(signo, posix::kSiTkill));
}

Status sys_tgkill(int tgid, int tid, int signo) {
    if (tgid <= 0 || tid <= 0) return Errno::kEINVAL;
    TRY(check_number_or_zero(signo));
    return send_to_task(tgid, tid, from_this_process(signo, posix::kSiTkill));
}

Status sys_pause() {
    (void)sched::sleep_until(time::kForever, sched::Interruptible::kYes);
    return Errno::kERESTARTNOHAND;
}

Status sys_restart_syscall() {
    posix::Task& task = this_task();
    if (!task.restart) return Errno::kEINTR;
    const i64 result = task.restart(task);
    if (result < 0) return static_cast<Errno>(-result);
    return result;
}

Status sys_signalfd4(int fd, UserPtr<const u64> set, std::size_t set_size, u32 flags) {
    TRY(check_set_size(set_size));
    const SignalSet mask = TRY(set.read())
    &~posix::kUnblockable;
    if (flags & ~(abi::kO_CLOEXEC | abi::kO_NONBLOCK)) return Errno::kEINVAL;
    if (fd != -1) {
        auto file = TRY(file_at(fd));
        TRY(posix::set_signal_file_mask(*file, mask));
        return fd;
    }
    return install(TRY(posix::create_signal_file(mask, flags & abi::kO_NONBLOCK)), flags);
}

Status sys_signalfd(int fd, UserPtr<const u64> set, std::size_t set_size) {
    return sys_signalfd4(fd, set, set_size, 0);
}

}  // namespace kiln::syscalls
