// Clocks. All times are nanoseconds; monotonic time counts from boot.
#pragma once

#include <cstdint>

namespace kiln::time {

/// An absolute monotonic time, or never.
using Deadline = std::uint64_t;
inline constexpr Deadline kForever = UINT64_MAX;

/// Nanoseconds since boot; callable in any context.
std::uint64_t monotonic_ns();
/// Nanoseconds since 1970-01-01 UTC.
std::uint64_t realtime_ns();
/// Sets the wall clock (clock_settime): moves the offset to monotonic time.
void set_realtime_ns(std::uint64_t ns);
/// realtime_ns() - monotonic_ns(). A wall clock time minus this is a Deadline, until the wall clock is set.
std::uint64_t realtime_offset_ns();
/// now + ns, saturating to kForever.
Deadline deadline_after(std::uint64_t ns);
/// The smallest counter value at which monotonic_ns() is at least `deadline`; UINT64_MAX if there is none.
std::uint64_t deadline_to_cycles(Deadline deadline);
/// monotonic_ns() as it was or will be when the cycle counter is `cycles`; 0 before boot.
std::uint64_t cycles_to_monotonic_ns(std::uint64_t cycles);

/// What user code needs to compute the clocks itself (vDSO), read under a sequence count:
/// monotonic = monotonic_base_ns + (((cycles - base_cycles) * mult) >> shift), the product in 128 bits.
struct ClockData {
    std::uint64_t base_cycles;
    std::uint64_t monotonic_base_ns;
    std::uint64_t realtime_offset_ns;  ///< realtime = monotonic + offset
    std::uint32_t mult;
    std::uint32_t shift;
};
ClockData clock_data();
/// Called with each change of ClockData (vDSO page update), and once at registration. One listener; runs with
/// interrupts disabled.
void set_clock_listener(void (*listener)(const ClockData&));
/// Called after the wall clock was set (timers on absolute wall clock times look again). One listener.
void set_clock_step_listener(void (*listener)());

/// Reads the platform's clock scale; before this all clocks are 0.
void init();

}  // namespace kiln::time
