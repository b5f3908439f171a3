// The run queue of a CPU: private to sched.
#pragma once

#include <cstdint>

#include <kiln/base/pairing_heap.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/sync/per_cpu.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/time/timer.hpp>

namespace kiln::sched {

/// Which thread runs first: real-time ones by priority, then the others by how little they have run.
struct RunsBefore {
    bool operator()(const Thread& a, const Thread& b) const {
        if (a.params_.rt_priority != b.params_.rt_priority)
            return a.params_.rt_priority > b.params_.rt_priority;
        if (a.params_.rt_priority == 0 && a.vruntime_ != b.vruntime_)
            return static_cast<std::int64_t>(a.vruntime_ - b.vruntime_) < 0;
        return a.queue_order_ < b.queue_order_;
    }
};

/// Why the running thread gives the CPU away.
enum class Reason : std::uint8_t { kBlock, kYield, kPreempt };

/// One CPU's runnable threads. All functions want interrupts disabled and, unless said otherwise, the lock held.
///
/// The lock is held through switch_context(): taken by the thread that goes, released by the one that comes. So
/// whoever holds it sees no thread half switched.
///
/// With nothing to run, the CPU idles on the stack of the thread that ran last (`idle`): a program that waits
/// and goes on costs no switch at all.
struct alignas(64) RunQueue {
    sync::SpinLock lock{sync::LockRank::kRunQueue};
    PairingHeap<Thread, &Thread::queue_node_, RunsBefore> queue;  ///< runnable, not running
    Thread* current = nullptr;
    hal::CpuLocal* local = nullptr;
    bool idle = false;
    std::atomic<std::uint32_t> runnable{0};  ///< queued or running; only written under the lock
    std::uint64_t min_vruntime = 0;  ///< where new and long absent threads enter; never goes back
    std::uint64_t order = 0;
    std::uint64_t switches = 0;
    std::uint64_t idle_ns = 0;
    std::uint64_t idle_since_ns = 0;
    time::Timer slice_timer{slice_expired, nullptr};

    /// Adds what `current` has run since the last call to its accounts.
    void charge(std::uint64_t now);
    /// Takes up a thread that was blocked or is new, and sees to it that it runs when its turn comes.
    void wake_up(Thread& thread, std::uint64_t now);
    /// The CPU should look for a better thread soon.
    void request_reschedule();
    /// Threads take turns from now on, if there is more than one.
    void start_slices(std::uint64_t now);
    /// Ends `thread`'s claim to run (it blocked or died).
    void discount(Thread& thread);
    void update_min_vruntime();

    /// The way of each context switch. Takes the lock, and releases it.
    void switch_away(Reason reason);
    /// Called by the thread that comes, on its own stack. Releases the lock.
    static void finish_switch(hal::ThreadContext* previous);
    /// Sleeps until there is a thread to run.
    Thread& idle_until_runnable(std::uint64_t now);

    static void slice_expired(time::Timer& timer, void* argument);
    static std::uint64_t slice_of(const Thread& thread, std::uint32_t runnable_threads);

    /// The run queue of this CPU; preemption is off.
    static RunQueue& here();
    /// The run queue that `thread` belongs to, locked.
    static RunQueue& lock_of(Thread& thread);
};

extern sync::PerCpu<RunQueue> g_run_queues;

/// ns of vruntime per ns of run time, as Thread::vruntime_per_ns_.
std::uint32_t vruntime_rate(const SchedParams& params);

/// The scheduler may switch from the running thread: called where the preemption count drops to 0 with
/// need_resched set.
void preempt();

/// Frees what threads that exited left behind. Interrupts enabled.
void reap_dead_threads();

// stacks.cpp
/// A guarded kernel stack.
struct KernelStack {
    void* base = nullptr;
    std::uintptr_t top = 0;
};
Result<KernelStack> take_stack();
/// Interrupts enabled; the stack is not in use.
void give_stack(void* base);

}  // namespace kiln::sched
