// Timers that send signals.
#include <kiln/posix/timers.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

constexpr int kItimerReal = 0, kItimerProf = 2;

Result<u64> to_nanoseconds(const TimeVal& t) {
    if (t.tv_sec < 0 || t.tv_usec < 0 || t.tv_usec >= 1'000'000) return Errno::kEINVAL;
    return syscalls::to_nanoseconds(TimeSpec{t.tv_sec, t.tv_usec * 1000});
}

/// A time left is never shown as 0 while the timer runs: 0 means disarmed.
TimeVal rounded_up(u64 ns) { return to_timeval(ns == 0 ? 0 : ns + 999); }

Result<void> check_which(int which) {
    if (which < kItimerReal || which > kItimerProf) return Errno::kEINVAL;
    if (which != kItimerReal) {
        posix::report_unsupported("getitimer/setitimer of CPU time", static_cast<u64>(which));
        return Errno::kEINVAL;
    }
    return {};
}

ITimerVal to_itimerval(const posix::TimerSetting& s) {
    return {to_timeval(s.interval_ns), rounded_up(s.value_ns)};
}
ITimerSpec to_itimerspec(const posix::TimerSetting& s) {
    return {to_timespec(s.interval_ns), to_timespec(s.value_ns)};
}

posix::ProcessTimers& timers() { return this_process().timers(); }

}  // namespace

Status sys_alarm(u32 seconds) {
    const posix::TimerSetting old = timers().exchange_real({u64{seconds} * kNsPerSec, 0});
    // alarm(2): rounded to seconds, but a running timer has at least one left.
    u64 left = (old.value_ns + kNsPerSec / 2) / kNsPerSec;
    if (left == 0 && old.value_ns != 0) left = 1;
    return static_cast<i64>(left);
}

Status sys_getitimer(int which, UserPtr<ITimerVal> value) {
    TRY(check_which(which));
    TRY(value.write(to_itimerval(timers().real())));
    return 0;
}

Status sys_setitimer(int which, UserPtr<const ITimerVal> value, UserPtr<ITimerVal> old_value) {
    posix::TimerSetting setting;
    if (value) {
        const ITimerVal wanted = TRY(value.read());
        setting.value_ns = TRY(to_nanoseconds(wanted.it_value));
        setting.interval_ns = TRY(to_nanoseconds(wanted.it_interval));
    }
    TRY(check_which(which));
    const posix::TimerSetting old = timers().exchange_real(setting);
    if (old_value) TRY(old_value.write(to_itimerval(old)));
    return 0;
}

Status sys_timer_create(int clock, UserPtr<const SigEvent> event, UserPtr<i32> id) {
    posix::TimerClock timer_clock;
    switch (clock) {
        case kCLOCK_REALTIME:
        case kCLOCK_TAI:
        case kCLOCK_REALTIME_ALARM: timer_clock = posix::TimerClock::kRealtime; break;
        case kCLOCK_MONOTONIC:
        case kCLOCK_BOOTTIME:
        case kCLOCK_BOOTTIME_ALARM: timer_clock = posix::TimerClock::kMonotonic; break;
        case kCLOCK_PROCESS_CPUTIME_ID:
        case kCLOCK_THREAD_CPUTIME_ID:
            posix::report_unsupported("timer_create of a CPU-time clock", static_cast<u64>(clock));
            return Errno::kEOPNOTSUPP;
        // The others measure, they have no timers (Linux: EOPNOTSUPP); unknown ones are EINVAL.
        case kCLOCK_MONOTONIC_RAW:
        case kCLOCK_REALTIME_COARSE:
        case kCLOCK_MONOTONIC_COARSE: return Errno::kEOPNOTSUPP;
        default: return Errno::kEINVAL;
    }
    posix::TimerNotification notification;
    notification.signo = posix::kSigAlrm;
    notification.value_is_id = !event;
    if (event) {
        const SigEvent e = TRY(event.read());
        switch (e.sigev_notify & ~kSIGEV_THREAD_ID) {
            case kSIGEV_SIGNAL:
                if (!posix::is_signal_number(e.sigev_signo)) return Errno::kEINVAL;
                notification.signo = e.sigev_signo;
                break;
            case kSIGEV_NONE: notification.signo = 0; break;
            // SIGEV_THREAD is the C library's; Linux accepts it like SIGEV_SIGNAL.
            case kSIGEV_THREAD:
                if (!posix::is_signal_number(e.sigev_signo)) return Errno::kEINVAL;
                notification.signo = e.sigev_signo;
                break;
            default: return Errno::kEINVAL;
        }
        if (e.sigev_notify & kSIGEV_THREAD_ID) {
            if (!this_process().find_task(e.sigev_notify_thread_id)) return Errno::kEINVAL;
            notification.thread_id = e.sigev_notify_thread_id;
        }
        notification.value = e.sigev_value;
    }
    const int timer = TRY(timers().create_timer(timer_clock, notification));
    const auto written = id.write(timer);
    if (!written.ok()) {
        (void)timers().delete_timer(timer);
        return written.error();
    }
    return 0;
}

Status sys_timer_settime(int id, u32 flags, UserPtr<const ITimerSpec> value,
                         UserPtr<ITimerSpec> old_value) {
    if (!value) return Errno::kEINVAL;
    const ITimerSpec wanted = TRY(value.read());
    posix::TimerSetting setting;
    setting.value_ns = TRY(syscalls::to_nanoseconds(wanted.it_value));
    setting.interval_ns = TRY(syscalls::to_nanoseconds(wanted.it_interval));
    const posix::TimerSetting old =
        TRY(timers().set_timer(id, setting, (flags & kTIMER_ABSTIME) != 0));
    if (old_value) TRY(old_value.write(to_itimerspec(old)));
    return 0;
}

Status sys_timer_gettime(int id, UserPtr<ITimerSpec> value) {
    TRY(value.write(to_itimerspec(TRY(timers().get_timer(id)))));
    return 0;
}

Status sys_timer_getoverrun(int id) { return TRY(timers().overrun(id)); }

Status sys_timer_delete(int id) {
    TRY(timers().delete_timer(id));
    return 0;
}

}  // namespace kiln::syscalls
