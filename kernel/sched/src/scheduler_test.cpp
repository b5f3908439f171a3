#include <kiln/sched_testing/test_machine.hpp>

namespace kiln::sched {
namespace {

using testing::compute;
using testing::preempt_here;
using testing::SchedTest;

constexpr std::uint64_t kMs = 1'000'000;

TEST_F(SchedTest, AThreadRunsAndEnds) {
    int ran = 0;
    Thread& t = spawn([&] { ran++; }, "a name that is too long");
    EXPECT_EQ(t.name(), "a name that is ");
    EXPECT_EQ(ran, 0) << "the creator goes on first";
    EXPECT_EQ(runnable_count(), 2u);
    join_all();
    EXPECT_EQ(ran, 1);
}

TEST_F(SchedTest, YieldTakesTurns) {
    std::string trace;
    for (char c : {'a', 'b', 'c'}) {
        spawn([&trace, c] {
            for (int i = 0; i < 3; i++) {
                trace += c;
                yield();
            }
        });
    }
    join_all();
    EXPECT_EQ(trace, "abcabcabc");
}

TEST_F(SchedTest, ALoneThreadIsNotInterrupted) {
    compute(50 * kMs);  // whatever earlier tests left
    EXPECT_EQ(host::armed_deadline_cycles(), UINT64_MAX);
    compute(1000 * kMs);
    EXPECT_EQ(host::armed_deadline_cycles(), UINT64_MAX);
}

TEST_F(SchedTest, ComputingThreadsShareTheCpu) {
    std::vector<Thread*> threads;
    for (int i = 0; i < 4; i++) threads.push_back(&spawn([] { compute(100 * kMs); }));
    (void)sleep_until(time::deadline_after(80 * kMs), Interruptible::kNo);
    for (Thread* t : threads) {
        EXPECT_GE(t->cpu_time_ns(), 14 * kMs);
        EXPECT_LE(t->cpu_time_ns(), 26 * kMs);
        EXPECT_GE(t->involuntary_switches(), 2u);
    }
    join_all();
    for (Thread* t : threads) (void)t;
}

TEST_F(SchedTest, CpuTimeIsWhatWasComputed) {
    Ref<Thread> a(&spawn([] { compute(30 * kMs); }));
    Ref<Thread> b(&spawn([] { compute(10 * kMs); }));
    join_all();
    EXPECT_EQ(a->cpu_time_ns(), 30 * kMs);
    EXPECT_EQ(b->cpu_time_ns(), 10 * kMs);
}

TEST_F(SchedTest, NicenessWeighs) {
    Thread& normal = spawn([] { compute(400 * kMs); });
    Thread& nice = spawn([] { compute(400 * kMs); });
    nice.set_params({.policy = kPolicyOther, .nice = 5, .rt_priority = 0});
    (void)sleep_until(time::deadline_after(200 * kMs), Interruptible::kNo);
    // Five steps of 1.25: 1024 to 335.
    const double ratio =
        static_cast<double>(normal.cpu_time_ns()) / static_cast<double>(nice.cpu_time_ns());
    EXPECT_NEAR(ratio, 3.05, 0.5);
}

TEST_F(SchedTest, ASleeperWakesOnTimeAgainstBusyThreads) {
    for (int i = 0; i < 3; i++) spawn([] { compute(100 * kMs); });
    std::uint64_t late = 0;
    spawn([&] {
        for (int i = 0; i < 10; i++) {
            const time::Deadline deadline = time::deadline_after(5 * kMs);
            (void)sleep_until(deadline, Interruptible::kNo);
            late = std::max(late, time::monotonic_ns() - deadline);
        }
    });
    join_all();
    EXPECT_LE(late, 2 * kMs);
}

TEST_F(SchedTest, RealTimeComesFirst) {
    std::string trace;
    Thread& low = spawn([&] { trace += 'l'; });
    Thread& high = spawn([&] {
        trace += 'h';
        compute(50 * kMs);
        trace += 'H';
    });
    low.set_params({.policy = kPolicyFifo, .nice = 0, .rt_priority = 10});
    high.set_params({.policy = kPolicyFifo, .nice = 0, .rt_priority = 20});
    preempt_here();
    // set_params() of a FIFO thread preempts this one at once; FIFO threads run to their end.
    EXPECT_EQ(trace, "lhH");
    join_all();
}

TEST_F(SchedTest, RoundRobinTakesTurnsFifoDoesNot) {
    std::string trace;
    const auto body = [&trace](char c) {
        return [&trace, c] {
            for (int i = 0; i < 3; i++) {
                compute(kRoundRobinSliceNs);
                trace += c;
            }
        };
    };
    const SchedParams init_params = Thread::current().params();
    Thread::current().set_params({.policy = kPolicyFifo, .nice = 0, .rt_priority = 50});
    for (char c : {'a', 'b'})
        spawn(body(c)).set_params({.policy = kPolicyFifo, .nice = 0, .rt_priority = 10});
    (void)sleep_until(time::deadline_after(1000 * kMs), Interruptible::kNo);
    EXPECT_EQ(trace, "aaabbb");
    trace.clear();
    for (char c : {'a', 'b'})
        spawn(body(c)).set_params({.policy = kPolicyRoundRobin, .nice = 0, .rt_priority = 10});
    (void)sleep_until(time::deadline_after(1000 * kMs), Interruptible::kNo);
    // Each turn of the one ends where the slice does, just before or after the letter.
    EXPECT_NE(trace.find("ab"), std::string::npos);
    EXPECT_NE(trace.find("ba"), std::string::npos);
    Thread::current().set_params(init_params);
}

TEST_F(SchedTest, IdleTimeIsCounted) {
    const std::uint64_t before = idle_time_ns();
    const std::uint64_t switches = switch_count();
    (void)sleep_until(time::deadline_after(20 * kMs), Interruptible::kNo);
    EXPECT_EQ(idle_time_ns() - before, 20 * kMs);
    EXPECT_EQ(switch_count(), switches) << "a lone sleeper costs no switch";
}

TEST_F(SchedTest, InterruptEndsAnInterruptibleSleep) {
    Errno error = Errno::kOk;
    Thread& t = spawn([&] {
        error = sleep_until(time::kForever, Interruptible::kYes).error();
        Thread::current().work = 0;
    });
    yield();
    EXPECT_EQ(t.state(), ThreadState::kBlocked);
    t.interrupt(hal::kWorkSignal);
    EXPECT_EQ(t.state(), ThreadState::kRunnable);
    join_all();
    EXPECT_EQ(error, Errno::kEINTR);
}

TEST_F(SchedTest, InterruptLeavesAnUninterruptibleSleepAlone) {
    Errno error = Errno::kEINTR;
    Thread& t = spawn([&] {
        error = sleep_until(time::deadline_after(10 * kMs), Interruptible::kNo).error();
        Thread::current().work = 0;
    });
    yield();
    t.interrupt(hal::kWorkSignal);
    EXPECT_EQ(t.state(), ThreadState::kBlocked);
    join_all();
    EXPECT_EQ(error, Errno::kOk);
}

TEST_F(SchedTest, WorkThatIsPendingPreventsTheSleep) {
    Thread::current().interrupt(hal::kWorkSignal);
    EXPECT_EQ(sleep_until(time::kForever, Interruptible::kYes).error(), Errno::kEINTR);
    Thread::current().work = 0;
}

TEST_F(SchedTest, ADeadlineThatHasPassedDoesNotSleep) {
    const std::uint64_t now = time::monotonic_ns();
    EXPECT_TRUE(sleep_until(now - 5, Interruptible::kYes).ok());
    EXPECT_EQ(time::monotonic_ns(), now);
}

TEST_F(SchedTest, ManyThreadsComeAndGo) {
    int ran = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 10; i++) spawn([&] { ran++; });
        join_all();
        EXPECT_LE(thread_count(), 11u) << "the dead of the last round at most";
    }
    EXPECT_EQ(ran, 200);
}

