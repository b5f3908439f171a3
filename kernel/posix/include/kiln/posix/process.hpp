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

class Task;

class Process : public RefCounted<Process> {
public:
    /// A process without tasks: empty address space, fd table, default limits, root and cwd "/". The
    /// loader fills it, then start_main_task() runs it.
    static Result<Ref<Process>> create();
    ~Process();

    Pid pid() const { return pid_; }
    vm::AddressSpace& address_space() { return *address_space_; }
    FdTable& files() { return *files_; }
    SignalState& signals() { return signals_; }
    ResourceLimit limit(unsigned resource) const;
    Result<void> set_limit(unsigned resource, ResourceLimit limit);

    /// Root, cwd, umask, credentials as the VFS wants them. A copy: no locks held afterwards.
    vfs::LookupContext lookup_context();
    void set_cwd(vfs::Path path);

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

    /// Creates the first task and makes it runnable; it enters the application at `frame`.
    Result<void> start_main_task(const hal::TrapFrame& frame, std::string_view name);

    /// exit_group(2) by `status` as wait(2) encodes it (exit code << 8 | signal). The last task to
    /// leave calls the exit hook. Does not return if called by a task of this process.
    void terminate(int wait_status);
    bool is_terminating() const { return terminating_.load(std::memory_order_acquire); }

private:
    Process() = default;
    friend class Task;
    Pid pid_ = 1;
    Ref<vm::AddressSpace> address_space_;
    Ref<FdTable> files_;
    SignalState signals_;
    Image image_;
    std::atomic<bool> terminating_{false};
    // further members: posix's business
};

/// A thread of an application: Linux's task. Owned by its process's task list and its sched::Thread.
class Task : public RefCounted<Task> {
public:
    static Task& current() { return *static_cast<Task*>(sched::Thread::current().task); }
    /// Null in kernel threads.
    static Task* current_or_null() { return static_cast<Task*>(sched::Thread::current().task); }

    Pid tid() const { return tid_; }
    Process& process() { return *process_; }
    sched::Thread& thread() { return *thread_; }

    std::uintptr_t clear_child_tid = 0;  ///< set_tid_address(2), CLONE_CHILD_CLEARTID
    std::uintptr_t robust_list = 0;      ///< set_robust_list(2)
    TaskSignals signals;
    /// What restart_syscall(2) continues; null: EINTR.
    std::int64_t (*restart)(Task&) = nullptr;
    std::uint64_t restart_data[4] = {};

private:
    friend class Process;
    Pid tid_ = 0;
    Ref<Process> process_;
    Ref<sched::Thread> thread_;
    ListNode process_node_;
};

/// Called once, by the last task of the first process: ends the machine (init registers it).
void set_exit_hook(void (*hook)(int wait_status));

inline Process& current_process() { return Task::current().process(); }

}  // namespace kiln::posix
