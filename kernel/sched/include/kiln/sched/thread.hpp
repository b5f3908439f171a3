// Threads and the scheduler's calls.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include <kiln/base/list.hpp>
#include <kiln/base/pairing_heap.hpp>
#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::sched {

enum class ThreadState : std::uint8_t { kRunnable, kRunning, kBlocked, kDead };

// Scheduling policies (include/uapi/linux/sched.h).
inline constexpr std::uint8_t kPolicyOther = 0;
inline constexpr std::uint8_t kPolicyFifo = 1;
inline constexpr std::uint8_t kPolicyRoundRobin = 2;
inline constexpr std::uint8_t kPolicyBatch = 3;
inline constexpr std::uint8_t kPolicyIdle = 5;

/// Scheduling class and weight; numbers as Linux's (nice −20…19).
struct SchedParams {
    std::uint8_t policy = kPolicyOther;
    std::int8_t nice = 0;
    std::uint8_t rt_priority = 0;  ///< 1…99 for FIFO and RR, else 0

    bool is_realtime() const { return policy == kPolicyFifo || policy == kPolicyRoundRobin; }
};

/// The time slice of SCHED_RR (sched_rr_get_interval), as Linux's RR_TIMESLICE.
inline constexpr std::uint64_t kRoundRobinSliceNs = 100'000'000;

struct RunQueue;

/// A kernel-schedulable thread. The creator and the scheduler hold references; posix hangs its Task
/// on `task`.
class Thread : public hal::ThreadContext, public RefCounted<Thread> {
public:
    using Entry = void (*)(void* argument);

    /// A new thread with its own guarded kernel stack, not yet started; it has the creator's scheduling
    /// parameters and affinity. ENOMEM.
    static Result<Ref<Thread>> create(std::string_view name, Entry entry, void* argument);
    ~Thread();

    /// Makes it runnable for the first time.
    void start();

    /// The running thread.
    static Thread& current() { return *static_cast<Thread*>(hal::current_context()); }

    /// Gives the thread an FPU area and an address space root: from now on it may enter_user(). ENOMEM.
    Result<void> make_user(std::uint64_t page_table_root);
    /// Changes the page tables of the running thread (exec), or of one that was not started yet. 0: none; to be
    /// called by a thread before its address space goes away.
    void set_page_table_root(std::uint64_t root);

    std::string_view name() const { return {name_, name_length_}; }
    void set_name(std::string_view name);  ///< cut to 15 bytes as Linux's comm

    // -- interruption (signals, exit) ---------------------------------------------------------
    /// Sets `bits` (hal::kWork…) and, when it sleeps interruptibly, ends the sleep with EINTR. When it runs
    /// its application on another CPU, it comes into the kernel soon.
    void interrupt(std::uint32_t bits);
    bool has_work() const { return work.load(std::memory_order_acquire) != 0; }
    /// Whether an interruptible sleep ends now.
    bool is_interrupted() const {
        return (work.load(std::memory_order_acquire) & ~hal::kWorkReschedule) != 0;
    }

    std::uint64_t cpu_time_ns() const;  ///< also right for the running thread
    std::uint64_t voluntary_switches() const { return voluntary_switches_; }
    std::uint64_t involuntary_switches() const { return involuntary_switches_; }
    ThreadState state() const;
    SchedParams params() const { return params_; }
    /// The values were checked by the caller (sched_setscheduler).
    void set_params(SchedParams params);
    std::uint64_t affinity() const { return affinity_.load(std::memory_order_relaxed); }
    /// EINVAL when the mask holds no existing CPU.
    Result<void> set_affinity(std::uint64_t mask);
    std::uint32_t last_cpu() const { return cpu_.load(std::memory_order_relaxed); }

    void* task = nullptr;           ///< posix::Task; null for kernel threads
    void* address_space = nullptr;  ///< vm::AddressSpace, by vm::attach_address_space()

    // -- the scheduler's own, guarded by the lock of the run queue of cpu_ -----------------------
    ListNode all_node;     ///< in the list of all threads
    HeapNode queue_node_;  ///< in the run queue, when runnable and not running
    /// kRunnable, kBlocked or kDead. The thread itself sets kBlocked without the lock; everything else happens
    /// under it.
    std::atomic<ThreadState> state_{ThreadState::kBlocked};
    std::atomic<bool> on_cpu_{false};         ///< runs, or the CPU idles on its stack
    std::atomic<bool> interruptible_{false};  ///< of the sleep that kBlocked announces
    bool counted_ = false;                    ///< among its run queue's runnable threads
    std::uint8_t name_length_ = 0;
    SchedParams params_;
    std::atomic<std::uint32_t> cpu_{0};
    std::atomic<std::uint64_t> affinity_{~0ull};
    std::uint64_t vruntime_ = 0;     ///< weighted run time, ns
    std::uint64_t queue_order_ = 0;  ///< first come, first served among equals
    std::uint32_t vruntime_per_ns_ =
        0;  ///< ns of vruntime a ns of running costs, 22.10 fixed point
    std::uint64_t run_time_ns_ = 0;
    std::uint64_t charged_until_ns_ = 0;  ///< run_time_ns_ holds what was before
    std::uint64_t slice_start_ns_ = 0;
    std::uint64_t voluntary_switches_ = 0;
    std::uint64_t involuntary_switches_ = 0;
    void* stack_base_ = nullptr;
    Thread* next_dead_ = nullptr;
    char name_[16] = {};
    Entry entry_ = nullptr;
    void* argument_ = nullptr;
    /// Sleeping locks held, for the rank check.
    std::array<sync::LockRank, 8> held_ranks_{};
    std::uint8_t held_rank_count_ = 0;

private:
    Thread() = default;
    void link();
    friend class RefCounted<Thread>;
    friend void init();
};

/// Turns the boot code into the first thread (name "init") on CPU 0 and starts the scheduler. Needs mem and time;
/// whoever dispatches interrupts calls time::run_expired_timers() for the timer's.
void init();
/// Gives other threads a turn.
void yield();
/// Ends the running thread; its stack and object are freed later by another thread.
[[noreturn]] void exit_thread();
/// Picks the next thread; the running one goes on the run queue, or off it if it announced to block. The low-level
/// half of blocking: see WaitQueue. Interrupts enabled, no spinlock held.
void schedule();
/// Sleeps until `deadline` or, when `interruptible`, until interrupted (EINTR). `slack_ns`: how much later will do.
enum class Interruptible : bool { kNo, kYes };
Result<void> sleep_until(time::Deadline deadline, Interruptible interruptible,
                         std::uint64_t slack_ns = 0);
/// Threads that are runnable or running (for /proc/loadavg, sysinfo), and all that exist.
std::uint32_t runnable_count();
std::uint32_t thread_count();
/// Calls `visit` for each thread with the list locked (must not sleep); stops on false.
void for_each_thread(bool (*visit)(Thread&, void*), void* cookie);
/// ns this CPU spent idle.
std::uint64_t idle_time_ns();
/// Context switches since boot, all CPUs.
std::uint64_t switch_count();

}  // namespace kiln::sched
