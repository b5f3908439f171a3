// Processes and tasks (threads of an application).
//
// One process exists so far (pid 1); everything is written for many.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/list.hpp>
#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/posix/credentials.hpp>
#include <kiln/posix/fd_table.hpp>
#include <kiln/posix/signal.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/vfs/path.hpp>
#include <kiln/vm/address_space.hpp>

namespace kiln::posix {

using Pid = std::int32_t;

/// RLIMIT_ numbers index it (include/uapi/asm-generic/resource.h).
struct ResourceLimit {
    std::uint64_t soft;
    std::uint64_t hard;
};
inline constexpr std::size_t kResourceLimits = 16;
inline constexpr std::uint64_t kUnlimited = UINT64_MAX;
inline constexpr unsigned kLimitCpu = 0;
inline constexpr unsigned kLimitFileSize = 1;
inline constexpr unsigned kLimitData = 2;
inline constexpr unsigned kLimitStack = 3;
inline constexpr unsigned kLimitCore = 4;
inline constexpr unsigned kLimitTasks = 6;
inline constexpr unsigned kLimitFiles = 7;
inline constexpr unsigned kLimitLockedMemory = 8;
inline constexpr unsigned kLimitAddressSpace = 9;
inline constexpr unsigned kLimitPendingSignals = 11;

class Process;
class ProcessTimers;

/// A thread of an application: Linux's task. Owned by its process's task list and its sched::Thread.
class Task : public RefCounted<Task> {
public:
    static Task& current() { return *static_cast<Task*>(sched::Thread::current().task); }
    /// Null in kernel threads.
    static Task* current_or_null() { return static_cast<Task*>(sched::Thread::current().task); }

    ~Task();
    Pid tid() const { return tid_; }
    Process& process() { return *process_; }
    sched::Thread& thread() { return *thread_; }

    /// Ends the running task (exit(2)): clears and wakes `clear_child_tid`, leaves the process. If it
    /// is the last, the process ends with `wait_status`, unless that was decided before.
    [[noreturn]] static void exit_current(int wait_status);

    std::uintptr_t clear_child_tid = 0;  ///< set_tid_address(2), CLONE_CHILD_CLEARTID
    std::uintptr_t robust_list = 0;      ///< set_robust_list(2)
    TaskSignals signals;
    /// What restart_syscall(2) continues; null: EINTR.
    std::int64_t (*restart)(Task&) = nullptr;
    std::uint64_t restart_data[4] = {};

    // prctl(2), sched(2), rseq(2) state that only the task itself touches.
    int parent_death_signal = 0;
    std::uint64_t timer_slack_ns = 50'000;
    std::uintptr_t rseq_area = 0;  ///< 0: not registered
    std::uint32_t rseq_length = 0;
    std::uint32_t rseq_signature = 0;

    /// The last fault of its application, for the registers a signal handler sees.
    struct {
        std::uint64_t vector = 0;
        std::uint64_t error_code = 0;
        std::uintptr_t address = 0;
    } last_fault;

    ListNode process_node;  ///< guarded by the process's task list lock

private:
    friend class Process;
    Task() = default;
    static void run(void* task);
    Pid tid_ = 0;
    Ref<Process> process_;
    Ref<sched::Thread> thread_;
    hal::TrapFrame start_frame_;  ///< what it enters the application with
};

class Process : public RefCounted<Process> {
public:
    /// A process without tasks: empty address space, fd table, default limits, root and cwd "/". The
    /// loader fills it, then start_main_task() runs it. ENOMEM.
    static Result<Ref<Process>> create();
    ~Process();

    Pid pid() const { return pid_; }
    Pid parent_pid() const { return 0; }
    vm::AddressSpace& address_space() { return *address_space_; }
    FdTable& files() { return *files_; }
    SignalState& signals() { return signals_; }
    ResourceLimit limit(unsigned resource) const;
    /// EINVAL (soft > hard), EPERM (raising the hard limit without CAP_SYS_RESOURCE, or NOFILE above
    /// the system's).
    Result<void> set_limit(unsigned resource, ResourceLimit limit);

