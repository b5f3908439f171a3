#include <kiln/time/timer.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <vector>

#include <kiln/arch/host.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/hal/trap.hpp>

namespace kiln::time {
namespace {

class TimerTest : public ::testing::Test {
protected:
    void SetUp() override {
        host::set_time_ns(1000);
        init();
        hal::set_interrupt_handler([](std::uint32_t vector, hal::TrapFrame&) {
            ASSERT_EQ(vector, hal::timer_vector());
            run_expired_timers();
        });
        fired.clear();
    }
    void TearDown() override {
        // Let the hardware deadline of a cancelled timer pass, so that each test starts with nothing armed.
        host::advance_time_ns(1'000'000'000'000);
        host::fire_timer_if_due();
        EXPECT_EQ(next_deadline(), kForever);
        host::use_real_time();
    }
    /// Time passes as on the machine: interrupts come when they are due.
    static void run_until(std::uint64_t ns) {
        while (host::armed_deadline_cycles() <= ns) {
            host::set_time_ns(std::max(host::armed_deadline_cycles(), monotonic_ns()));
            ASSERT_TRUE(host::fire_timer_if_due());
        }
        host::set_time_ns(ns);
    }
    static void record(Timer& t, void* argument) {
        EXPECT_FALSE(hal::irqs_enabled());
        EXPECT_TRUE(hal::cpu_local().in_interrupt);
        EXPECT_FALSE(t.is_armed());
        fired.push_back(
            {monotonic_ns(), static_cast<int>(reinterpret_cast<std::intptr_t>(argument))});
    }
    static void* tag(int n) { return reinterpret_cast<void*>(static_cast<std::intptr_t>(n)); }

    struct Event {
        std::uint64_t at;
        int tag;
        bool operator==(const Event&) const = default;
    };
    static inline std::vector<Event> fired;
};

TEST_F(TimerTest, FireInOrderOfDeadline) {
    Timer a(record, tag(1));
    Timer b(record, tag(2));
    Timer c(record, tag(3));
    a.start(3000);
    b.start(2000);
    c.start(2500);
    EXPECT_EQ(next_deadline(), 2000u);
    EXPECT_EQ(host::armed_deadline_cycles(), 2000u);
    run_until(2600);
    EXPECT_EQ(fired, (std::vector<Event>{{2000, 2}, {2500, 3}}));
    EXPECT_TRUE(a.is_armed());
    run_until(5000);
    EXPECT_EQ(fired.size(), 3u);
    EXPECT_EQ(host::armed_deadline_cycles(), UINT64_MAX) << "nothing to wait for, nothing armed";
}

TEST_F(TimerTest, CancelTellsWhetherItWasArmed) {
    Timer a(record, tag(1));
    EXPECT_FALSE(a.cancel());
    a.start(2000);
    EXPECT_TRUE(a.cancel());
    EXPECT_FALSE(a.cancel());
    run_until(3000);
    EXPECT_TRUE(fired.empty());
    a.start(4000);
    run_until(4000);
    EXPECT_FALSE(a.cancel());
    EXPECT_EQ(fired.size(), 1u);
}

TEST_F(TimerTest, StartAgainMovesIt) {
    Timer a(record, tag(1));
    a.start(2000);
    a.start(3000);
    run_until(2500);
    EXPECT_TRUE(fired.empty());
    a.start(2600);
    run_until(2700);
    EXPECT_EQ(fired, (std::vector<Event>{{2600, 1}}));
    a.start(5000);
    a.start(kForever);
    EXPECT_FALSE(a.is_armed());
}

TEST_F(TimerTest, APastDeadlineFiresAtOnce) {
    Timer a(record, tag(1));
    a.start(10);
    run_until(1000);
    EXPECT_EQ(fired, (std::vector<Event>{{1000, 1}}));
}

TEST_F(TimerTest, SlackMergesInterrupts) {
    Timer a(record, tag(1));
    Timer b(record, tag(2));
    Timer c(record, tag(3));
    a.start(2000);
    b.start(1900, 200);
    c.start(1900, 50);
    run_until(1999);
    EXPECT_EQ(fired, (std::vector<Event>{{1900, 3}}));
    run_until(3000);
    EXPECT_EQ(fired.size(), 3u);
    EXPECT_EQ(fired[1].at, 2000u);
    EXPECT_EQ(fired[2].at, 2000u);
}

struct Periodic {
    Timer timer{[](Timer& t, void* self) {
                    auto& p = *static_cast<Periodic*>(self);
                    EXPECT_FALSE(t.cancel());  // its own cancel() does not wait for itself
                    if (++p.count < 5) t.start(monotonic_ns() + 100);
                },
                this};
    int count = 0;
};

TEST_F(TimerTest, CallbackMayStartItsTimer) {
    Periodic p;
    p.timer.start(1100);
    run_until(1350);
    EXPECT_EQ(p.count, 3);
    run_until(9000);
    EXPECT_EQ(p.count, 5);
}

TEST_F(TimerTest, DestructorDisarms) {
    {
        Timer a(record, tag(1));
        a.start(2000);
    }
    EXPECT_EQ(next_deadline(), kForever);
    run_until(3000);
    EXPECT_TRUE(fired.empty());
}

struct Chain {
    explicit Chain(Timer& o) : other(o) {}
    Timer& other;
    Timer timer{[](Timer&, void* self) { static_cast<Chain*>(self)->other.cancel(); }, this};
};

TEST_F(TimerTest, CallbackMayCancelAnotherThatIsDue) {
    Timer victim(record, tag(1));
    Chain chain(victim);
    chain.timer.start(1500);
    victim.start(1500 + 1);
    host::set_time_ns(2000);
    host::fire_timer_if_due();
    EXPECT_TRUE(fired.empty());
}

TEST_F(TimerTest, AgreesWithAModelUnderRandomOperations) {
    std::minstd_rand random(3);
    std::deque<Timer> timers;
    for (int i = 0; i < 60; i++) timers.emplace_back(record, tag(i));
    std::map<int, std::uint64_t> model;  // tag -> deadline
    std::uint64_t now = 1000;
    for (int step = 0; step < 5000; step++) {
        const int i = static_cast<int>(random() % timers.size());
        switch (random() % 4) {
            case 0:
            case 1:
                model[i] = now + random() % 5000;
                timers[i].start(model[i]);
                break;
            case 2: EXPECT_EQ(timers[i].cancel(), model.erase(i) == 1); break;
            default: {
                now += random() % 700;
                fired.clear();
                run_until(now);
                std::multimap<std::uint64_t, int> due;
                for (auto it = model.begin(); it != model.end();) {
                    if (it->second <= now) {
                        due.insert({it->second, it->first});
                        it = model.erase(it);
                    } else {
                        ++it;
                    }
                }
                ASSERT_EQ(fired.size(), due.size());
                for (std::size_t n = 1; n < fired.size(); n++)
                    EXPECT_LE(fired[n - 1].at, fired[n].at);
                for (const Event& e : fired)
                    EXPECT_FALSE(timers[static_cast<std::size_t>(e.tag)].is_armed());
            }
        }
        ASSERT_EQ(next_deadline() == kForever, model.empty());
    }
    for (Timer& t : timers) t.cancel();
}

}  // namespace
}  // namespace kiln::time
