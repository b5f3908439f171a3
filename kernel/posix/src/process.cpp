#include <kiln/posix/process.hpp>

#include <kiln/mem/heap.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/posix/timers.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::posix {

/// All processes. Guarded by its lock, taken with interrupts off, before any process's task list.
struct ProcessTable {
    sync::SpinLock lock{sync::LockRank::kProcessTable};
    List<Process, &Process::all_node_> processes;
};

namespace {

/// Linux's PID_MAX_LIMIT on 64-bit machines.
constexpr Pid kPidLimit = 4 * 1024 * 1024;
/// pid_max is not reached by anything a machine of ours does before the numbers wrap.
constexpr Pid kFirstReusedPid = 300;

constinit ProcessTable g_table;
constinit std::atomic<Pid> g_last_pid{0};
constinit std::atomic<void (*)(int)> g_exit_hook{nullptr};
constinit FutexHooks g_futex_hooks{};

Pid allocate_pid() {
    for (;;) {
        Pid last = g_last_pid.load(std::memory_order_relaxed);
        const Pid next = last + 1 >= kPidLimit ? kFirstReusedPid : last + 1;
        if (!g_last_pid.compare_exchange_weak(last, next, std::memory_order_relaxed)) continue;
        if (last < kPidLimit / 2 || !find_task(next)) return next;
    }
}

/// Linux's INIT_RLIMITS (include/asm-generic/resource.h), with the hard limit of files that
/// distributions give.
constexpr ResourceLimit kDefaultLimits[kResourceLimits] = {
    {kUnlimited, kUnlimited},          // CPU
    {kUnlimited, kUnlimited},          // FSIZE
    {kUnlimited, kUnlimited},          // DATA
    {8ull << 20, kUnlimited},          // STACK
    {0, kUnlimited},                   // CORE
    {kUnlimited, kUnlimited},          // RSS
    {kUnlimited, kUnlimited},          // NPROC
    {1024, FdTable::kMaxDescriptors},  // NOFILE
    {8ull << 20, 8ull << 20},          // MEMLOCK
    {kUnlimited, kUnlimited},          // AS
    {kUnlimited, kUnlimited},          // LOCKS
    {16384, 16384},                    // SIGPENDING
    {819200, 819200},                  // MSGQUEUE
    {0, 0},                            // NICE
    {0, 0},                            // RTPRIO
    {kUnlimited, kUnlimited},          // RTTIME
};

}  // namespace

// -- Process ------------------------------------------------------------------------------------

Result<Ref<Process>> Process::create() {
    auto process = adopt_ref(new (std::nothrow) Process());
    if (!process) return Errno::kENOMEM;
    process->address_space_ = TRY(vm::AddressSpace::create());
    process->files_ = TRY(FdTable::create());
    process->timers_ = TRY(ProcessTimers::create(*process));
    process->root_ = vfs::root_path();
    process->cwd_ = process->root_;
    for (std::size_t i = 0; i < kResourceLimits; i++) process->limits_[i] = kDefaultLimits[i];
    process->apply_limits_to_memory();
    process->start_time_ns_ = time::monotonic_ns();
    process->pid_ = allocate_pid();
    process->process_group_ = process->pid_;
    process->session_ = process->pid_;
    sync::IrqSpinGuard guard(g_table.lock);
    g_table.processes.push_back(*process);
    return process;
}

Process::~Process() {
    sync::IrqSpinGuard guard(g_table.lock);
    if (all_node_.is_linked()) List<Process, &Process::all_node_>::remove(*this);
}

ResourceLimit Process::limit(unsigned resource) const {
    KILN_ASSERT(resource < kResourceLimits);
    sync::SpinGuard guard(lock_);
    return limits_[resource];
}

Result<void> Process::set_limit(unsigned resource, ResourceLimit limit) {
    if (resource >= kResourceLimits || limit.soft > limit.hard) return Errno::kEINVAL;
    if (resource == kLimitFiles && limit.hard > FdTable::kMaxDescriptors) return Errno::kEPERM;
    {
        sync::SpinGuard guard(lock_);
        if (limit.hard > limits_[resource].hard && !credentials_.has(kCapSysResource))
            return Errno::kEPERM;
        limits_[resource] = limit;
    }
    if (resource == kLimitAddressSpace || resource == kLimitData || resource == kLimitStack)
        apply_limits_to_memory();
    return {};
}

void Process::apply_limits_to_memory() {
    vm::AddressSpace::Limits limits;
    limits.address_space = limit(kLimitAddressSpace).soft;
    limits.data = limit(kLimitData).soft;
    limits.stack = limit(kLimitStack).soft;
    address_space_->set_limits(limits);
}

