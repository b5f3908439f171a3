#include <kiln/time/timer.hpp>

#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/sync/per_cpu.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::time {

/// The timers of one CPU. Only that CPU runs their callbacks and arms its hardware timer.
struct alignas(64) TimerQueue {
    struct Earlier {
        bool operator()(const Timer& a, const Timer& b) const {
            return a.deadline() < b.deadline();
        }
    };

    sync::SpinLock lock{sync::LockRank::kTimer};
    PairingHeap<Timer, &Timer::node_, Earlier> heap;
    Timer* running = nullptr;      ///< whose callback runs now
    bool expiring = false;         ///< run_expired() arms the hardware when it is done
    Deadline hardware = kForever;  ///< what the hardware timer is armed for

    /// The queue that guards `timer`, locked. Interrupts are disabled.
    static TimerQueue& lock_of(Timer& timer);
    void insert(Timer& timer, Deadline deadline, std::uint64_t slack_ns);
    void remove(Timer& timer);
    void arm();
    void run_expired();

    static void start(Timer& timer, Deadline deadline, std::uint64_t slack_ns);
    static bool cancel(Timer& timer);
};

namespace {

constinit sync::PerCpu<TimerQueue> g_queues;

}  // namespace

void init_timers() { g_queues.construct(hal::cpu_id()); }

TimerQueue& TimerQueue::lock_of(Timer& timer) {
    for (;;) {
        const std::uint32_t cpu = timer.cpu_.load(std::memory_order_relaxed);
        TimerQueue& queue = g_queues[cpu];
        queue.lock.raw_lock();
        if (timer.cpu_.load(std::memory_order_relaxed) == cpu) return queue;
        queue.lock.raw_unlock();
    }
}

void TimerQueue::insert(Timer& timer, Deadline deadline, std::uint64_t slack_ns) {
    // One interrupt for both, if the timer may wait until the one that comes anyway.
    if (slack_ns != 0 && hardware > deadline && hardware - deadline <= slack_ns && !expiring)
        deadline = hardware;
    timer.deadline_.store(deadline, std::memory_order_relaxed);
    timer.armed_.store(true, std::memory_order_relaxed);
    heap.push(timer);
}

void TimerQueue::remove(Timer& timer) {
    heap.remove(timer);
    timer.armed_.store(false, std::memory_order_release);
}

// A hardware deadline that no timer has any more stays: most time-outs are cancelled, and setting the hardware
// costs more (an exit of the virtual machine) than the rare interrupt for nothing.
void TimerQueue::arm() {
    const Timer* first = heap.top();
    if (!first || expiring) return;
    const Deadline deadline = first->deadline();
    if (deadline >= hardware) return;
    hardware = deadline;
    hal::timer_arm(deadline_to_cycles(deadline));
}

void TimerQueue::run_expired() {
    lock.raw_lock();
    expiring = true;
    hardware = kForever;
    const std::uint64_t now = monotonic_ns();
    for (;;) {
        Timer* timer = heap.top();
        if (!timer || timer->deadline() > now) break;
        const Timer::Callback callback = timer->callback_;
        void* const argument = timer->argument_;
        remove(*timer);
        running = timer;
        lock.raw_unlock();
        callback(*timer, argument);
        lock.raw_lock();
        running = nullptr;
    }
    expiring = false;
    arm();
    lock.raw_unlock();
}

void TimerQueue::start(Timer& timer, Deadline deadline, std::uint64_t slack_ns) {
    const hal::IrqState state = hal::irq_save();
    const std::uint32_t here = hal::cpu_id();
    TimerQueue* queue = &lock_of(timer);
    if (timer.node_.is_linked()) queue->remove(timer);
    while (queue != &g_queues[here] && queue->running != &timer) {
        // Comes to this CPU, unless another CPU's start() takes it away in between.
        timer.cpu_.store(here, std::memory_order_relaxed);
        queue->lock.raw_unlock();
        queue = &lock_of(timer);
        if (timer.node_.is_linked()) queue->remove(timer);
    }
    timer.started_ = true;
    if (deadline != kForever) queue->insert(timer, deadline, slack_ns);
    // A timer whose callback runs on another CPU right now stays there, and that CPU arms its hardware
    // when the callback returns.
    if (queue == &g_queues[here]) queue->arm();
    queue->lock.raw_unlock();
    hal::irq_restore(state);
}

bool TimerQueue::cancel(Timer& timer) {
    const hal::IrqState state = hal::irq_save();
    bool was_armed = false;
    for (;;) {
        TimerQueue& queue = lock_of(timer);
        if (timer.node_.is_linked()) {
            queue.remove(timer);
            was_armed = true;
        }
        const bool callback_runs = queue.running == &timer;
        const bool own_callback = callback_runs && &queue == &g_queues.here();
        if (!callback_runs || own_callback) {
            timer.started_ = false;
            queue.lock.raw_unlock();
            break;
        }
        // The callback may start it again, so look again after it.
        queue.lock.raw_unlock();
        hal::irq_restore(state);
        hal::cpu_relax();
        (void)hal::irq_save();
    }
    hal::irq_restore(state);
    return was_armed;
}

void Timer::start(Deadline deadline, std::uint64_t slack_ns) {
    TimerQueue::start(*this, deadline, slack_ns);
}

bool Timer::cancel() { return TimerQueue::cancel(*this); }

void run_expired_timers() {
    const hal::IrqState state = hal::irq_save();
    g_queues.here().run_expired();
    hal::irq_restore(state);
}

Deadline next_deadline() {
    const hal::IrqState state = hal::irq_save();
    TimerQueue& queue = g_queues.here();
    queue.lock.raw_lock();
    const Timer* first = queue.heap.top();
    const Deadline deadline = first ? first->deadline() : kForever;
    queue.lock.raw_unlock();
    hal::irq_restore(state);
    return deadline;
}

}  // namespace kiln::time
