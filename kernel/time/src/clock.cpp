#include <kiln/time/clock.hpp>

#include <atomic>

#include <kiln/base/types.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/sync/seqlock.hpp>
#include <kiln/time/timer.hpp>

namespace kiln::time {
namespace {

__extension__ using u128 = unsigned __int128;

// The scale is fixed once init() has read it: with 128-bit products it needs no renewed base, so reading the
// monotonic clock takes no lock.
struct Scale {
    std::uint64_t base_cycles = 0;
    std::uint32_t mult = 0;
    std::uint32_t shift = 0;
    std::uint64_t cycles_per_ns = 0;  // 2^kInverseShift * cycles per nanosecond, rounded down
};

// Room for 255 cycles per nanosecond; over 2^56 ns (two years) the error stays below one cycle.
constexpr std::uint32_t kInverseShift = 56;

constinit Scale g_scale;
constinit std::atomic<std::uint64_t> g_realtime_offset{0};
constinit sync::SeqLock<ClockData> g_data{sync::LockRank::kLog};
constinit std::atomic<void (*)(const ClockData&)> g_listener{nullptr};
constinit std::atomic<void (*)()> g_step_listener{nullptr};

// floor(2^(shift + kInverseShift) / mult) by long division, bit for bit: the compiler's 128-bit division is a
// library call that the kernel does not have.
std::uint64_t invert(std::uint32_t mult, std::uint32_t shift) {
    std::uint64_t quotient = 0;
    std::uint64_t remainder = 1;
    for (std::uint32_t bit = shift + kInverseShift; bit-- > 0;) {
        remainder <<= 1;
        quotient <<= 1;
        if (remainder >= mult) {
            remainder -= mult;
            quotient |= 1;
        }
    }
    return quotient;
}

void publish() {
    const ClockData data{g_scale.base_cycles, 0, g_realtime_offset.load(std::memory_order_relaxed),
                         g_scale.mult, g_scale.shift};
    g_data.write(data);
    if (auto* listener = g_listener.load(std::memory_order_acquire)) {
        const hal::IrqState state = hal::irq_save();
        listener(data);
        hal::irq_restore(state);
    }
}

}  // namespace

std::uint64_t cycles_to_monotonic_ns(std::uint64_t cycles) {
    // The counters of two CPUs may differ by a little around the moment of boot.
    if (cycles < g_scale.base_cycles) return 0;
    return static_cast<std::uint64_t>((u128{cycles - g_scale.base_cycles} * g_scale.mult) >>
                                      g_scale.shift);
}

std::uint64_t monotonic_ns() { return cycles_to_monotonic_ns(hal::cycle_counter()); }

std::uint64_t realtime_ns() {
    return monotonic_ns() + g_realtime_offset.load(std::memory_order_relaxed);
}

std::uint64_t realtime_offset_ns() { return g_realtime_offset.load(std::memory_order_relaxed); }

void set_realtime_ns(std::uint64_t ns) {
    g_realtime_offset.store(ns - monotonic_ns(), std::memory_order_relaxed);
    publish();
    if (auto* listener = g_step_listener.load(std::memory_order_acquire)) listener();
}

Deadline deadline_after(std::uint64_t ns) {
    Deadline deadline;
    return checked_add(monotonic_ns(), ns, &deadline) ? deadline : kForever;
}

std::uint64_t deadline_to_cycles(Deadline deadline) {
    const u128 cycles = (u128{deadline} * g_scale.cycles_per_ns) >> kInverseShift;
    if (deadline == kForever || cycles >= UINT64_MAX - g_scale.base_cycles) return UINT64_MAX;
    std::uint64_t at = g_scale.base_cycles + static_cast<std::uint64_t>(cycles);
    // Rounded down twice, so at most a few cycles early; the interrupt must not come before the deadline, or it
    // would find nothing to do.
    while (at != UINT64_MAX && cycles_to_monotonic_ns(at) < deadline) at++;
    return at;
}

ClockData clock_data() { return g_data.read(); }

void set_clock_listener(void (*listener)(const ClockData&)) {
    g_listener.store(listener, std::memory_order_release);
    if (listener) publish();
}

void set_clock_step_listener(void (*listener)()) {
    g_step_listener.store(listener, std::memory_order_release);
}

void init() {
    const hal::ClockScale& scale = hal::clock_scale();
    g_scale.cycles_per_ns = invert(scale.mult, scale.shift);
    g_scale.base_cycles = scale.base_cycles;
    g_scale.shift = scale.shift;
    g_scale.mult = scale.mult;
    g_realtime_offset.store(hal::boot_wall_clock_ns(), std::memory_order_relaxed);
    publish();
    init_timers();
}

}  // namespace kiln::time
