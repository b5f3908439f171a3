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
/// now + ns, saturating to kForever.
Deadline deadline_after(std::uint64_t ns);
/// Counter value at or just after `deadline`.
std::uint64_t deadline_to_cycles(Deadline deadline);

/// What user code needs to compute the clocks itself (vDSO), read under a sequence count.
struct ClockData {
    std::uint64_t base_cycles;
    std::uint64_t monotonic_base_ns;
    std::uint64_t realtime_offset_ns;  ///< realtime = monotonic + offset
    std::uint32_t mult;
    std::uint32_t shift;
};
ClockData clock_data();
/// Called with each change of ClockData (vDSO page update). One listener.
void set_clock_listener(void (*listener)(const ClockData&));

/// Reads the platform's clock scale; before this all clocks are 0.
void init();

}  // namespace kiln::time