TEST_F(SchedTest, ForEachThreadVisitsAll) {
    spawn([] { compute(kMs); }, "one");
    spawn([] { compute(kMs); }, "two");
    std::string names;
    for_each_thread(
        [](Thread& t, void* out) {
            *static_cast<std::string*>(out) += std::string(t.name()) + " ";
            return true;
        },
        &names);
    EXPECT_NE(names.find("init"), std::string::npos);
    EXPECT_NE(names.find("one two "), std::string::npos);
    EXPECT_EQ(thread_count(), 3u);
}

TEST_F(SchedTest, AffinityWantsAnExistingCpu) {
    EXPECT_EQ(Thread::current().set_affinity(0).error(), Errno::kEINVAL);
    EXPECT_EQ(Thread::current().set_affinity(2).error(), Errno::kEINVAL);
    EXPECT_TRUE(Thread::current().set_affinity(3).ok());
    EXPECT_EQ(Thread::current().affinity(), 3u);
}

TEST_F(SchedTest, PageTablesFollowTheThread) {
    Thread& t = Thread::current();
    ASSERT_TRUE(t.make_user(0x5000).ok());
    EXPECT_EQ(host::loaded_page_table_root().value, 0x5000u);
    t.set_page_table_root(0);
    EXPECT_EQ(host::loaded_page_table_root(), hal::kernel_page_table_root());
}

using SchedDeathTest = SchedTest;

TEST_F(SchedDeathTest, SleepingUnderASpinlockIsAPanic) {
    sync::SpinLock lock(sync::LockRank::kHeap);
    EXPECT_DEATH(
        {
            sync::SpinGuard guard(lock);
            (void)sleep_until(time::deadline_after(5), Interruptible::kNo);
        },
        "");
}

}  // namespace
}  // namespace kiln::sched
