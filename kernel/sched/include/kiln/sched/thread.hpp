// Threads and the scheduler's calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include <kiln/base/list.hpp>
#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::sched {

enum class ThreadState : std::uint8_t { kRunnable, kRunning, kBlocked, kDead };

/// Scheduling class and weight; numbers as Linux's (include/uapi/linux/sched.h, nice −20…19).
struct SchedParams {
    std::uint8_t policy = 0;  ///< SCHED_OTHER 0, FIFO 1, RR 2, BATCH 3, IDLE 5
    std::int8_t nice = 0;
    std::uint8_t rt_priority = 0;
};

/// A kernel-schedulable thread. The creator and the scheduler hold references; posix hangs its Task
/// on `task`.
class Thread : public hal::ThreadContext, public RefCounted<Thread> {
public:
    using Entry = void (*)(void* argument);

    /// A new thread with its own guarded kernel stack, not yet started. ENOMEM.
    static Result<Ref<Thread>> create(std::string_view name, Entry entry, void* argument);
    ~Thread();

    /// Makes it runnable for the first time.
    void start();

    /// The running thread.
    static Thread& current() { return *static_cast<Thread*>(hal::current_context()); }

    /// Gives the thread an FPU area and an address space root: from now on it may enter_user().
    Result<void> make_user(std::uint64_t page_table_root);
    /// Changes the running thread's page tables (exec).
    void set_page_table_root(std::uint64_t root);

    std::string_view name() const { return {name_, name_length_}; }
    void set_name(std::string_view name);  ///< cut to 15 bytes as Linux's comm

    // -- interruption (signals, exit) ---------------------------------------------------------
    /// Sets `bits` (hal::kWork…) and, when it sleeps interruptibly, ends the sleep with EINTR.
    void interrupt(std::uint32_t bits);
    bool has_work() const { return work.load(std::memory_order_acquire) != 0; }

    std::uint64_t cpu_time_ns() const;  ///< also right for the running thread
    std::uint64_t voluntary_switches() const { return voluntary_switches_; }
    std::uint64_t involuntary_switches() const { return involuntary_switches_; }
    ThreadState state() const { return state_.load(std::memory_order_acquire); }
    SchedParams params() const { return params_; }
    void set_params(SchedParams params);
    std::uint64_t affinity() const { return affinity_; }
    /// EINVAL when the mask holds no existing CPU.
    Result<void> set_affinity(std::uint64_t mask);
    std::uint32_t last_cpu() const { return cpu_; }

    void* task = nullptr;           ///< posix::Task; null for kernel threads
    void* address_space = nullptr;  ///< vm::AddressSpace, by vm::attach_address_space()

    // -- the scheduler's own, guarded by the run queue's lock -----------------------------------
    ListNode all_node;  ///< in the list of all threads
    ListNode run_node;  ///< in a run queue
    std::atomic<ThreadState> state_{ThreadState::kBlocked};
    std::atomic<bool> on_cpu_{false};
    bool interruptible_ = false;
    std::uint8_t name_length_ = 0;
    SchedParams params_;
    std::uint32_t cpu_ = 0;
    std::uint64_t affinity_ = ~0ull;
    std::uint64_t vruntime_ = 0;
    std::uint64_t run_time_ns_ = 0;
    std::uint64_t switched_in_ns_ = 0;
    std::uint64_t voluntary_switches_ = 0;
    std::uint64_t involuntary_switches_ = 0;
    void* stack_base_ = nullptr;
    char name_[16] = {};

private:
    Thread() = default;
    friend class RefCounted<Thread>;
    friend void init();
};

/// Turns the boot code into the first thread (name "init") on CPU 0 and starts the scheduler.
void init();
/// Gives other threads a turn.
void yield();
/// Ends the running thread; its stack and object are freed later by another thread.
[[noreturn]] void exit_thread();
/// Picks the next thread. The low-level half of blocking: see WaitQueue.
void schedule();
/// Sleeps until `deadline` or, when `interruptible`, until interrupted (EINTR).
enum class Interruptible : bool { kNo, kYes };
Result<void> sleep_until(time::Deadline deadline, Interruptible interruptible);
/// Threads that are runnable or running (for /proc/loadavg, sysinfo), and all that exist.
std::uint32_t runnable_count();
std::uint32_t thread_count();
/// Calls `visit` for each thread with the list locked (must not sleep); stops on false.
void for_each_thread(bool (*visit)(Thread&, void*), void* cookie);
/// ns this CPU spent idle.
std::uint64_t idle_time_ns();

}  // namespace kiln::sched
