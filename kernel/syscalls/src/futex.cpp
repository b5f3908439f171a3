// futex(2).
#include <algorithm>

#include <kiln/posix/futex.hpp>

#include "support.hpp"
#include "waiting.hpp"

namespace kiln::syscalls {
namespace {

namespace futex = posix::futex;

// include/uapi/linux/futex.h.
enum : u32 {
    kWait = 0,
    kWake = 1,
    kRequeue = 3,
    kCmpRequeue = 4,
    kWakeOp = 5,
    kLockPi = 6,
    kUnlockPi = 7,
    kTrylockPi = 8,
    kWaitBitset = 9,
    kWakeBitset = 10,
    kWaitRequeuePi = 11,
    kCmpRequeuePi = 12,
    kLockPi2 = 13,
};
constexpr u32 kPrivateFlag = 128;
constexpr u32 kClockRealtime = 256;

i64 as_register(const Status& status) {
    return status.ok() ? *status : -static_cast<i64>(status.error());
}

// The arguments of a wait with a time-out, for restart_syscall(2). The deadline is absolute by then.
constexpr u64 kSharedBit = u64{1} << 32;

Status wait_on(futex::Address address, u32 value, u32 bits, time::Deadline deadline);

i64 restart_wait(posix::Task& task) {
    const auto scope =
        (task.restart_data[1] & kSharedBit) != 0 ? futex::Scope::kShared : futex::Scope::kPrivate;
    return as_register(wait_on({task.restart_data[0], scope},
                               static_cast<u32>(task.restart_data[1]),
                               static_cast<u32>(task.restart_data[3]), task.restart_data[2]));
}

Status wait_on(futex::Address address, u32 value, u32 bits, time::Deadline deadline) {
    const Result<void> result =
        futex::wait(address, value, bits, deadline, this_task().timer_slack_ns);
    if (result.ok()) return 0;
    if (result.error() != Errno::kEINTR) return result.error();
    if (deadline == time::kForever) return Errno::kERESTARTSYS;
    posix::Task& task = this_task();
    task.restart = restart_wait;
    task.restart_data[0] = address.value;
    task.restart_data[1] = value | (address.scope == futex::Scope::kShared ? kSharedBit : 0);
    task.restart_data[2] = deadline;
    task.restart_data[3] = bits;
    return Errno::kERESTART_RESTARTBLOCK;
}

Status done(const Result<u32>& woken) {
    if (!woken.ok()) return woken.error();
    return static_cast<i64>(*woken);
}

// A limit of 0 or less wakes one all the same: Linux counts after it has woken.
u32 at_least_one(u32 limit) { return static_cast<i32>(limit) < 1 ? 1 : limit; }

}  // namespace

Status sys_futex(u64 address, u32 operation, u32 value, u64 timeout_or_limit, u64 second_address,
                 u32 value3) {
    const u32 command = operation & ~(kPrivateFlag | kClockRealtime);
    const bool realtime = (operation & kClockRealtime) != 0;
    const auto scope =
        (operation & kPrivateFlag) != 0 ? futex::Scope::kPrivate : futex::Scope::kShared;
    const futex::Address first{address, scope};
    const futex::Address second{second_address, scope};
    const auto limit2 = static_cast<u32>(timeout_or_limit);

    time::Deadline deadline = time::kForever;
    const bool takes_timeout =
        command == kWait || command == kWaitBitset || command == kLockPi || command == kLockPi2;
    if (takes_timeout && timeout_or_limit != 0) {
        const u64 ns =
            TRY(to_nanoseconds(TRY(UserPtr<const abi::TimeSpec>(timeout_or_limit).read())));
        if (command == kWait) {
            deadline = time::deadline_after(ns);
        } else {
            deadline = absolute_deadline(ns, realtime || command == kLockPi);
        }
    }
    // do_futex(): the flag goes with these only.
    if (realtime && command != kWaitBitset && command != kWaitRequeuePi && command != kLockPi2)
        return Errno::kENOSYS;

    const std::int32_t tid = this_task().tid();
    const auto pi_result = [](const Result<void>& result) -> Status {
        if (result.ok()) return 0;
        return result.error() == Errno::kEINTR ? Errno::kERESTARTNOINTR : result.error();
    };
    switch (command) {
        case kWait: return wait_on(first, value, futex::kMatchAny, deadline);
        case kWaitBitset: return wait_on(first, value, value3, deadline);
        case kWake: return done(futex::wake(first, at_least_one(value)));
        case kWakeBitset: return done(futex::wake(first, at_least_one(value), value3));
        case kRequeue:
        case kCmpRequeue:
            if (static_cast<i32>(value) < 0 || static_cast<i32>(limit2) < 0) return Errno::kEINVAL;
            return done(futex::requeue(first, value, second, limit2,
                                       command == kCmpRequeue ? &value3 : nullptr));
        case kWakeOp:
            return done(
                futex::wake_op(first, at_least_one(value), second, at_least_one(limit2), value3));
        case kLockPi:
        case kLockPi2: return pi_result(futex::lock_pi(first, tid, deadline));
        case kTrylockPi: return pi_result(futex::trylock_pi(first, tid));
        case kUnlockPi: return pi_result(futex::unlock_pi(first, tid));
        case kWaitRequeuePi:
        case kCmpRequeuePi:
            posix::report_unsupported("futex operation", command);
            return Errno::kENOSYS;
        default: return Errno::kENOSYS;
    }
}

}  // namespace kiln::syscalls
