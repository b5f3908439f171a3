// Threads, sleeping, locks, wait queues and timers on the real CPU.
#include <atomic>

#include <kiln/init/application.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/time/timer.hpp>

#include "tap.hpp"

namespace kiln {
namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;

std::atomic<int> finished{0};
sched::WaitQueue finished_queue;

void note_finished() {
    finished.fetch_add(1);
    finished_queue.wake_all();
}

// Starts `count` threads of `entry` and waits for their note_finished().
void run_threads(int count, void (*entry)(void*), void* argument) {
    finished.store(0);
    int started = 0;
    for (int i = 0; i < count; i++) {
        auto thread = sched::Thread::create("test", entry, argument);
        EXPECT(thread.ok());
        if (!thread.ok()) break;
        thread.value()->start();
        started++;
    }
    const auto waited =
        finished_queue.wait([&] { return finished.load() == started; }, sched::Interruptible::kNo,
                            time::deadline_after(20'000 * kMillisecond));
    EXPECT(waited.ok());
}

void threads_run() {
    static std::atomic<int> sum;
    sum.store(0);
    run_threads(
        20,
        [](void*) {
            sum.fetch_add(3);
            note_finished();
        },
        nullptr);
    EXPECT(sum.load() == 60);
}

void many_threads_in_turn() {
    const std::uint32_t before = sched::thread_count();
    for (int i = 0; i < 200; i++)
        run_threads(
            1, [](void*) { note_finished(); }, nullptr);
    (void)sched::sleep_until(time::deadline_after(5 * kMillisecond), sched::Interruptible::kNo);
    EXPECT(sched::thread_count() <= before + 2);
}

void mutex_excludes() {
    static sched::Mutex mutex(sync::LockRank::kUnranked);
    static long counter;
    counter = 0;
    run_threads(
        6,
        [](void*) {
            for (int i = 0; i < 500; i++) {
                sched::MutexGuard guard(mutex);
                const long seen = *const_cast<volatile long*>(&counter);
                if (i % 8 == 0) sched::yield();
                counter = seen + 1;
            }
            note_finished();
        },
        nullptr);
    EXPECT(counter == 3000);
}

void spinning_threads_are_preempted() {
    static std::atomic<bool> stop;
    stop.store(false);
    for (int i = 0; i < 2; i++) {
        auto thread = sched::Thread::create(
            "spin",
            [](void*) {
                while (!stop.load()) {
                }
                note_finished();
            },
            nullptr);
        EXPECT(thread.ok());
        if (thread.ok()) thread.value()->start();
    }
    finished.store(0);
    const std::uint64_t start = time::monotonic_ns();
    for (int i = 0; i < 5; i++)
        (void)sched::sleep_until(time::deadline_after(2 * kMillisecond), sched::Interruptible::kNo);
    EXPECT(time::monotonic_ns() - start < 5'000 * kMillisecond);
    stop.store(true);
    EXPECT(finished_queue
               .wait([] { return finished.load() == 2; }, sched::Interruptible::kNo,
                     time::deadline_after(5'000 * kMillisecond))
               .ok());
}

void sleeping_takes_its_time() {
    const std::uint64_t start = time::monotonic_ns();
    (void)sched::sleep_until(time::deadline_after(20 * kMillisecond), sched::Interruptible::kNo);
    const std::uint64_t slept = time::monotonic_ns() - start;
    EXPECT(slept >= 20 * kMillisecond);
    EXPECT(slept < 2'000 * kMillisecond);
}

void waiting_times_out() {
    sched::WaitQueue queue;
    const auto result = queue.wait([] { return false; }, sched::Interruptible::kNo,
                                   time::deadline_after(10 * kMillisecond));
    EXPECT(!result.ok() && result.error() == Errno::kETIMEDOUT);
}

void wake_one_wakes_one() {
    static sched::WaitQueue queue;
    static std::atomic<int> tokens, woken;
    tokens.store(0);
    woken.store(0);
    finished.store(0);
    for (int i = 0; i < 3; i++) {
        auto thread = sched::Thread::create(
            "waiter",
            [](void*) {
                sched::WaitEntry entry;
                entry.exclusive = true;
                (void)queue.wait(
                    entry,
                    [] {
                        int have = tokens.load();
                        return have > 0 && tokens.compare_exchange_strong(have, have - 1);
                    },
                    sched::Interruptible::kNo);
                woken.fetch_add(1);
                note_finished();
            },
            nullptr);
        EXPECT(thread.ok());
        if (thread.ok()) thread.value()->start();
    }
    for (int expected = 1; expected <= 3; expected++) {
        (void)sched::sleep_until(time::deadline_after(5 * kMillisecond), sched::Interruptible::kNo);
        EXPECT(woken.load() == expected - 1);
        tokens.fetch_add(1);
        queue.wake();
        EXPECT(finished_queue
                   .wait([&] { return finished.load() == expected; }, sched::Interruptible::kNo,
                         time::deadline_after(5'000 * kMillisecond))
                   .ok());
    }
}

void timers_fire_in_order() {
    static int order[3];
    static std::atomic<int> fired;
    fired.store(0);
    const auto note = [](time::Timer&, void* argument) {
        order[fired.load()] = static_cast<int>(reinterpret_cast<std::uintptr_t>(argument));
        fired.fetch_add(1);
        finished_queue.wake_all();
    };
    time::Timer last(note, reinterpret_cast<void*>(3));
    time::Timer first(note, reinterpret_cast<void*>(1));
    time::Timer middle(note, reinterpret_cast<void*>(2));
    time::Timer never(note, reinterpret_cast<void*>(9));
    const std::uint64_t now = time::monotonic_ns();
    last.start(now + 30 * kMillisecond);
    first.start(now + 10 * kMillisecond);
    never.start(now + 15 * kMillisecond);
    middle.start(now + 20 * kMillisecond);
    EXPECT(never.cancel());
    EXPECT(finished_queue
               .wait([] { return fired.load() == 3; }, sched::Interruptible::kNo,
                     time::deadline_after(5'000 * kMillisecond))
               .ok());
    EXPECT(order[0] == 1 && order[1] == 2 && order[2] == 3);
    EXPECT(!never.is_armed());
}

void the_clock_goes_forward() {
    std::uint64_t last = time::monotonic_ns();
    bool back = false;
    for (int i = 0; i < 10'000; i++) {
        const std::uint64_t now = time::monotonic_ns();
        back |= now < last;
        last = now;
    }
    EXPECT(!back);
}

void cpu_time_is_charged() {
    const std::uint64_t before = sched::Thread::current().cpu_time_ns();
    for (int i = 0; i < 1'000'000; i++) asm volatile("");
    const std::uint64_t worked = sched::Thread::current().cpu_time_ns();
    EXPECT(worked > before);
    (void)sched::sleep_until(time::deadline_after(50 * kMillisecond), sched::Interruptible::kNo);
    EXPECT(sched::Thread::current().cpu_time_ns() - worked < 40 * kMillisecond);
}

}  // namespace
}  // namespace kiln

int kiln_application_main() {
    using namespace kiln;
    RUN(threads_run);
    RUN(many_threads_in_turn);
    RUN(mutex_excludes);
    RUN(spinning_threads_are_preempted);
    RUN(sleeping_takes_its_time);
    RUN(waiting_times_out);
    RUN(wake_one_wakes_one);
    RUN(timers_fire_in_order);
    RUN(the_clock_goes_forward);
    RUN(cpu_time_is_charged);
    return tap::finish();
}
