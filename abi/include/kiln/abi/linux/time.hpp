// Times of the 64-bit system calls (Linux include/uapi/linux/time_types.h, include/uapi/linux/time.h).
#pragma once

#include <cstdint>

namespace kiln::abi {

/// struct __kernel_timespec; struct timespec of 64-bit architectures.
struct TimeSpec {
    std::int64_t tv_sec;
    std::int64_t tv_nsec;
};
struct TimeVal {
    std::int64_t tv_sec;
    std::int64_t tv_usec;
};
struct ITimerSpec {
    TimeSpec it_interval;
    TimeSpec it_value;
};
struct ITimerVal {
    TimeVal it_interval;
    TimeVal it_value;
};
struct TimeZone {
    std::int32_t tz_minuteswest;
    std::int32_t tz_dsttime;
};

inline constexpr int kCLOCK_REALTIME = 0;
inline constexpr int kCLOCK_MONOTONIC = 1;
inline constexpr int kCLOCK_PROCESS_CPUTIME_ID = 2;
inline constexpr int kCLOCK_THREAD_CPUTIME_ID = 3;
inline constexpr int kCLOCK_MONOTONIC_RAW = 4;
inline constexpr int kCLOCK_REALTIME_COARSE = 5;
inline constexpr int kCLOCK_MONOTONIC_COARSE = 6;
inline constexpr int kCLOCK_BOOTTIME = 7;
inline constexpr int kCLOCK_REALTIME_ALARM = 8;
inline constexpr int kCLOCK_BOOTTIME_ALARM = 9;
inline constexpr int kCLOCK_TAI = 11;

inline constexpr int kTIMER_ABSTIME = 1;

}  // namespace kiln::abi
