#include <kiln/time/clock.hpp>

#include <gtest/gtest.h>

#include <kiln/arch/host.hpp>
#include <kiln/base/types.hpp>

namespace kiln::time {
namespace {

class Clock : public ::testing::Test {
protected:
    void SetUp() override {
        host::set_time_ns(1000);
        init();
    }
    void TearDown() override {
        set_clock_listener(nullptr);
        set_clock_step_listener(nullptr);
        host::use_real_time();
    }
};

TEST_F(Clock, MonotonicFollowsTheCounter) {
    EXPECT_EQ(monotonic_ns(), 1000u);
    host::advance_time_ns(234);
    EXPECT_EQ(monotonic_ns(), 1234u);
}

TEST_F(Clock, RunsForCenturiesWithoutOverflow) {
    constexpr std::uint64_t kYear = 365ull * 24 * 3600 * kNsPerSec;
    host::set_time_ns(500 * kYear);
    EXPECT_EQ(monotonic_ns(), 500 * kYear);
}

TEST_F(Clock, SettingTheWallClockMovesOnlyIt) {
    constexpr std::uint64_t k2030 = 1893456000ull * kNsPerSec;
    set_realtime_ns(k2030);
    EXPECT_EQ(realtime_ns(), k2030);
    EXPECT_EQ(monotonic_ns(), 1000u);
    host::advance_time_ns(5);
    EXPECT_EQ(realtime_ns(), k2030 + 5);
    EXPECT_EQ(realtime_offset_ns(), k2030 - 1000);
}

TEST_F(Clock, DeadlinesSaturate) {
    EXPECT_EQ(deadline_after(10), 1010u);
    EXPECT_EQ(deadline_after(UINT64_MAX), kForever);
    EXPECT_EQ(deadline_after(UINT64_MAX - 999), kForever);
}

TEST_F(Clock, CyclesOfADeadlineAreNotEarly) {
    for (const std::uint64_t ns :
         {0ull, 1ull, 999ull, 1ull << 33, (1ull << 50) + 12345, 1ull << 55}) {
        const std::uint64_t cycles = deadline_to_cycles(ns);
        EXPECT_GE(cycles_to_monotonic_ns(cycles), ns);
        if (cycles > 0) {
            EXPECT_LT(cycles_to_monotonic_ns(cycles - 1), ns);
        }
    }
    EXPECT_EQ(deadline_to_cycles(kForever), UINT64_MAX);
}

ClockData seen;
int steps;

TEST_F(Clock, TellsItsListeners) {
    seen = {};
    set_clock_listener([](const ClockData& d) { seen = d; });
    EXPECT_EQ(seen.realtime_offset_ns, realtime_offset_ns());
    set_clock_step_listener([] { steps++; });
    set_realtime_ns(77000);
    EXPECT_EQ(steps, 1);
    EXPECT_EQ(seen.realtime_offset_ns, 76000u);
    // What the vDSO will compute.
    host::advance_time_ns(123456789);
    __extension__ using u128 = unsigned __int128;
    const std::uint64_t cycles = 1000 + 123456789;
    const auto ns =
        static_cast<std::uint64_t>((u128{cycles - seen.base_cycles} * seen.mult) >> seen.shift);
    EXPECT_EQ(seen.monotonic_base_ns + ns, monotonic_ns());
    EXPECT_EQ(clock_data().mult, seen.mult);
}

}  // namespace
}  // namespace kiln::time
