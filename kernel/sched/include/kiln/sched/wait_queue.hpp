// Wait queues: how a thread sleeps until something happens, with a deadline, interruptibly, on one
// queue or on many (poll).
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/base/list.hpp>
#include <kiln/base/result.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::sched {

class WaitQueue;

/// One waiter on one queue. `wake` is called with the queue locked, interrupts off; it returns true
/// if the wake-up was used (counts for wake_one). The default wakes `thread`, once until `woken` is cleared.
/// An entry is taken off its queue before it is destroyed.
struct WaitEntry {
    using WakeFn = bool (*)(WaitEntry& entry, std::uint32_t events);
    explicit WaitEntry(WakeFn fn = wake_thread, void* cookie_value = nullptr)
        : wake(fn), thread(&Thread::current()), cookie(cookie_value) {}
    KILN_NON_COPYABLE(WaitEntry);
    ~WaitEntry() { KILN_ASSERT(queue == nullptr); }

    static bool wake_thread(WaitEntry& entry, std::uint32_t events);

    WakeFn wake;
    Thread* thread;
    void* cookie;
    std::uint32_t events = ~0u;  ///< poll events that interest it
    bool exclusive = false;      ///< wake_one stops after it
    std::atomic<bool> woken{false};
    WaitQueue* queue = nullptr;
    ListNode node;
};

class WaitQueue {
public:
    explicit constexpr WaitQueue(sync::LockRank rank = sync::LockRank::kWaitQueue) : lock_(rank) {}
    KILN_NON_COPYABLE(WaitQueue);

    /// Exclusive entries go behind the others, in order of arrival.
    void add(WaitEntry& entry);
    void remove(WaitEntry& entry);
    /// Wakes all non-exclusive waiters and up to `exclusive_limit` exclusive ones whose events meet
    /// `events`. Callable from interrupts. Returns how many.
    std::uint32_t wake(std::uint32_t events = ~0u, std::uint32_t exclusive_limit = 1);
    std::uint32_t wake_all(std::uint32_t events = ~0u) { return wake(events, ~0u); }
    /// Whether a wake-up could be of use to anybody. A waker that made the condition true with a sequentially
    /// consistent operation may leave the call of wake() out when this says no.
    bool has_waiters() const { return waiters_.load(std::memory_order_seq_cst) != 0; }

    /// Sleeps until `condition()` is true. It is evaluated without locks, may be spuriously
    /// evaluated; the waker makes it true before it calls wake(). ETIMEDOUT, or EINTR (only
    /// if interruptible).
    template <typename Condition>
    Result<void> wait(Condition condition, Interruptible interruptible = Interruptible::kYes,
                      time::Deadline deadline = time::kForever) {
        if (condition()) return {};
        WaitEntry entry;
        return wait(entry, condition, interruptible, deadline);
    }
    /// The same with an entry of the caller's (events, exclusive).
    template <typename Condition>
    Result<void> wait(WaitEntry& entry, Condition condition,
                      Interruptible interruptible = Interruptible::kYes,
                      time::Deadline deadline = time::kForever) {
        add(entry);
        Result<void> result;
        for (;;) {
            entry.woken.store(false, std::memory_order_relaxed);
            prepare_to_block(interruptible);
            if (condition()) break;
            result = block(deadline);
            if (!result.ok()) {
                if (condition()) result = {};
                break;
            }
        }
        cancel_block();
        remove(entry);
        return result;
    }

private:
    friend struct WaitEntry;
    sync::SpinLock lock_;
    std::atomic<std::uint32_t> waiters_{0};
    List<WaitEntry, &WaitEntry::node> entries_;

public:
    // The three steps of blocking, also for those that wait on several queues at once:
    // prepare_to_block(); look at the conditions; block() or cancel_block().
    /// Marks the running thread blocked: a wake-up from now on makes the next block() return at
    /// once.
    static void prepare_to_block(Interruptible interruptible);
    /// Gives the CPU away until woken. EINTR if interruptible and work is pending, ETIMEDOUT. `slack_ns`: how much
    /// after the deadline will do.
    static Result<void> block(time::Deadline deadline, std::uint64_t slack_ns = 0);
    /// Undoes prepare_to_block().
    static void cancel_block();
};

/// Makes a blocked thread runnable; false if it was not blocked. Callable in any context, with any lock below
/// LockRank::kRunQueue held.
bool wake(Thread& thread);

}  // namespace kiln::sched
