#include <kiln/posix/futex.hpp>

#include <kiln/sched_testing/test_machine.hpp>

namespace kiln::posix::futex {
namespace {

using sched::Thread;
using sched::ThreadState;
using sched::testing::compute;
using sched::testing::preempt_here;
using sched::testing::SchedTest;

constexpr std::uint64_t kMs = 1'000'000;

class FutexTest : public SchedTest {
protected:
    void SetUp() override {
        SchedTest::SetUp();
        init();
    }
    Address at(std::uint32_t& futex, Scope scope = Scope::kPrivate) {
        return {reinterpret_cast<std::uintptr_t>(&futex), scope};
    }
    std::uint32_t word = 0;
    std::uint32_t other = 0;
};

TEST_F(FutexTest, WaitWantsTheExpectedValue) {
    word = 7;
    EXPECT_EQ(wait(at(word), 8, kMatchAny, time::kForever).error(), Errno::kEAGAIN);
    EXPECT_EQ(wait(at(word), 7, 0, time::kForever).error(), Errno::kEINVAL);
    EXPECT_EQ(wait(at(word), 7, kMatchAny, time::deadline_after(kMs)).error(), Errno::kETIMEDOUT);
}

TEST_F(FutexTest, BadAddresses) {
    EXPECT_EQ(wake({reinterpret_cast<std::uintptr_t>(&word) + 2, Scope::kPrivate}, 1).error(),
              Errno::kEINVAL);
    EXPECT_EQ(wake({0, Scope::kPrivate}, 1).error(), Errno::kEFAULT);
    host::set_bad_user_range(&word, sizeof(word));
    EXPECT_EQ(wait(at(word), 0, kMatchAny, time::kForever).error(), Errno::kEFAULT);
    EXPECT_TRUE(wake(at(word), 1).ok()) << "a private wake-up does not touch the word";
    std::uint32_t expected = 0;
    EXPECT_EQ(requeue(at(word), 1, at(other), 1, &expected).error(), Errno::kEFAULT);
    EXPECT_EQ(wake_op(at(other), 1, at(word), 1, 0).error(), Errno::kEFAULT);
    host::set_bad_user_range(nullptr, 0);
}

TEST_F(FutexTest, WakesInOrderUpToTheLimit) {
    std::string order;
    for (char c : {'a', 'b', 'c'}) {
        spawn([&, c] {
            EXPECT_TRUE(wait(at(word), 0, kMatchAny, time::kForever).ok());
            order += c;
        });
    }
    sched::yield();
    EXPECT_EQ(*wake(at(other), 9), 0u);
    EXPECT_EQ(*wake(at(word), 2), 2u);
    (void)sched::sleep_until(time::deadline_after(kMs), sched::Interruptible::kNo);
    EXPECT_EQ(order, "ab");
    EXPECT_EQ(*wake(at(word), 2), 1u);
    join_all();
    EXPECT_EQ(order, "abc");
}

TEST_F(FutexTest, BitsChoose) {
    int woken = 0;
    for (std::uint32_t bits : {1u, 2u, 3u}) {
        spawn([&, bits] {
            EXPECT_TRUE(wait(at(word), 0, bits, time::kForever).ok());
            woken++;
        });
    }
    sched::yield();
    EXPECT_EQ(*wake(at(word), 9, 4), 0u);
    EXPECT_EQ(*wake(at(word), 9, 2), 2u);
    EXPECT_EQ(*wake(at(word), 9, 1), 1u);
    join_all();
    EXPECT_EQ(woken, 3);
}

TEST_F(FutexTest, SignalsEndTheWait) {
    Errno error = Errno::kOk;
    Thread& t = spawn([&] {
        error = wait(at(word), 0, kMatchAny, time::kForever).error();
        Thread::current().work = 0;
    });
    sched::yield();
    t.interrupt(hal::kWorkSignal);
    join_all();
    EXPECT_EQ(error, Errno::kEINTR);
    EXPECT_EQ(*wake(at(word), 1), 0u) << "it left no trace";
}

TEST_F(FutexTest, RequeueMovesWaiters) {
    int woken = 0;
    for (int i = 0; i < 5; i++) {
        spawn([&] {
            EXPECT_TRUE(wait(at(word), 0, kMatchAny, time::kForever).ok());
            woken++;
        });
    }
    sched::yield();
    std::uint32_t expected = 1;
    EXPECT_EQ(requeue(at(word), 1, at(other), 9, &expected).error(), Errno::kEAGAIN);
    expected = 0;
    EXPECT_EQ(*requeue(at(word), 1, at(other), 2, &expected), 3u);
    EXPECT_EQ(*wake(at(other), 9), 2u);
    EXPECT_EQ(*requeue(at(word), 0, at(other), 1, nullptr), 0u);
    EXPECT_EQ(*wake(at(other), 9), 1u);
    EXPECT_EQ(*wake(at(word), 9), 1u);
    join_all();
    EXPECT_EQ(woken, 5);
}

TEST_F(FutexTest, ATimedOutWaiterLeavesTheQueueItWasMovedTo) {
    Errno error = Errno::kOk;
    spawn([&] { error = wait(at(word), 0, kMatchAny, time::deadline_after(5 * kMs)).error(); });
    sched::yield();
    EXPECT_EQ(*requeue(at(word), 0, at(other), 1, nullptr), 0u);
    join_all();
    EXPECT_EQ(error, Errno::kETIMEDOUT);
    EXPECT_EQ(*wake(at(other), 1), 0u);
}

constexpr std::uint32_t op(std::uint32_t operation, std::uint32_t argument,
                           std::uint32_t comparison, std::uint32_t compared) {
    return operation << 28 | comparison << 24 | (argument & 0xfff) << 12 | (compared & 0xfff);
}

TEST_F(FutexTest, WakeOpChangesAndCompares) {
    other = 5;
    EXPECT_TRUE(wake_op(at(word), 1, at(other), 1, op(1, 3, 0, 0)).ok());
    EXPECT_EQ(other, 8u) << "add";
    (void)wake_op(at(word), 1, at(other), 1, op(2, 1, 0, 0));
    EXPECT_EQ(other, 9u) << "or";
    (void)wake_op(at(word), 1, at(other), 1, op(3, 8, 0, 0));
    EXPECT_EQ(other, 1u) << "and not";
    (void)wake_op(at(word), 1, at(other), 1, op(4, 3, 0, 0));
    EXPECT_EQ(other, 2u) << "xor";
    (void)wake_op(at(word), 1, at(other), 1, op(0, 0xfff, 0, 0));
    EXPECT_EQ(other, 0xffffffffu) << "set, sign-extended";
    (void)wake_op(at(word), 1, at(other), 1, op(0 | 8, 4, 0, 0));
    EXPECT_EQ(other, 16u) << "set, shifted";
    EXPECT_EQ(wake_op(at(word), 1, at(other), 1, op(5, 0, 0, 0)).error(), Errno::kENOSYS);
    EXPECT_EQ(wake_op(at(word), 1, at(other), 1, op(0, 0, 6, 0)).error(), Errno::kENOSYS);

    int woken = 0;
    for (std::uint32_t* w : {&word, &other}) {
        *w = 0;
        spawn([&, w] {
            EXPECT_TRUE(wait(at(*w), 0, kMatchAny, time::kForever).ok());
            woken++;
        });
    }
    sched::yield();
    EXPECT_EQ(*wake_op(at(word), 1, at(other), 1, op(0, 1, 4, 0)), 1u)
        << "0 > 0 is false: only the first";
    other = 0;
    EXPECT_EQ(*wake_op(at(word), 1, at(other), 1, op(0, 1, 0, 0)), 1u) << "0 == 0";
    join_all();
    EXPECT_EQ(woken, 2);
}

// A mutex as in U. Drepper, "Futexes are tricky" (mutex2), under random preemption.
TEST_F(FutexTest, AMutexOnItExcludes) {
    std::minstd_rand random(5);
    std::atomic_ref<std::uint32_t> m(word);
    const auto maybe_preempt = [&] {
        if (random() % 3 == 0) preempt_here();
        if (random() % 7 == 0) compute(random() % 50'000);
    };
    int inside = 0;
    int total = 0;
    for (int i = 0; i < 6; i++) {
        spawn([&] {
            for (int n = 0; n < 80; n++) {
                std::uint32_t c = 0;
                if (!m.compare_exchange_strong(c, 1)) {
                    maybe_preempt();
                    if (c != 2) c = m.exchange(2);
                    while (c != 0) {
                        maybe_preempt();
                        (void)wait(at(word), 2, kMatchAny,
                                   random() % 4 ? time::kForever : time::deadline_after(10'000));
                        c = m.exchange(2);
                    }
                }
                EXPECT_EQ(++inside, 1);
                maybe_preempt();
                total++;
                inside--;
                if (m.fetch_sub(1) != 1) {
                    m.store(0);
                    maybe_preempt();
                    (void)wake(at(word), 1);
                }
                maybe_preempt();
            }
        });
    }
    join_all();
    EXPECT_EQ(total, 480);
}

constexpr std::uint32_t kWaiters = 0x80000000;
constexpr std::uint32_t kOwnerDied = 0x40000000;

TEST_F(FutexTest, PiLockGoesToTheWaiters) {
    EXPECT_TRUE(lock_pi(at(word), 1, time::kForever).ok());
    EXPECT_EQ(word, 1u);
    EXPECT_EQ(lock_pi(at(word), 1, time::kForever).error(), Errno::kEDEADLK);
    EXPECT_EQ(trylock_pi(at(word), 2).error(), Errno::kEAGAIN);
    EXPECT_EQ(unlock_pi(at(word), 2).error(), Errno::kEPERM);
    EXPECT_TRUE(unlock_pi(at(word), 1).ok());
    EXPECT_EQ(word, 0u);
    EXPECT_TRUE(trylock_pi(at(word), 2).ok());
    EXPECT_TRUE(unlock_pi(at(word), 2).ok());
}

TEST_F(FutexTest, RobustListMarksTheOwnerDead) {
    struct Node {
        std::uint64_t next;
        std::uint32_t word;
    };
    struct Head {
        std::uint64_t first;
        std::int64_t offset;
        std::uint64_t pending;
    } head;
    Node a{0, 42 | kWaiters};
    Node b{0, 42};
    Node c{0, 43};
    const auto address = [](void* p) { return reinterpret_cast<std::uint64_t>(p); };
    head = {address(&a), offsetof(Node, word), 0};
    a.next = address(&b);
    b.next = address(&c);
    c.next = address(&head);
    bool woken = false;
    spawn([&] {
        EXPECT_TRUE(wait(at(a.word), 42 | kWaiters, kMatchAny, time::kForever).ok());
        woken = true;
    });
    sched::yield();
    exit_robust_list(address(&head), 42);
    join_all();
    EXPECT_TRUE(woken);
    EXPECT_EQ(a.word, kOwnerDied | kWaiters);
    EXPECT_EQ(b.word, kOwnerDied);
    EXPECT_EQ(c.word, 43u) << "another's";
    // A list in a circle, and one in bad memory, end.
    c.next = address(&a);
    exit_robust_list(address(&head), 42);
    c.next = 16;
    exit_robust_list(address(&head), 42);
    exit_robust_list(8, 42);
}

TEST_F(FutexTest, ClearAndWake) {
    word = 99;
    bool woken = false;
    spawn([&] {
        EXPECT_TRUE(wait(at(word, Scope::kShared), 99, kMatchAny, time::kForever).ok());
        woken = true;
    });
    sched::yield();
    clear_and_wake(reinterpret_cast<std::uintptr_t>(&word));
    EXPECT_EQ(word, 0u);
    join_all();
    EXPECT_TRUE(woken);
    clear_and_wake(3);
}

}  // namespace
}  // namespace kiln::posix::futex
