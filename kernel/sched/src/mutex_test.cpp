#include <kiln/sched/mutex.hpp>

#include <kiln/sched_testing/test_machine.hpp>

namespace kiln::sched {
namespace {

using sync::LockRank;
using testing::compute;
using testing::preempt_here;
using testing::SchedTest;

class MutexTest : public SchedTest {};

TEST_F(MutexTest, UncontendedNeverSleeps) {
    Mutex m(LockRank::kInode);
    const std::uint64_t switches = switch_count();
    m.lock();
    EXPECT_TRUE(m.is_held_by_current());
    EXPECT_FALSE(m.try_lock());
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
    EXPECT_EQ(switch_count(), switches);
}

TEST_F(MutexTest, ExcludesUnderRandomPreemption) {
    std::minstd_rand random(11);
    Mutex m(LockRank::kInode);
    int inside = 0;
    int total = 0;
    for (int i = 0; i < 6; i++) {
        spawn([&] {
            for (int n = 0; n < 100; n++) {
                MutexGuard guard(m);
                EXPECT_EQ(++inside, 1);
                if (random() % 2) preempt_here();
                if (random() % 4 == 0) compute(random() % 100'000);
                EXPECT_EQ(inside--, 1);
                total++;
            }
        });
    }
    join_all();
    EXPECT_EQ(total, 600);
}

TEST_F(MutexTest, ASignalEndsTheWait) {
    Mutex m(LockRank::kInode);
    Errno error = Errno::kOk;
    m.lock();
    Thread& t = spawn([&] {
        error = m.lock_interruptible().error();
        Thread::current().work = 0;
    });
    yield();
    t.interrupt(hal::kWorkSignal);
    join_all();
    EXPECT_EQ(error, Errno::kEINTR);
    m.unlock();
    EXPECT_TRUE(m.lock_interruptible().ok());
    m.unlock();
}

TEST_F(MutexTest, AnInterruptedWaiterPassesTheLockOn) {
    for (unsigned seed = 1; seed < 30; seed++) {
        std::minstd_rand random(seed);
        Mutex m(LockRank::kInode);
        int entered = 0;
        std::vector<Thread*> threads;
        for (int i = 0; i < 4; i++) {
            threads.push_back(&spawn([&] {
                for (int n = 0; n < 30;) {
                    if (m.lock_interruptible().ok()) {
                        if (random() % 2) preempt_here();
                        m.unlock();
                        entered++;
                        n++;
                    }
                    Thread::current().work = 0;
                    if (random() % 3 == 0) preempt_here();
                }
            }));
        }
        spawn([&] {
            while (entered < 120) {
                Thread& victim = *threads[random() % threads.size()];
                if (victim.state() != ThreadState::kDead) victim.interrupt(hal::kWorkSignal);
                yield();
            }
        });
        join_all();
        EXPECT_EQ(entered, 120);
    }
}

TEST_F(MutexTest, ReadersShareWritersDoNot) {
    for (unsigned seed = 1; seed < 30; seed++) {
        std::minstd_rand random(seed);
        RwLock lock(LockRank::kInode);
        int readers = 0;
        int writers = 0;
        int most_readers = 0;
        int writes = 0;
        for (int i = 0; i < 4; i++) {
            spawn([&] {
                for (int n = 0; n < 40; n++) {
                    lock.read_lock();
                    most_readers = std::max(most_readers, ++readers);
                    EXPECT_EQ(writers, 0);
                    if (random() % 2) preempt_here();
                    EXPECT_EQ(writers, 0);
                    readers--;
                    lock.read_unlock();
                    if (random() % 4 == 0) preempt_here();
                }
            });
        }
        for (int i = 0; i < 2; i++) {
            spawn([&] {
                for (int n = 0; n < 20; n++) {
                    lock.write_lock();
                    EXPECT_EQ(++writers, 1);
                    EXPECT_EQ(readers, 0);
                    if (random() % 2) preempt_here();
                    EXPECT_EQ(readers, 0);
                    writes++;
                    writers--;
                    if (random() % 3 == 0) {
                        lock.downgrade();
                        readers++;
                        if (random() % 2) preempt_here();
                        EXPECT_EQ(writers, 0);
                        readers--;
                        lock.read_unlock();
                    } else {
                        lock.write_unlock();
                    }
                    if (random() % 4 == 0) preempt_here();
                }
            });
        }
        join_all();
        EXPECT_EQ(writes, 40);
        EXPECT_GT(most_readers, 1);
    }
}

using MutexDeathTest = MutexTest;

TEST_F(MutexDeathTest, OrderIsChecked) {
    Mutex outer(LockRank::kInode);
    Mutex inner(LockRank::kFile);
    {
        MutexGuard a(outer);
        MutexGuard b(inner);
    }
    EXPECT_DEATH(
        {
            MutexGuard b(inner);
            MutexGuard a(outer);
        },
        "lock order");
    sync::SpinLock spin(LockRank::kHeap);
    EXPECT_DEATH(
        {
            sync::SpinGuard s(spin);
            MutexGuard a(outer);
        },
        "under a spinlock");
}

}  // namespace
}  // namespace kiln::sched
