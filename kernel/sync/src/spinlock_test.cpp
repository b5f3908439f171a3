#include <kiln/sync/spinlock.hpp>

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include <kiln/arch/host.hpp>

namespace kiln::sync {
namespace {

TEST(SpinLock, HoldsPreemptionBack) {
    SpinLock lock(LockRank::kHeap);
    EXPECT_EQ(hal::cpu_local().preempt_count, 0u);
    {
        SpinGuard guard(lock);
        EXPECT_TRUE(lock.is_locked());
        EXPECT_EQ(hal::cpu_local().preempt_count, 1u);
        EXPECT_TRUE(hal::irqs_enabled());
    }
    EXPECT_FALSE(lock.is_locked());
    EXPECT_EQ(hal::cpu_local().preempt_count, 0u);
}

TEST(SpinLock, TryLockFailsWithoutTraceWhenHeld) {
    SpinLock lock(LockRank::kHeap);
    lock.lock();
    bool got = true;
    std::thread([&] { got = lock.try_lock(); }).join();
    EXPECT_FALSE(got);
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
    EXPECT_EQ(hal::cpu_local().preempt_count, 0u);
}

TEST(SpinLock, IrqGuardRestoresWhatWas) {
    SpinLock outer(LockRank::kTimer);
    SpinLock inner(LockRank::kHeap);
    {
        IrqSpinGuard a(outer);
        EXPECT_FALSE(hal::irqs_enabled());
        {
            IrqSpinGuard b(inner);
            EXPECT_FALSE(hal::irqs_enabled());
        }
        EXPECT_FALSE(hal::irqs_enabled());
        EXPECT_EQ(hal::cpu_local().preempt_count, 1u);
    }
    EXPECT_TRUE(hal::irqs_enabled());
}

int hook_calls;

TEST(SpinLock, ReschedulesAfterInterruptsAreOnAgain) {
    hal::set_preempt_hook([] {
        EXPECT_TRUE(hal::irqs_enabled());
        hal::cpu_local().need_resched = false;
        hook_calls++;
    });
    SpinLock lock(LockRank::kHeap);
    {
        IrqSpinGuard guard(lock);
        hal::cpu_local().need_resched = true;
    }
    EXPECT_EQ(hook_calls, 1);
    // Code that has interrupts off is not preempted by a lock it releases.
    const hal::IrqState state = hal::irq_save();
    {
        SpinGuard guard(lock);
        hal::cpu_local().need_resched = true;
    }
    EXPECT_EQ(hook_calls, 1);
    hal::irq_restore(state);
    hal::cpu_local().need_resched = false;
    hal::set_preempt_hook(nullptr);
}

TEST(SpinLock, ExcludesThreads) {
    // Ranks would be checked against one another: all host threads are CPU 0.
    SpinLock lock(LockRank::kUnranked);
    int counter = 0;
    constexpr int kRounds = 2000;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) {
        threads.emplace_back([&] {
            hal::cpu_local().in_interrupt = false;
            for (int n = 0; n < kRounds; n++) {
                while (!lock.raw_try_lock()) std::this_thread::yield();
                const int seen = counter;
                if (n % 64 == 0) std::this_thread::yield();
                counter = seen + 1;
                lock.raw_unlock();
            }
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(counter, 3 * kRounds);
}

TEST(SpinProtected, GivesTheValueUnderTheLock) {
    SpinProtected<int> value(LockRank::kHeap, 41);
    {
        auto v = value.lock();
        EXPECT_FALSE(hal::irqs_enabled());
        *v += 1;
    }
    EXPECT_TRUE(hal::irqs_enabled());
    EXPECT_EQ(*value.lock(), 42);
}

using LockRanksDeathTest = ::testing::Test;

TEST(LockRanksDeathTest, HigherBeforeLowerIsAPanic) {
    SpinLock low(LockRank::kTimer);
    SpinLock high(LockRank::kHeap);
    {
        SpinGuard a(low);
        SpinGuard b(high);
        EXPECT_EQ(held_spinlock_count(), 2u);
    }
    EXPECT_EQ(held_spinlock_count(), 0u);
    EXPECT_DEATH(
        {
            SpinGuard b(high);
            SpinGuard a(low);
        },
        "lock order");
}

TEST(LockRanksDeathTest, TwiceIsAPanic) {
    SpinLock lock(LockRank::kUnranked);
    EXPECT_DEATH(
        {
            SpinGuard a(lock);
            SpinGuard b(lock);
        },
        "taken twice");
    EXPECT_DEATH(lock.unlock(), "not held");
}

TEST(LockRanks, InterruptsHaveTheirOwn) {
    SpinLock high(LockRank::kPages);
    SpinLock low(LockRank::kTimer);
    SpinGuard a(high);
    hal::cpu_local().in_interrupt = true;
    {
        SpinGuard b(low);
        EXPECT_EQ(held_spinlock_count(), 1u);
    }
    hal::cpu_local().in_interrupt = false;
    EXPECT_EQ(held_spinlock_count(), 1u);
}

TEST(LockRanks, ReleaseInAnyOrder) {
    SpinLock a(LockRank::kTimer);
    SpinLock b(LockRank::kHeap);
    SpinLock c(LockRank::kPages);
    a.lock();
    b.lock();
    a.unlock();
    c.lock();
    b.unlock();
    EXPECT_EQ(held_spinlock_count(), 1u);
    c.unlock();
    EXPECT_EQ(held_spinlock_count(), 0u);
}

}  // namespace
}  // namespace kiln::sync