    // -- names and credentials -----------------------------------------------------------------
    /// Root, cwd, umask, credentials as the VFS wants them. A copy: no locks held afterwards.
    vfs::LookupContext lookup_context();
    vfs::Path cwd();
    vfs::Path root();
    void set_cwd(vfs::Path path);
    void set_root(vfs::Path path);
    std::uint32_t file_mode_mask() const { return umask_.load(std::memory_order_relaxed); }
    std::uint32_t exchange_umask(std::uint32_t mask) { return umask_.exchange(mask); }
    Credentials credentials();
    void set_credentials(const Credentials& credentials);

    // What the loader records for /proc and getauxval (exec replaces it).
    struct Image {
        vfs::Path executable;         ///< /proc/self/exe
        VirtAddr arg_begin, arg_end;  ///< /proc/self/cmdline
        VirtAddr env_begin, env_end;
        VirtAddr auxv_begin, auxv_end;
        VirtAddr code_begin, code_end, data_begin, data_end, stack_begin, brk_begin;
        VirtAddr vdso;            ///< 0: none
        VirtAddr vdso_sigreturn;  ///< signal return trampoline, 0: application supplies SA_RESTORER
    };
    Image& image() { return image_; }

    // -- tasks -----------------------------------------------------------------------------------
    /// Creates the first task and makes it runnable; it enters the application at `frame`.
    Result<void> start_main_task(const hal::TrapFrame& frame, std::string_view name);
    /// What clone(2) with CLONE_VM|CLONE_THREAD is asked for. Addresses are the application's, 0: no.
    struct ThreadArguments {
        hal::TrapFrame frame;  ///< what the new task starts with
        bool set_tls;
        std::uintptr_t tls;
        std::uintptr_t parent_tid;       ///< CLONE_PARENT_SETTID: gets the tid
        std::uintptr_t child_tid;        ///< CLONE_CHILD_SETTID
        std::uintptr_t clear_child_tid;  ///< CLONE_CHILD_CLEARTID
    };
    /// A new task of the running task's process, with its mask, name and FPU state. EAGAIN, ENOMEM.
    Result<Pid> start_thread(const ThreadArguments& arguments);
    /// The task with this tid, null if there is none.
    Ref<Task> find_task(Pid tid);
    /// Any task, the main one if it is alive; null when all have gone.
    Ref<Task> first_task();
    std::uint32_t task_count() const { return task_count_.load(std::memory_order_acquire); }
    /// Calls `visit` for each task with the list locked (interrupts off, must not sleep); stops on
    /// false.
    void for_each_task(bool (*visit)(Task&, void*), void* cookie);
    /// For code that needs the task list and the signal lock together: this one is taken first, with
    /// interrupts off.
    sync::SpinLock& tasks_lock() { return tasks_lock_; }
    List<Task, &Task::process_node>& tasks_locked() { return tasks_; }

    /// exit_group(2) by `status` as wait(2) encodes it (exit code << 8 | signal). The last task to
    /// leave calls the exit hook. Does not return if called by a task of this process.
    void terminate(int wait_status);
    bool is_terminating() const { return terminating_.load(std::memory_order_acquire); }

    /// execve(2): ends all other tasks; the running one gets the main task's tid. EINTR when the
    /// process is ending, or another task does the same.
    Result<void> end_other_tasks();
    /// Puts another address space in place and makes the running task, which must be the only one, use
    /// it. Gives the old one back.
    Ref<vm::AddressSpace> exchange_address_space(Ref<vm::AddressSpace> space);

    // -- groups, accounting, timers ---------------------------------------------------------------
    Pid process_group() const { return process_group_.load(std::memory_order_relaxed); }
    Pid session() const { return session_.load(std::memory_order_relaxed); }
    void set_process_group(Pid id) { process_group_.store(id); }
    void start_session() {
        session_.store(pid_);
        process_group_.store(pid_);
    }
    /// CPU time of all tasks, the ended ones included. User and system time are not told apart: all
    /// counts as user time.
    std::uint64_t cpu_time_ns();
    std::uint64_t start_time_ns() const { return start_time_ns_; }
    void context_switches(std::uint64_t* voluntary, std::uint64_t* involuntary);
    /// itimers and POSIX timers.
    ProcessTimers& timers() { return *timers_; }

