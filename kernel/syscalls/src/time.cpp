// Clocks and sleeping.
#include <kiln/sched/thread.hpp>
#include <kiln/time/clock.hpp>

#include "support.hpp"
#include "waiting.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

// CPU-time clocks of others: ~pid << 3, bit 2 for a task, 2 for "as scheduled" (include/linux/posix-timers_types.h).
constexpr u32 kPerTask = 4;
constexpr u32 kCpuClockMask = 3;

Result<u64> cpu_clock(int clock) {
    if ((static_cast<u32>(clock) & kCpuClockMask) == kCpuClockMask) return Errno::kEINVAL;
    const int id = ~(clock >> 3);
    if ((static_cast<u32>(clock) & kPerTask) != 0) {
        if (id == 0) return sched::Thread::current().cpu_time_ns();
        auto task = this_process().find_task(id);
        if (!task) return Errno::kEINVAL;
        return task->thread().cpu_time_ns();
    }
    auto process = id == 0 ? Ref<posix::Process>(&this_process()) : posix::find_process(id);
    if (!process) return Errno::kEINVAL;
    return process->cpu_time_ns();
}

/// EINVAL: no such clock.
Result<u64> clock_now(int clock) {
    switch (clock) {
        case kCLOCK_REALTIME:
        case kCLOCK_REALTIME_COARSE:
        case kCLOCK_REALTIME_ALARM:
        case kCLOCK_TAI:
            return time::realtime_ns();  // the offset of TAI is 0 until somebody sets it
        case kCLOCK_MONOTONIC:
        case kCLOCK_MONOTONIC_RAW:
        case kCLOCK_MONOTONIC_COARSE:
        case kCLOCK_BOOTTIME:
        case kCLOCK_BOOTTIME_ALARM: return time::monotonic_ns();
        case kCLOCK_PROCESS_CPUTIME_ID: return this_process().cpu_time_ns();
        case kCLOCK_THREAD_CPUTIME_ID: return sched::Thread::current().cpu_time_ns();
        default: return clock < 0 ? cpu_clock(clock) : Result<u64>(Errno::kEINVAL);
    }
}

Result<void> set_wall_clock(const TimeSpec& t) {
    // timespec64_valid_settod(): not before 1970, nor beyond what the kernel can count on from.
    const u64 ns = TRY(to_nanoseconds(t));
    constexpr i64 kLatest = INT64_MAX / static_cast<i64>(kNsPerSec) - 30ll * 365 * 24 * 3600;
    if (t.tv_sec > kLatest || ns < time::monotonic_ns()) return Errno::kEINVAL;
    if (!this_process().credentials().has(posix::kCapSysTime)) return Errno::kEPERM;
    time::set_realtime_ns(ns);
    return {};
}

i64 restart_sleep(posix::Task& task);

/// nanosleep(2): what is left is told in `left`, for restart_syscall(2) as well.
Status sleep_relative(time::Deadline deadline, UserPtr<TimeSpec> left) {
    posix::Task& task = this_task();
    const Result<void> slept =
        sched::sleep_until(deadline, sched::Interruptible::kYes, task.timer_slack_ns);
    if (slept.ok()) return 0;
    const u64 ns = time_left(deadline);
    if (ns == 0) return 0;
    if (left) TRY(left.write(to_timespec(ns)));
    task.restart = restart_sleep;
    task.restart_data[0] = deadline;
    task.restart_data[1] = left.address();
    return Errno::kERESTART_RESTARTBLOCK;
}

i64 restart_sleep(posix::Task& task) {
    const Status status =
        sleep_relative(task.restart_data[0], UserPtr<TimeSpec>(task.restart_data[1]));
    return status.ok() ? *status : -static_cast<i64>(status.error());
}

}  // namespace

Status sys_time(UserPtr<i64> out) {
    const auto seconds = static_cast<i64>(time::realtime_ns() / kNsPerSec);
    if (out) TRY(out.write(seconds));
    return seconds;
}

Status sys_gettimeofday(UserPtr<TimeVal> out, UserPtr<TimeZone> zone) {
    if (out) TRY(out.write(to_timeval(time::realtime_ns())));
    if (zone) TRY(zone.write({0, 0}));
    return 0;
}

Status sys_settimeofday(UserPtr<const TimeVal> value, UserPtr<const TimeZone> zone) {
    TimeVal t{};
    if (value) {
        t = TRY(value.read());
        if (t.tv_usec < 0 || t.tv_usec > 1'000'000) return Errno::kEINVAL;
    }
    if (zone) {
        const TimeZone z = TRY(zone.read());
        if (z.tz_minuteswest > 15 * 60 || z.tz_minuteswest < -15 * 60) return Errno::kEINVAL;
        if (!this_process().credentials().has(posix::kCapSysTime)) return Errno::kEPERM;
        if (z.tz_minuteswest != 0) {
            posix::report_unsupported("settimeofday time zone", static_cast<u64>(z.tz_minuteswest));
            return Errno::kEINVAL;
        }
    }
    if (value) TRY(set_wall_clock({t.tv_sec, t.tv_usec * 1000}));
    return 0;
}

Status sys_clock_gettime(int clock, UserPtr<TimeSpec> out) {
    TRY(out.write(to_timespec(TRY(clock_now(clock)))));
    return 0;
}

Status sys_clock_getres(int clock, UserPtr<TimeSpec> out) {
    (void)TRY(clock_now(clock));
    if (out) TRY(out.write({0, 1}));
    return 0;
}

Status sys_clock_settime(int clock, UserPtr<const TimeSpec> value) {
    if (clock != kCLOCK_REALTIME) return Errno::kEINVAL;
    TRY(set_wall_clock(TRY(value.read())));
    return 0;
}

Status sys_nanosleep(UserPtr<const TimeSpec> duration, UserPtr<TimeSpec> left) {
    return sleep_relative(time::deadline_after(TRY(to_nanoseconds(TRY(duration.read())))), left);
}

Status sys_clock_nanosleep(int clock, u32 flags, UserPtr<const TimeSpec> request,
                           UserPtr<TimeSpec> left) {
    bool wall_clock = false;
    switch (clock) {
        case kCLOCK_REALTIME:
        case kCLOCK_TAI:
        case kCLOCK_REALTIME_ALARM: wall_clock = true; break;
        case kCLOCK_MONOTONIC:
        case kCLOCK_BOOTTIME:
        case kCLOCK_BOOTTIME_ALARM: break;
        case kCLOCK_THREAD_CPUTIME_ID: return Errno::kEINVAL;
        case kCLOCK_PROCESS_CPUTIME_ID:
            posix::report_unsupported("clock_nanosleep clock", 2);
            return Errno::kEOPNOTSUPP;
        default: return TRY(clock_now(clock)) , Errno::kEOPNOTSUPP;
    }
    const u64 ns = TRY(to_nanoseconds(TRY(request.read())));
    if ((flags & kTIMER_ABSTIME) == 0) return sleep_relative(time::deadline_after(ns), left);
    // A wall clock that is set meanwhile is noticed at the latest when the sleep would have ended.
    for (;;) {
        const Result<void> slept =
            sched::sleep_until(absolute_deadline(ns, wall_clock), sched::Interruptible::kYes);
        if (!slept.ok()) return Errno::kERESTARTNOHAND;
        if (!wall_clock || time::realtime_ns() >= ns) return 0;
    }
}

}  // namespace kiln::syscalls