vfs::LookupContext Process::lookup_context() {
    vfs::LookupContext context;
    context.umask = file_mode_mask();
    sync::SpinGuard guard(lock_);
    context.root = root_;
    context.cwd = cwd_;
    context.credentials.uid = credentials_.user.file_system;
    context.credentials.gid = credentials_.group.file_system;
    context.credentials.groups = {credentials_.groups, credentials_.group_count};
    context.credentials.override_dac = credentials_.has(kCapDacOverride);
    return context;
}

vfs::Path Process::cwd() {
    sync::SpinGuard guard(lock_);
    return cwd_;
}

vfs::Path Process::root() {
    sync::SpinGuard guard(lock_);
    return root_;
}

void Process::set_cwd(vfs::Path path) {
    // The old path is dropped after the lock: its last reference may free a dentry.
    sync::SpinGuard guard(lock_);
    std::swap(cwd_, path);
}

void Process::set_root(vfs::Path path) {
    sync::SpinGuard guard(lock_);
    std::swap(root_, path);
}

Credentials Process::credentials() {
    sync::SpinGuard guard(lock_);
    return credentials_;
}

void Process::set_credentials(const Credentials& credentials) {
    sync::SpinGuard guard(lock_);
    credentials_ = credentials;
}

Result<Ref<Task>> Process::new_task(const hal::TrapFrame& frame, std::string_view name, Pid tid) {
    auto task = adopt_ref(new (std::nothrow) Task());
    if (!task) return Errno::kENOMEM;
    task->tid_ = tid;
    task->process_ = Ref<Process>(this);
    task->start_frame_ = frame;
    task->thread_ = TRY(sched::Thread::create(name, Task::run, task.get()));
    task->thread_->task = task.get();
    TRY(task->thread_->make_user(address_space_->page_table_root().value));
    vm::attach_address_space(*task->thread_, address_space_.get());
    return task;
}

Result<void> Process::add_task(Task& task) {
    const std::uint64_t most = limit(kLimitTasks).soft;
    sync::IrqSpinGuard guard(tasks_lock_);
    if (terminating_.load(std::memory_order_relaxed) || survivor_) return Errno::kEAGAIN;
    if (task_count_.load(std::memory_order_relaxed) >= most) return Errno::kEAGAIN;
    tasks_.push_back(task);
    task.ref();  // the list's
    task.ref();  // the thread's
    task_count_.fetch_add(1, std::memory_order_release);
    return {};
}

bool Process::remove_task(Task& task, int wait_status) {
    bool last;
    {
        sync::IrqSpinGuard guard(tasks_lock_);
        List<Task, &Task::process_node>::remove(task);
        ended_cpu_time_ns_ += task.thread().cpu_time_ns();
        ended_voluntary_ += task.thread().voluntary_switches();
        ended_involuntary_ += task.thread().involuntary_switches();
        // Linux: without exit_group the process ends with the status of its main task.
        if (!terminating_.load(std::memory_order_relaxed) && task.tid() == pid_)
            wait_status_ = wait_status;
        last = task_count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }
    task_left_.wake_all();
    return last;
}

Result<void> Process::start_main_task(const hal::TrapFrame& frame, std::string_view name) {
    auto task = TRY(new_task(frame, name, pid_));
    TRY(add_task(*task));
    task->thread().start();
    return {};
}

Result<Pid> Process::start_thread(const ThreadArguments& arguments) {
    Task& parent = Task::current();
    auto task = TRY(new_task(arguments.frame, parent.thread().name(), allocate_pid()));
    sched::Thread& thread = task->thread();
    hal::fpu_save(thread.fpu);
    thread.user_tls = arguments.set_tls ? arguments.tls : hal::user_tls();
    thread.set_params(parent.thread().params());
    TRY(thread.set_affinity(parent.thread().affinity()));
    task->clear_child_tid = arguments.clear_child_tid;
    task->timer_slack_ns = parent.timer_slack_ns;
    {
        sync::IrqSpinGuard guard(signals_.lock);
        task->signals.blocked = parent.signals.blocked;
    }
    const Pid tid = task->tid();
    // As the new task shares the memory, both can be written before it runs. Linux ignores faults
    // of CLONE_CHILD_SETTID.
    if (arguments.parent_tid) TRY(mem::UserPtr<Pid>(arguments.parent_tid).write(tid));
    if (arguments.child_tid) (void)mem::UserPtr<Pid>(arguments.child_tid).write(tid);
    TRY(add_task(*task));
    thread.start();
    return tid;
}

Ref<Task> Process::find_task(Pid tid) {
    sync::IrqSpinGuard guard(tasks_lock_);
    for (Task& task : tasks_) {
        if (task.tid() == tid) return Ref<Task>(&task);
    }
    return nullptr;
}

Ref<Task> Process::first_task() {
    sync::IrqSpinGuard guard(tasks_lock_);
    return Ref<Task>(tasks_.front());
}

void Process::for_each_task(bool (*visit)(Task&, void*), void* cookie) {
    sync::IrqSpinGuard guard(tasks_lock_);
    for (Task& task : tasks_) {
        if (!visit(task, cookie)) return;
    }
}

