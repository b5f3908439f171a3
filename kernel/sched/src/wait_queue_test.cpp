#include <kiln/sched/wait_queue.hpp>

#include <kiln/sched_testing/test_machine.hpp>

namespace kiln::sched {
namespace {

using testing::compute;
using testing::preempt_here;
using testing::SchedTest;

constexpr std::uint64_t kMs = 1'000'000;

class WaitQueueTest : public SchedTest {};

TEST_F(WaitQueueTest, WaitReturnsWhenTheConditionHolds) {
    WaitQueue queue;
    bool ready = false;
    std::uint64_t at = 0;
    spawn([&] {
        EXPECT_TRUE(queue.wait([&] { return ready; }).ok());
        at = time::monotonic_ns();
    });
    yield();
    EXPECT_TRUE(queue.has_waiters());
    compute(3 * kMs);
    EXPECT_EQ(queue.wake(), 1u);
    yield();
    EXPECT_EQ(at, 0u) << "woken without cause: it sleeps again";
    ready = true;
    const std::uint64_t now = time::monotonic_ns();
    queue.wake();
    join_all();
    EXPECT_GE(at, now);
    EXPECT_FALSE(queue.has_waiters());
}

TEST_F(WaitQueueTest, ConditionThatHoldsDoesNotSleep) {
    WaitQueue queue;
    EXPECT_TRUE(queue.wait([] { return true; }).ok());
}

TEST_F(WaitQueueTest, TimesOut) {
    WaitQueue queue;
    const time::Deadline deadline = time::deadline_after(7 * kMs);
    EXPECT_EQ(queue.wait([] { return false; }, Interruptible::kYes, deadline).error(),
              Errno::kETIMEDOUT);
    EXPECT_EQ(time::monotonic_ns(), deadline);
    EXPECT_EQ(queue.wait([] { return false; }, Interruptible::kYes, deadline).error(),
              Errno::kETIMEDOUT);
    EXPECT_FALSE(queue.has_waiters());
}

TEST_F(WaitQueueTest, SuccessBeatsTheTimeOut) {
    WaitQueue queue;
    const time::Deadline deadline = time::deadline_after(kMs);
    // True as of the deadline.
    EXPECT_TRUE(
        queue.wait([&] { return time::monotonic_ns() >= deadline; }, Interruptible::kYes, deadline)
            .ok());
}

TEST_F(WaitQueueTest, ExclusiveWaitersAreWokenOneByOneInOrder) {
    WaitQueue queue;
    int tokens = 0;
    std::string order;
    for (char c : {'a', 'b', 'c'}) {
        spawn([&, c] {
            WaitEntry entry;
            entry.exclusive = true;
            EXPECT_TRUE(queue.wait(entry, [&] { return tokens > 0 && tokens-- > 0; }).ok());
            order += c;
        });
    }
    yield();
    for (int i = 0; i < 3; i++) {
        tokens++;
        EXPECT_EQ(queue.wake(), 1u);
    }
    join_all();
    EXPECT_EQ(order, "abc");
}

TEST_F(WaitQueueTest, TwoWakesReachTwoExclusiveWaitersBeforeEitherRuns) {
    WaitQueue queue;
    int tokens = 0;
    int done = 0;
    for (int i = 0; i < 2; i++) {
        spawn([&] {
            WaitEntry entry;
            entry.exclusive = true;
            EXPECT_TRUE(queue.wait(entry, [&] { return tokens > 0 && tokens-- > 0; }).ok());
            done++;
        });
    }
    yield();
    hal::preempt_disable();
    tokens = 2;
    EXPECT_EQ(queue.wake(), 1u);
    EXPECT_EQ(queue.wake(), 1u);
    EXPECT_EQ(queue.wake(), 0u) << "both are on their way";
    hal::preempt_enable();
    join_all();
    EXPECT_EQ(done, 2);
}

TEST_F(WaitQueueTest, EventsChooseTheWaiters) {
    WaitQueue queue;
    bool in = false;
    bool out = false;
    const auto waiter = [&](std::uint32_t events, bool& flag) {
        return [&queue, &flag, events] {
            WaitEntry entry;
            entry.events = events;
            EXPECT_TRUE(queue.wait(entry, [&flag] { return flag; }).ok());
        };
    };
    Thread& reader = spawn(waiter(1, in));
    Thread& writer = spawn(waiter(4, out));
    yield();
    in = out = true;
    EXPECT_EQ(queue.wake_all(1), 1u);
    EXPECT_EQ(reader.state(), ThreadState::kRunnable);
    EXPECT_EQ(writer.state(), ThreadState::kBlocked);
    EXPECT_EQ(queue.wake_all(4), 1u);
    join_all();
}

TEST_F(WaitQueueTest, WakeBetweenAnnouncingAndBlockingIsNotLost) {
    WaitQueue queue;
    bool ready = false;
    spawn([&] {
        bool first = true;
        EXPECT_TRUE(queue
                        .wait([&] {
                            const bool seen = ready;
                            if (!std::exchange(first, false))
                                preempt_here();  // the waker gets its turn now
                            return seen;
                        })
                        .ok());
    });
    spawn([&] {
        ready = true;
        queue.wake();
    });
    join_all();
}

TEST_F(WaitQueueTest, WakeFromATimerInterruptEndsTheIdleLoop) {
    WaitQueue queue;
    struct Context {
        WaitQueue& queue;
        bool ready = false;
    } context{queue};
    time::Timer timer(
        [](time::Timer&, void* c) {
            static_cast<Context*>(c)->ready = true;
            static_cast<Context*>(c)->queue.wake();
        },
        &context);
    const time::Deadline at = time::deadline_after(4 * kMs);
    timer.start(at);
    EXPECT_TRUE(queue.wait([&] { return context.ready; }).ok());
    EXPECT_EQ(time::monotonic_ns(), at);
}

// A bounded buffer under random preemption, time-outs and signals: nothing is lost, nobody sleeps for ever (the idle
// loop would abort).
TEST_F(WaitQueueTest, RandomInterleavingsLoseNothing) {
    for (unsigned seed = 1; seed <= 40; seed++) {
        std::minstd_rand random(seed);
        const auto chance = [&random](unsigned one_in) { return random() % one_in == 0; };
        const auto maybe_preempt = [&] {
            if (chance(3)) preempt_here();
            if (chance(5)) compute(random() % 20'000);
        };
        WaitQueue readers;
        WaitQueue writers;
        std::vector<int> buffer;
        constexpr std::size_t kRoom = 3;
        constexpr int kItems = 60;
        int taken = 0;
        long sum = 0;
        std::vector<Thread*> threads;
        for (int p = 0; p < 3; p++) {
            threads.push_back(&spawn([&, p] {
                for (int i = 0; i < kItems; i++) {
                    for (;;) {
                        WaitEntry entry;
                        entry.exclusive = true;
                        const auto result = writers.wait(
                            entry,
                            [&] {
                                if (buffer.size() >= kRoom) {
                                    maybe_preempt();
                                    return false;
                                }
                                buffer.push_back(p * kItems + i);
                                return true;
                            },
                            Interruptible::kYes,
                            chance(2) ? time::kForever : time::deadline_after(random() % 50'000));
                        Thread::current().work = 0;
                        if (result.ok()) break;
                        maybe_preempt();
                    }
                    maybe_preempt();
                    readers.wake();
                }
            }));
        }
        for (int c = 0; c < 2; c++) {
            threads.push_back(&spawn([&] {
                for (;;) {
                    int item = -1;
                    WaitEntry entry;
                    entry.exclusive = chance(2);
                    const auto result = readers.wait(
                        entry,
                        [&] {
                            if (buffer.empty()) {
                                maybe_preempt();
                                return taken == 3 * kItems;
                            }
                            item = buffer.front();
                            buffer.erase(buffer.begin());
                            taken++;
                            return true;
                        },
                        Interruptible::kYes,
                        chance(2) ? time::kForever : time::deadline_after(random() % 50'000));
                    Thread::current().work = 0;
                    if (result.ok() && item == -1) break;
                    maybe_preempt();
                    if (item == -1) continue;
                    sum += item;
                    writers.wake();
                    if (taken == 3 * kItems) readers.wake_all();
                }
            }));
        }
        // Somebody who sends signals all the time.
        spawn([&] {
            while (taken < 3 * kItems) {
                Thread& victim = *threads[random() % threads.size()];
                if (victim.state() != ThreadState::kDead) victim.interrupt(hal::kWorkSignal);
                (void)sleep_until(time::deadline_after(30'000), Interruptible::kNo);
            }
        });
        join_all();
        EXPECT_EQ(taken, 3 * kItems);
        EXPECT_EQ(sum, 3l * kItems * (3 * kItems - 1) / 2) << "seed " << seed;
    }
}

}  // namespace
}  // namespace kiln::sched
