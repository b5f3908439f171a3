// Runs in the application: clock_gettime(2), gettimeofday(2), clock_getres(2), time(2) and getcpu(2)
// from the data page that the kernel keeps. Names and version as vdso(7) lists them. What the page
// can't answer goes to the kernel.
#include <cstdint>

#include "../../vvar.hpp"

extern "C" {
extern const kiln::loader::Vvar kiln_vvar [[gnu::visibility("hidden")]];
}

namespace {

struct Timespec {
    std::int64_t seconds;
    std::int64_t nanoseconds;
};
struct Timeval {
    std::int64_t seconds;
    std::int64_t microseconds;
};

constexpr std::uint64_t kNsPerSec = 1'000'000'000;
constexpr long kSysClockGettime = 228, kSysClockGetres = 229, kSysGetcpu = 309;

long syscall2(long number, long a, long b, long c = 0) {
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c)
                 : "rcx", "r11", "memory");
    return result;
}

/// One consistent reading; `realtime` adds the wall clock's offset.
std::uint64_t now_ns(bool realtime) {
    const volatile kiln::loader::Vvar& v = kiln_vvar;
    for (;;) {
        const std::uint32_t before = v.sequence;
        asm volatile("" ::: "memory");
        if ((before & 1) == 0) {
            std::uint32_t low, high;
            asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
            const std::uint64_t cycles = (std::uint64_t{high} << 32 | low) - v.base_cycles;
            std::uint64_t ns = static_cast<std::uint64_t>(
                (static_cast<unsigned __int128>(cycles) * v.mult) >> v.shift);
            ns += v.monotonic_base_ns + (realtime ? v.realtime_offset_ns : 0);
            asm volatile("" ::: "memory");
            if (v.sequence == before) return ns;
        }
        asm volatile("pause");
    }
}

}  // namespace

extern "C" {

int __vdso_clock_gettime(int clock, Timespec* out) {
    switch (clock) {
        case 0:    // CLOCK_REALTIME
        case 5:    // CLOCK_REALTIME_COARSE
        case 1:    // CLOCK_MONOTONIC
        case 4:    // CLOCK_MONOTONIC_RAW
        case 6:    // CLOCK_MONOTONIC_COARSE
        case 7: {  // CLOCK_BOOTTIME
            const std::uint64_t ns = now_ns(clock == 0 || clock == 5);
            out->seconds = static_cast<std::int64_t>(ns / kNsPerSec);
            out->nanoseconds = static_cast<std::int64_t>(ns % kNsPerSec);
            return 0;
        }
        default:
            return static_cast<int>(syscall2(kSysClockGettime, clock, reinterpret_cast<long>(out)));
    }
}

int __vdso_gettimeofday(Timeval* out, void* zone) {
    if (out) {
        const std::uint64_t ns = now_ns(true);
        out->seconds = static_cast<std::int64_t>(ns / kNsPerSec);
        out->microseconds = static_cast<std::int64_t>(ns % kNsPerSec / 1000);
    }
    if (zone) *static_cast<std::uint64_t*>(zone) = 0;  // struct timezone: UTC
    return 0;
}

int __vdso_clock_getres(int clock, Timespec* out) {
    return static_cast<int>(syscall2(kSysClockGetres, clock, reinterpret_cast<long>(out)));
}

std::int64_t __vdso_time(std::int64_t* out) {
    const auto seconds = static_cast<std::int64_t>(now_ns(true) / kNsPerSec);
    if (out) *out = seconds;
    return seconds;
}

long __vdso_getcpu(unsigned* cpu, unsigned* node, void*) {
    if (kiln_vvar.cpu_count != 1)
        return syscall2(kSysGetcpu, reinterpret_cast<long>(cpu), reinterpret_cast<long>(node));
    if (cpu) *cpu = 0;
    if (node) *node = 0;
    return 0;
}

[[gnu::weak, gnu::alias("__vdso_clock_gettime")]] int clock_gettime(int, Timespec*);
[[gnu::weak, gnu::alias("__vdso_gettimeofday")]] int gettimeofday(Timeval*, void*);
[[gnu::weak, gnu::alias("__vdso_clock_getres")]] int clock_getres(int, Timespec*);
[[gnu::weak, gnu::alias("__vdso_time")]] std::int64_t time(std::int64_t*);
[[gnu::weak, gnu::alias("__vdso_getcpu")]] long getcpu(unsigned*, unsigned*, void*);
}
