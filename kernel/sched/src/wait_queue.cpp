#include <kiln/sched/wait_queue.hpp>

#include <kiln/time/timer.hpp>

namespace kiln::sched {

bool WaitEntry::wake_thread(WaitEntry& entry, std::uint32_t) {
    // Woken already and has not run since: the wake-up is another one's.
    if (entry.woken.exchange(true, std::memory_order_acq_rel)) return false;
    sched::wake(*entry.thread);
    return true;
}

void WaitQueue::add(WaitEntry& entry) {
    KILN_ASSERT(entry.queue == nullptr);
    sync::IrqSpinGuard guard(lock_);
    entry.queue = this;
    if (entry.exclusive) {
        entries_.push_back(entry);
    } else {
        entries_.push_front(entry);
    }
    // Before the condition is looked at: pairs with has_waiters().
    waiters_.fetch_add(1, std::memory_order_seq_cst);
}

void WaitQueue::remove(WaitEntry& entry) {
    KILN_ASSERT(entry.queue == this);
    sync::IrqSpinGuard guard(lock_);
    List<WaitEntry, &WaitEntry::node>::remove(entry);
    entry.queue = nullptr;
    waiters_.fetch_sub(1, std::memory_order_relaxed);
}

std::uint32_t WaitQueue::wake(std::uint32_t events, std::uint32_t exclusive_limit) {
    // The waker's change of the condition comes before this look, the waiter's add() before its look at the condition.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!has_waiters()) return 0;
    std::uint32_t woken = 0;
    std::uint32_t exclusive = 0;
    sync::IrqSpinGuard guard(lock_);
    for (WaitEntry& entry : entries_) {
        if ((entry.events & events) == 0) continue;
        if (entry.exclusive && exclusive == exclusive_limit) break;
        if (!entry.wake(entry, events)) continue;
        woken++;
        if (entry.exclusive) exclusive++;
    }
    return woken;
}

void WaitQueue::prepare_to_block(Interruptible interruptible) {
    Thread& self = Thread::current();
    self.interruptible_.store(interruptible == Interruptible::kYes, std::memory_order_relaxed);
    // Before the caller's look at its condition: who makes it true afterwards finds the thread blocked.
    self.state_.store(ThreadState::kBlocked, std::memory_order_seq_cst);
}

void WaitQueue::cancel_block() {
    Thread::current().state_.store(ThreadState::kRunnable, std::memory_order_relaxed);
}

namespace {

struct Alarm {
    explicit Alarm(Thread& t) : thread(t) {}
    Thread& thread;
    std::atomic<bool> fired{false};
    time::Timer timer{[](time::Timer&, void* self) {
                          auto& alarm = *static_cast<Alarm*>(self);
                          alarm.fired.store(true, std::memory_order_relaxed);
                          // The sleeper may end this Alarm as soon as it is awake, but only after the timer is done.
                          wake(alarm.thread);
                      },
                      this};
};

}  // namespace

Result<void> WaitQueue::block(time::Deadline deadline, std::uint64_t slack_ns) {
    Thread& self = Thread::current();
    const bool interruptible = self.interruptible_.load(std::memory_order_relaxed);
    if (self.state_.load(std::memory_order_acquire) != ThreadState::kBlocked) return {};
    if (interruptible && self.is_interrupted()) {
        cancel_block();
        return Errno::kEINTR;
    }
    if (deadline == time::kForever) {
        schedule();
    } else {
        if (time::monotonic_ns() >= deadline) {
            cancel_block();
            return Errno::kETIMEDOUT;
        }
        Alarm alarm(self);
        alarm.timer.start(deadline, slack_ns);
        schedule();
        alarm.timer.cancel();
        if (alarm.fired.load(std::memory_order_relaxed)) return Errno::kETIMEDOUT;
    }
    if (interruptible && self.is_interrupted()) return Errno::kEINTR;
    return {};
}

Result<void> sleep_until(time::Deadline deadline, Interruptible interruptible,
                         std::uint64_t slack_ns) {
    for (;;) {
        WaitQueue::prepare_to_block(interruptible);
        const Result<void> result = WaitQueue::block(deadline, slack_ns);
        if (result.error() == Errno::kETIMEDOUT) return {};
        if (!result.ok()) return result.error();
    }
}

}  // namespace kiln::sched