void Process::terminate(int wait_status) {
    Task* self = Task::current_or_null();
    {
        sync::IrqSpinGuard guard(tasks_lock_);
        if (!terminating_.load(std::memory_order_relaxed)) {
            wait_status_ = wait_status;
            terminating_.store(true, std::memory_order_release);
        }
        for (Task& task : tasks_) {
            if (&task != self) task.thread().interrupt(hal::kWorkExit);
        }
    }
    if (self && &self->process() == this) Task::exit_current(wait_status);
}

Result<void> Process::end_other_tasks() {
    Task& self = Task::current();
    {
        sync::IrqSpinGuard guard(tasks_lock_);
        if (terminating_.load(std::memory_order_relaxed) || survivor_) return Errno::kEINTR;
        survivor_ = &self;
        for (Task& task : tasks_) {
            if (&task != &self) task.thread().interrupt(hal::kWorkExit);
        }
    }
    const auto alone = [this] { return task_count() == 1; };
    // They have been told to leave and do so: no signal needs to end this wait.
    (void)task_left_.wait(alone, sched::Interruptible::kNo);
    sync::IrqSpinGuard guard(tasks_lock_);
    survivor_ = nullptr;
    if (terminating_.load(std::memory_order_relaxed)) return Errno::kEINTR;
    self.tid_ = pid_;
    return {};
}

Ref<vm::AddressSpace> Process::exchange_address_space(Ref<vm::AddressSpace> space) {
    KILN_ASSERT(task_count() <= 1);
    Ref<vm::AddressSpace> old = std::move(address_space_);
    address_space_ = std::move(space);
    vm::attach_address_space(sched::Thread::current(), address_space_.get());
    apply_limits_to_memory();
    return old;
}

std::uint64_t Process::cpu_time_ns() {
    sync::IrqSpinGuard guard(tasks_lock_);
    std::uint64_t sum = ended_cpu_time_ns_;
    for (Task& task : tasks_) sum += task.thread().cpu_time_ns();
    return sum;
}

void Process::context_switches(std::uint64_t* voluntary, std::uint64_t* involuntary) {
    sync::IrqSpinGuard guard(tasks_lock_);
    *voluntary = ended_voluntary_;
    *involuntary = ended_involuntary_;
    for (Task& task : tasks_) {
        *voluntary += task.thread().voluntary_switches();
        *involuntary += task.thread().involuntary_switches();
    }
}

// -- Task ---------------------------------------------------------------------------------------

Task::~Task() = default;

void Task::run(void* argument) {
    Task& task = *static_cast<Task*>(argument);
    if (task.process().is_terminating()) exit_current(0);
    hal::enter_user(task.start_frame_);
}

void Task::exit_current(int wait_status) {
    Task& task = current();
    Process& process = task.process();
    if (g_futex_hooks.exit_robust_list) g_futex_hooks.exit_robust_list(task);
    // clone(2), CLONE_CHILD_CLEARTID: done only while somebody else still uses the memory.
    if (task.clear_child_tid && process.task_count() > 1) {
        if (g_futex_hooks.clear_and_wake) g_futex_hooks.clear_and_wake(task.clear_child_tid);
    }
    const bool last = process.remove_task(task, wait_status);
    if (last) {
        const int status = process.wait_status_;
        process.timers().stop();
        process.files().close_all();
        if (process.pid() == 1) {
            if (auto hook = g_exit_hook.load(std::memory_order_acquire)) hook(status);
        }
    }
    vm::attach_address_space(task.thread(), nullptr);
    task.thread().task = nullptr;
    task.unref();  // the list's
    task.unref();  // the thread's: after this the task may be gone
    sched::exit_thread();
}

// -- global -------------------------------------------------------------------------------------

Ref<Process> find_process(Pid pid) {
    sync::IrqSpinGuard guard(g_table.lock);
    for (Process& process : g_table.processes) {
        // One whose last reference has gone is about to leave the table.
        if (process.pid() == pid && process.try_ref()) return adopt_ref(&process);
    }
    return nullptr;
}

Pid next_pid(Pid after) {
    Pid found = -1;
    sync::IrqSpinGuard guard(g_table.lock);
    for (Process& process : g_table.processes) {
        if (process.pid() > after && (found < 0 || process.pid() < found)) found = process.pid();
    }
    return found;
}

Ref<Task> find_task(Pid tid) {
    sync::IrqSpinGuard guard(g_table.lock);
    for (Process& process : g_table.processes) {
        if (Ref<Task> task = process.find_task(tid)) return task;
    }
    return nullptr;
}

void set_exit_hook(void (*hook)(int)) { g_exit_hook.store(hook, std::memory_order_release); }
void set_futex_hooks(const FutexHooks& hooks) { g_futex_hooks = hooks; }

}  // namespace kiln::posix
