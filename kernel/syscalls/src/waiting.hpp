// What the calls that wait share: time-outs and temporary signal masks.
#pragma once

#include <cstdint>
#include <optional>

#include <kiln/time/clock.hpp>

#include "support.hpp"

namespace kiln::syscalls {

/// The deadline for an absolute time of the wall clock (as it is set now) or the monotonic clock.
inline time::Deadline absolute_deadline(u64 ns, bool wall_clock) {
    if (!wall_clock || ns == time::kForever) return ns;
    const u64 offset = time::realtime_offset_ns();
    return ns > offset ? ns - offset : 1;
}

/// A relative time-out; null waits for ever. EFAULT, EINVAL. 0: does not wait at all.
inline Result<time::Deadline> relative_deadline(UserPtr<const abi::TimeSpec> timeout) {
    if (!timeout) return time::kForever;
    const u64 ns = TRY(to_nanoseconds(TRY(timeout.read())));
    return ns == 0 ? time::Deadline{0} : time::deadline_after(ns);
}
/// Milliseconds as poll(2) and epoll_wait(2) take them.
inline time::Deadline relative_deadline_ms(int ms) {
    if (ms < 0) return time::kForever;
    return ms == 0 ? time::Deadline{0} : time::deadline_after(static_cast<u64>(ms) * 1'000'000);
}
/// What is left until `deadline`, as the calls that report it do.
inline u64 time_left(time::Deadline deadline) {
    const u64 now = time::monotonic_ns();
    return deadline > now ? deadline - now : 0;
}

/// The mask that ppoll(2) and its kin put in place while they wait; none if `set` is null.
class TemporaryMask {
public:
    TemporaryMask() = default;
    KILN_NON_COPYABLE(TemporaryMask);
    ~TemporaryMask() {
        if (active_) posix::end_temporary_mask(this_task(), interrupted_);
    }
    /// EINVAL (size), EFAULT.
    Result<void> begin(UserPtr<const u64> set, std::size_t set_size) {
        if (!set) return {};
        if (set_size != sizeof(u64)) return Errno::kEINVAL;
        posix::begin_temporary_mask(this_task(), TRY(set.read()));
        active_ = true;
        return {};
    }
    /// The call returns because of a signal: its handler runs under the temporary mask.
    void interrupted() { interrupted_ = true; }

private:
    bool active_ = false;
    bool interrupted_ = false;
};

}  // namespace kiln::syscalls