    // prctl(2) state.
    std::atomic<std::uint32_t> dumpable{1};
    std::atomic<bool> no_new_privileges{false};
    std::atomic<bool> child_subreaper{false};
    std::atomic<bool> huge_pages_disabled{false};
    std::atomic<std::uint32_t> personality{0};
    std::atomic<int> memory_policy{0};  ///< set_mempolicy(2); one node, so without effect
    /// membarrier(2): MEMBARRIER_STATE bits registered.
    std::atomic<std::uint32_t> membarrier_registered{0};

private:
    Process() = default;
    friend class Task;
    friend class RefCounted<Process>;
    Result<Ref<Task>> new_task(const hal::TrapFrame& frame, std::string_view name, Pid tid);
    /// EAGAIN: the process is ending, or has as many tasks as RLIMIT_NPROC allows.
    Result<void> add_task(Task& task);
    /// Called by the task itself; true: it was the last.
    bool remove_task(Task& task, int wait_status);
    void apply_limits_to_memory();

    ListNode all_node_;  ///< in the table of all processes
    friend struct ProcessTable;
    Pid pid_ = 1;
    Ref<vm::AddressSpace> address_space_;
    Ref<FdTable> files_;
    SignalState signals_;
    Image image_;
    std::atomic<bool> terminating_{false};

    mutable sync::SpinLock lock_{sync::LockRank::kTaskTable};  ///< names, credentials, limits
    vfs::Path root_;
    vfs::Path cwd_;
    Credentials credentials_;
    ResourceLimit limits_[kResourceLimits];
    std::atomic<std::uint32_t> umask_{022};

    sync::SpinLock tasks_lock_{sync::LockRank::kTaskTable};  ///< with interrupts off
    List<Task, &Task::process_node> tasks_;
    std::atomic<std::uint32_t> task_count_{0};
    sched::WaitQueue task_left_;
    Task* survivor_ = nullptr;  ///< the task that execs: all others end
    int wait_status_ = 0;
    std::atomic<Pid> process_group_{0};
    std::atomic<Pid> session_{0};
    std::uint64_t start_time_ns_ = 0;
    std::uint64_t ended_cpu_time_ns_ = 0;
    std::uint64_t ended_voluntary_ = 0;
    std::uint64_t ended_involuntary_ = 0;
    Owned<ProcessTimers> timers_;
};

/// Called once, by the last task of the first process: ends the machine (init registers it).
void set_exit_hook(void (*hook)(int wait_status));

/// How execve(2) loads a program; the loader registers it. `process` has an empty address space that
/// is current; errors as execve(2)'s.
struct ExecArguments {
    std::string_view path;
    std::span<const std::string_view> argv;
    std::span<const std::string_view> envp;
};
using ProgramLoader = Result<hal::TrapFrame> (*)(Process& process, const ExecArguments& arguments);
void set_program_loader(ProgramLoader loader);
/// execve(2) for the running task: on success it goes on in the new program when the system call
/// returns.
Result<void> execute_program(const ExecArguments& arguments);

/// ESRCH-like look-ups over all processes; null: none.
Ref<Process> find_process(Pid pid);
/// The lowest pid above `after`, −1 if there is none.
Pid next_pid(Pid after);
Ref<Task> find_task(Pid tid);

/// What a task's end needs of the futexes, which register it: CLONE_CHILD_CLEARTID's word, and giving
/// up the locks that the task still holds.
struct FutexHooks {
    void (*clear_and_wake)(std::uintptr_t address);  ///< writes 0 there and wakes one waiter
    void (*exit_robust_list)(Task& task);
};
void set_futex_hooks(const FutexHooks& hooks);

/// uname(2)'s nodename and domainname; cut to 64 bytes.
void set_hostname(std::string_view name);
void set_domainname(std::string_view name);
struct SystemName {
    char text[65];
    std::string_view view() const { return text; }
};
SystemName hostname();
SystemName domainname();

inline Process& current_process() { return Task::current().process(); }

}  // namespace kiln::posix
