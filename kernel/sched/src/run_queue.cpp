// Choosing who runs: accounts, order and time slices. The fair class follows Linux's CFS (Documentation/scheduler/
// sched-design-CFS.rst): run time is weighed by niceness, the thread with the least of it is next.
#include "run_queue.hpp"

#include <algorithm>
#include <array>

#include <kiln/hal/smp.hpp>
#include <kiln/trace/trace.hpp>

KILN_TRACEPOINT(sched_switch, "from to from_leaves");
KILN_TRACEPOINT(sched_wake_up, "thread runnable");

namespace kiln::sched {
namespace {

// Every runnable thread gets a turn within the period, unless that made the slices shorter than the minimum.
constexpr std::uint64_t kPeriodNs = 6'000'000;
constexpr std::uint64_t kMinSliceNs = 750'000;
// A thread that wakes up takes the CPU from one that has had so much more of it.
constexpr std::uint64_t kWakeupGranularityNs = 1'000'000;
// Who slept long may not claim all the time it missed.
constexpr std::uint64_t kSleeperCreditNs = kPeriodNs / 2;
// sched_yield() in a loop must let threads through that have run more than the caller.
constexpr std::uint64_t kYieldPenaltyNs = 100'000;

// Weights of nice −20…19, each step 1.25 times the next (Linux: sched_prio_to_weight), as 2^20 / weight, that is
// 1024 = nice 0.
constexpr std::array<std::uint16_t, 40> kRateOfNice = {
    12,   15,    19,    23,    29,    36,    45,    56,    70,    88,      // −20 … −11
    110,  138,   172,   215,   269,   336,   420,   525,   657,   820,     // −10 … −1
    1024, 1279,  1601,  1999,  2479,  3130,  3855,  4877,  6096,  7654,    // 0 … 9
    9533, 11916, 14980, 18079, 23302, 29127, 36158, 45591, 58254, 65535};  // 10 … 19
constexpr std::uint32_t kRateOfIdle = 349525;                              // weight 3

constexpr std::uint32_t kRateShift = 10;

bool is_before(std::uint64_t a, std::uint64_t b) { return static_cast<std::int64_t>(a - b) < 0; }

}  // namespace

constinit sync::PerCpu<RunQueue> g_run_queues;

std::uint32_t vruntime_rate(const SchedParams& params) {
    if (params.policy == kPolicyIdle) return kRateOfIdle;
    return kRateOfNice[static_cast<std::size_t>(std::clamp<int>(params.nice, -20, 19) + 20)];
}

RunQueue& RunQueue::here() { return g_run_queues.here(); }

RunQueue& RunQueue::lock_of(Thread& thread) {
    for (;;) {
        const std::uint32_t cpu = thread.cpu_.load(std::memory_order_relaxed);
        RunQueue& rq = g_run_queues[cpu];
        rq.lock.raw_lock();
        if (thread.cpu_.load(std::memory_order_relaxed) == cpu) return rq;
        rq.lock.raw_unlock();
    }
}

void RunQueue::charge(std::uint64_t now) {
    Thread& t = *current;
    if (idle || now <= t.charged_until_ns_) return;
    const std::uint64_t ran = now - t.charged_until_ns_;
    t.charged_until_ns_ = now;
    t.run_time_ns_ += ran;
    t.vruntime_ += (ran * t.vruntime_per_ns_) >> kRateShift;
}

void RunQueue::update_min_vruntime() {
    const Thread* first = queue.top();
    const bool current_counts = current->counted_ && current->params_.rt_priority == 0;
    const bool first_counts = first && first->params_.rt_priority == 0;
    if (!current_counts && !first_counts) return;
    std::uint64_t least = current_counts ? current->vruntime_ : first->vruntime_;
    if (first_counts && is_before(first->vruntime_, least)) least = first->vruntime_;
    if (is_before(min_vruntime, least)) min_vruntime = least;
}

std::uint64_t RunQueue::slice_of(const Thread& thread, std::uint32_t runnable_threads) {
    if (thread.params_.policy == kPolicyFifo) return time::kForever;
    if (thread.params_.policy == kPolicyRoundRobin) return kRoundRobinSliceNs;
    return std::max(kPeriodNs / std::max(runnable_threads, 1u), kMinSliceNs);
}

void RunQueue::request_reschedule() {
    local->need_resched.store(true, std::memory_order_release);
    if (local != &hal::cpu_local()) hal::cpu_kick(local->cpu_id);
}

void RunQueue::start_slices(std::uint64_t now) {
    if (runnable.load(std::memory_order_relaxed) < 2 || slice_timer.is_armed()) return;
    if (local != &hal::cpu_local()) {
        request_reschedule();  // it starts them itself
        return;
    }
    const std::uint64_t slice = slice_of(*current, runnable.load(std::memory_order_relaxed));
    if (slice == time::kForever) return;
    slice_timer.start(std::max(current->slice_start_ns_ + slice, now));
}

void RunQueue::slice_expired(time::Timer& timer, void*) {
    RunQueue& rq = here();
    rq.lock.raw_lock();
    const std::uint32_t threads = rq.runnable.load(std::memory_order_relaxed);
    if (!rq.idle && threads >= 2) {
        const std::uint64_t now = time::monotonic_ns();
        rq.charge(now);
        const std::uint64_t slice = slice_of(*rq.current, threads);
        const std::uint64_t end =
            slice == time::kForever ? slice : rq.current->slice_start_ns_ + slice;
        if (end > now) {
            timer.start(end);
        } else {
            rq.request_reschedule();
        }
    }
    rq.lock.raw_unlock();
}

void RunQueue::wake_up(Thread& thread, std::uint64_t now) {
    KILN_TRACE(sched_wake_up, reinterpret_cast<std::uintptr_t>(&thread),
               runnable.load(std::memory_order_relaxed));
    thread.counted_ = true;
    runnable.store(runnable.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    charge(now);
    update_min_vruntime();
    const std::uint64_t floor = min_vruntime - kSleeperCreditNs;
    if (is_before(thread.vruntime_, floor)) thread.vruntime_ = floor;
    thread.queue_order_ = ++order;
    queue.push(thread);
    if (idle) {
        if (local != &hal::cpu_local()) hal::cpu_kick(local->cpu_id);
        return;
    }
    const Thread& running = *current;
    bool preempts;
    if (thread.params_.rt_priority != running.params_.rt_priority) {
        preempts = thread.params_.rt_priority > running.params_.rt_priority;
    } else if (thread.params_.rt_priority != 0) {
        preempts = false;
    } else if (thread.params_.policy == kPolicyIdle || thread.params_.policy == kPolicyBatch) {
        preempts = false;
    } else {
        preempts = running.params_.policy == kPolicyIdle ||
                   is_before(thread.vruntime_ +
                                 ((kWakeupGranularityNs * thread.vruntime_per_ns_) >> kRateShift),
                             running.vruntime_);
    }
    if (preempts) {
        request_reschedule();
    } else {
        start_slices(now);
    }
}

void RunQueue::discount(Thread& thread) {
    thread.counted_ = false;
    runnable.store(runnable.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

Thread& RunQueue::idle_until_runnable(std::uint64_t now) {
    idle = true;
    idle_since_ns = now;
    // Interrupts that come here do not switch: this loop does.
    local->preempt_count++;
    Thread* next = nullptr;
    while (!next) {
        lock.raw_unlock();
        hal::idle_wait();
        hal::irq_disable();
        lock.raw_lock();
        next = queue.pop();
    }
    local->preempt_count--;
    idle = false;
    const std::uint64_t end = time::monotonic_ns();
    idle_ns += end - idle_since_ns;
    return *next;
}

void RunQueue::switch_away(Reason reason) {
    lock.raw_lock();
    Thread& prev = *current;
    std::uint64_t now = time::monotonic_ns();
    charge(now);
    local->need_resched.store(false, std::memory_order_relaxed);
    // Preempted between announcing to block and doing so, a thread stays runnable.
    const bool leaves = reason == Reason::kBlock &&
                        prev.state_.load(std::memory_order_acquire) != ThreadState::kRunnable;
    if (leaves) {
        update_min_vruntime();
        discount(prev);
    } else {
        if (queue.is_empty()) {
            prev.slice_start_ns_ = now;
            lock.raw_unlock();
            return;
        }
        if (prev.params_.rt_priority == 0) {
            if (reason == Reason::kYield && queue.top()->params_.rt_priority == 0 &&
                is_before(prev.vruntime_, queue.top()->vruntime_ + kYieldPenaltyNs))
                prev.vruntime_ = queue.top()->vruntime_ + kYieldPenaltyNs;
            prev.queue_order_ = ++order;
        } else if (reason == Reason::kYield || (prev.params_.policy == kPolicyRoundRobin &&
                                                now - prev.slice_start_ns_ >= kRoundRobinSliceNs)) {
            prev.queue_order_ =
                ++order;  // behind those of its priority; merely preempted, it stays before them
        }
        queue.push(prev);
    }
    Thread* next = queue.pop();
    if (!next) {
        next = &idle_until_runnable(now);
        now = time::monotonic_ns();
    }
    next->charged_until_ns_ = now;
    next->slice_start_ns_ = now;
    if (next == &prev) {
        // What was asked for while it idled is done.
        local->need_resched.store(false, std::memory_order_relaxed);
        start_slices(now);
        lock.raw_unlock();
        return;
    }
    KILN_TRACE(sched_switch, reinterpret_cast<std::uintptr_t>(&prev),
               reinterpret_cast<std::uintptr_t>(next), leaves);
    switches++;
    if (leaves) {
        prev.voluntary_switches_++;
    } else {
        prev.involuntary_switches_++;
    }
    local->need_resched.store(false, std::memory_order_relaxed);
    current = next;
    next->on_cpu_.store(true, std::memory_order_relaxed);
    start_slices(now);
    finish_switch(hal::switch_context(&prev, next));
}

}  // namespace kiln::sched
