// The scheduler's entry points.
#include <new>
#include <utility>

#include <kiln/hal/smp.hpp>
#include <kiln/sched/wait_queue.hpp>

#include "run_queue.hpp"

namespace kiln::sched {
namespace {

alignas(Thread) constinit std::byte g_boot_thread[sizeof(Thread)]{};

// Threads that exited and gave their CPU away. The thread that came after them may be in an interrupt's end, where
// no stack can be unmapped, so they wait for the next thread that is created or exits.
struct DeadThreads {
    Thread* first = nullptr;
};
constinit sync::SpinProtected<DeadThreads> g_dead{sync::LockRank::kRunQueue};

/// Interrupts off and preemption held back, as IrqSpinGuard does it: where this ends, the scheduler may run.
class SchedulerGuard {
public:
    SchedulerGuard() : state_(hal::irq_save()) { hal::preempt_disable(); }
    ~SchedulerGuard() {
        hal::irq_restore(state_);
        hal::preempt_enable();
    }
    KILN_NON_COPYABLE(SchedulerGuard);

private:
    hal::IrqState state_;
};

}  // namespace

void RunQueue::finish_switch(hal::ThreadContext* previous) {
    // Not the run queue of before: the thread may have been moved while it did not run.
    RunQueue& rq = here();
    Thread& prev = *static_cast<Thread*>(previous);
    const bool is_dead = prev.state_.load(std::memory_order_relaxed) == ThreadState::kDead;
    prev.on_cpu_.store(false, std::memory_order_release);
    rq.lock.raw_unlock();
    if (!is_dead) return;
    auto dead = g_dead.lock();
    prev.next_dead_ = dead->first;
    dead->first = &prev;
}

void reap_dead_threads() {
    Thread* dead = nullptr;
    {
        auto list = g_dead.lock();
        dead = std::exchange(list->first, nullptr);
    }
    while (dead) std::exchange(dead, dead->next_dead_)->unref();
}

void schedule() {
    KILN_ASSERT(sync::held_spinlock_count() == 0);
    const hal::IrqState state = hal::irq_save();
    if (hal::cpu_local().preempt_count != 0) panic("sleep with preemption disabled");
    RunQueue::here().switch_away(Reason::kBlock);
    hal::irq_restore(state);
}

void yield() {
    const hal::IrqState state = hal::irq_save();
    if (hal::cpu_local().preempt_count != 0) panic("yield with preemption disabled");
    RunQueue::here().switch_away(Reason::kYield);
    hal::irq_restore(state);
}

void preempt() {
    const hal::IrqState state = hal::irq_save();
    if (hal::cpu_local().preempt_count == 0) RunQueue::here().switch_away(Reason::kPreempt);
    hal::irq_restore(state);
}

bool wake(Thread& thread) {
    const SchedulerGuard guard;
    RunQueue& rq = RunQueue::lock_of(thread);
    const bool was_blocked = thread.state_.load(std::memory_order_acquire) == ThreadState::kBlocked;
    if (was_blocked) {
        thread.state_.store(ThreadState::kRunnable, std::memory_order_release);
        // Still counted: it announced to block and has not yet left the CPU.
        if (!thread.counted_) rq.wake_up(thread, time::monotonic_ns());
    }
    rq.lock.raw_unlock();
    return was_blocked;
}

void Thread::interrupt(std::uint32_t bits) {
    work.fetch_or(bits, std::memory_order_seq_cst);
    const SchedulerGuard guard;
    RunQueue& rq = RunQueue::lock_of(*this);
    if (state_.load(std::memory_order_acquire) == ThreadState::kBlocked) {
        if (interruptible_.load(std::memory_order_relaxed)) {
            state_.store(ThreadState::kRunnable, std::memory_order_release);
            if (!counted_) rq.wake_up(*this, time::monotonic_ns());
        }
    } else if (rq.current == this && rq.local != &hal::cpu_local()) {
        hal::cpu_kick(rq.local->cpu_id);
    }
    rq.lock.raw_unlock();
}

void exit_thread() {
    reap_dead_threads();
    (void)hal::irq_save();
    Thread& self = Thread::current();
    self.set_page_table_root(0);
    self.state_.store(ThreadState::kDead, std::memory_order_release);
    RunQueue::here().switch_away(Reason::kBlock);
    panic("a dead thread was scheduled");
}

std::uint32_t runnable_count() {
    std::uint32_t n = 0;
    for (std::uint32_t cpu = 0; cpu < hal::cpu_count(); cpu++)
        n += g_run_queues[cpu].runnable.load(std::memory_order_relaxed);
    return n;
}

std::uint64_t idle_time_ns() {
    const hal::IrqState state = hal::irq_save();
    RunQueue& rq = RunQueue::here();
    rq.lock.raw_lock();
    std::uint64_t ns = rq.idle_ns;
    if (rq.idle) ns += time::monotonic_ns() - rq.idle_since_ns;
    rq.lock.raw_unlock();
    hal::irq_restore(state);
    return ns;
}

std::uint64_t switch_count() {
    std::uint64_t n = 0;
    for (std::uint32_t cpu = 0; cpu < hal::cpu_count(); cpu++) n += g_run_queues[cpu].switches;
    return n;
}

void init() {
    hal::CpuLocal& local = hal::cpu_local();
    RunQueue& rq = g_run_queues.construct(local.cpu_id);
    Thread& thread = *new (static_cast<void*>(g_boot_thread)) Thread;
    const std::uint64_t now = time::monotonic_ns();
    thread.set_name("init");
    thread.kernel_stack = local.kernel_stack;
    thread.vruntime_per_ns_ = vruntime_rate(thread.params_);
    thread.charged_until_ns_ = now;
    thread.slice_start_ns_ = now;
    thread.cpu_.store(local.cpu_id, std::memory_order_relaxed);
    thread.state_.store(ThreadState::kRunnable, std::memory_order_relaxed);
    thread.on_cpu_.store(true, std::memory_order_relaxed);
    thread.counted_ = true;
    thread.ref();  // the scheduler's, and the first one, for ever: its storage is static
    thread.link();
    rq.local = &local;
    rq.current = &thread;
    rq.runnable.store(1, std::memory_order_relaxed);
    local.current = &thread;
    hal::set_preempt_hook(preempt);
}

}  // namespace kiln::sched
