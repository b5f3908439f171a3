// The machine of sched's unit tests: one CPU, a clock that stands still until a test or the idle loop moves it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <kiln/arch/host.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/time/timer.hpp>

namespace kiln::sched::testing {

/// Lets `ns` pass while the running thread computes: interrupts come when due, and may preempt it.
inline void compute(std::uint64_t ns) {
    // Time of the thread, not of the clock: it does not advance while others run.
    while (ns != 0) {
        const std::uint64_t now = hal::cycle_counter();
        const std::uint64_t armed = host::armed_deadline_cycles();
        const std::uint64_t until_timer = armed <= now ? 0 : armed - now;
        const std::uint64_t step = std::min(ns, until_timer);
        host::set_time_ns(now + step);
        ns -= step;
        host::fire_timer_if_due();
        if (step == 0 && armed > now) break;
    }
}

/// A place where the kernel could have been interrupted by a more urgent thread's wake-up.
inline void preempt_here() {
    hal::preempt_disable();
    hal::cpu_local().need_resched = true;
    hal::preempt_enable();
}

class SchedTest : public ::testing::Test {
protected:
    void SetUp() override {
        static const bool started = [] {
            host::set_time_ns(1'000'000);
            time::init();
            hal::set_interrupt_handler([](std::uint32_t vector, hal::TrapFrame&) {
                ASSERT_EQ(vector, hal::timer_vector());
                time::run_expired_timers();
            });
            init();
            return true;
        }();
        ASSERT_TRUE(started);
        host::set_idle_hook([] {
            const std::uint64_t deadline = host::armed_deadline_cycles();
            if (deadline == UINT64_MAX) {
                std::fprintf(stderr, "deadlock: nothing runnable, no timer armed\n");
                std::abort();
            }
            host::set_time_ns(std::max(deadline, hal::cycle_counter()));
            host::fire_timer_if_due();
        });
        ASSERT_EQ(thread_count(), 1u) << "a thread of an earlier test lives";
    }
    void TearDown() override {
        join_all();
        // The dead one that nobody followed yet.
        if (auto t = Thread::create(
                "reaper", [](void*) {}, nullptr);
            t.ok())
            t->get()->set_name("unused");
        EXPECT_EQ(hal::cpu_local().preempt_count, 0u);
        EXPECT_TRUE(hal::irqs_enabled());
        EXPECT_EQ(runnable_count(), 1u);
        EXPECT_EQ(Thread::current().name(), "init");
    }

    struct Body {
        std::function<void()> run;
        Ref<Thread> thread;
    };
    Thread& spawn(std::function<void()> run, std::string name = "worker") {
        auto& body = *bodies_.emplace_back(std::make_unique<Body>(std::move(run), nullptr));
        auto thread = Thread::create(
            name, [](void* b) { static_cast<Body*>(b)->run(); }, &body);
        EXPECT_TRUE(thread.ok());
        body.thread = *thread;
        body.thread->start();
        return *body.thread;
    }
    void join_all() {
        for (auto& body : bodies_) {
            while (body->thread->state() != ThreadState::kDead)
                (void)sleep_until(time::deadline_after(1'000'000), Interruptible::kNo);
        }
        bodies_.clear();
    }

    std::vector<std::unique_ptr<Body>> bodies_;
};

}  // namespace kiln::sched::testing
