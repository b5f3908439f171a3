// What /proc shows of processes.
#include <kiln/base/init_call.hpp>
#include <kiln/fs/procfs.hpp>
#include <kiln/hal/smp.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/vfs/device.hpp>

namespace kiln::posix {
namespace {

Result<Ref<Process>> process_of(std::int32_t pid) {
    Ref<Process> process = find_process(pid);
    if (!process) return Errno::kESRCH;
    return process;
}

char state_letter(const sched::Thread& thread) {
    switch (thread.state()) {
        case sched::ThreadState::kBlocked: return thread.interruptible_ ? 'S' : 'D';
        case sched::ThreadState::kDead: return 'X';
        default: return 'R';
    }
}

void copy_ids(const UserIds& from, std::uint32_t (&to)[4]) {
    to[0] = from.real;
    to[1] = from.effective;
    to[2] = from.saved;
    to[3] = from.file_system;
}

void describe_signals(Process& process, Task& task, fs::ProcTask* out) {
    SignalState& state = process.signals();
    sync::IrqSpinGuard guard(state.lock);
    out->pending = task.signals.pending.set();
    out->shared_pending = state.pending.set();
    out->blocked = task.signals.blocked;
    out->queued_signals = task.signals.pending.queued() + state.pending.queued();
    for (int signo = 1; signo <= kSignalCount; signo++) {
        const std::uintptr_t handler = state.action(signo).handler;
        if (handler == kSigIgn) {
            out->ignored |= signal_bit(signo);
        } else if (handler != kSigDfl) {
            out->caught |= signal_bit(signo);
        }
    }
}

void describe_credentials(Process& process, fs::ProcTask* out) {
    const Credentials c = process.credentials();
    copy_ids(c.user, out->uid);
    copy_ids(c.group, out->gid);
    out->group_count = c.group_count;
    static_assert(std::size(fs::ProcTask{}.groups) >= Credentials::kMaxGroups);
    for (std::uint32_t i = 0; i < c.group_count; i++) out->groups[i] = c.groups[i];
    out->capabilities[0] = c.inheritable;
    out->capabilities[1] = c.permitted;
    out->capabilities[2] = c.effective;
    out->capabilities[3] = c.bounding;
    out->capabilities[4] = c.ambient;
}

void describe_thread(const sched::Thread& thread, fs::ProcTask* out) {
    const std::string_view name = thread.name();
    name.copy(out->name, sizeof(out->name) - 1);
    out->state = state_letter(thread);
    out->user_time_ns = thread.cpu_time_ns();
    out->voluntary_switches = thread.voluntary_switches();
    out->involuntary_switches = thread.involuntary_switches();
    const sched::SchedParams params = thread.params();
    out->nice = params.nice;
    out->policy = params.policy;
    out->rt_priority = params.rt_priority;
    out->last_cpu = thread.last_cpu();
    const std::uint32_t cpus = hal::cpu_count();
    out->affinity =
        thread.affinity() & (cpus >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << cpus) - 1);
}

class View final : public fs::ProcessView {
public:
    std::int32_t current_pid() override {
        Task* task = Task::current_or_null();
        return task ? task->process().pid() : 0;
    }
    std::int32_t current_tid() override {
        Task* task = Task::current_or_null();
        return task ? task->tid() : 0;
    }
    std::int32_t next_pid(std::int32_t after) override { return posix::next_pid(after); }
    std::int32_t next_tid(std::int32_t pid, std::int32_t after) override {
        Ref<Process> process = find_process(pid);
        if (!process) return -1;
        struct Search {
            std::int32_t after;
            std::int32_t found;
        } search{after, -1};
        process->for_each_task(
            [](Task& task, void* cookie) {
                auto& s = *static_cast<Search*>(cookie);
                if (task.tid() > s.after && (s.found < 0 || task.tid() < s.found))
                    s.found = task.tid();
                return true;
            },
            &search);
        return search.found;
    }
    Result<void> describe(std::int32_t pid, std::int32_t tid, fs::ProcTask* out) override {
        auto process = TRY(process_of(pid));
        if (tid == 0) tid = pid;
        Ref<Task> task = process->find_task(tid);
        // The main task may have ended before the others.
        if (!task && tid == pid) task = process->first_task();
        if (!task) return Errno::kESRCH;
        *out = {};
        out->pid = pid;
        out->tid = tid;
        out->parent_pid = process->parent_pid();
        out->process_group = process->process_group();
        out->session = process->session();
        out->threads = process->task_count();
        out->no_new_privileges = process->no_new_privileges;
        out->umask = process->file_mode_mask();
        out->start_time_ns = process->start_time_ns();
        out->fd_slots = process->files().capacity();
        describe_thread(task->thread(), out);
        if (tid == pid) out->user_time_ns = process->cpu_time_ns();
        describe_credentials(*process, out);
        describe_signals(*process, *task, out);
        return {};
    }
    Result<Ref<vm::AddressSpace>> address_space(std::int32_t pid) override {
        return Ref<vm::AddressSpace>(&TRY(process_of(pid))->address_space());
    }
    Result<fs::ProcImage> image(std::int32_t pid) override {
        const Process::Image& i = TRY(process_of(pid))
        ->image();
        return fs::ProcImage{i.arg_begin,  i.arg_end,  i.env_begin,   i.env_end,
                             i.auxv_begin, i.auxv_end, i.code_begin,  i.code_end,
                             i.data_begin, i.data_end, i.stack_begin, i.brk_begin};
    }
    Result<std::size_t> read_memory(std::int32_t pid, VirtAddr from, std::span<char> out) override {
        auto process = TRY(process_of(pid));
        // Through the process's own address space, which the reader takes on for the copy.
        const vm::ScopedAddressSpace use(process->address_space());
        if (!hal::is_user_range(from.value, out.size())) return Errno::kEIO;
        return out.size() - hal::copy_from_user(out.data(), from.value, out.size());
    }
    Result<vfs::Path> executable(std::int32_t pid) override {
        return TRY(process_of(pid))
        ->image().executable;
    }
    Result<vfs::Path> cwd(std::int32_t pid) override {
        return TRY(process_of(pid))
        ->cwd();
    }
    Result<vfs::Path> root(std::int32_t pid) override {
        return TRY(process_of(pid))
        ->root();
    }
    int next_fd(std::int32_t pid, int from) override {
        Ref<Process> process = find_process(pid);
        return process ? process->files().next_open(from) : -1;
    }
    Result<Ref<vfs::File>> file(std::int32_t pid, int fd) override {
        return TRY(process_of(pid))
        ->files().get(fd);
    }
    bool is_close_on_exec(std::int32_t pid, int fd) override {
        Ref<Process> process = find_process(pid);
        return process && process->files().close_on_exec_flag(fd).value_or(false);
    }
    Result<Limit> limit(std::int32_t pid, unsigned resource) override {
        if (resource >= kResourceLimits) return Errno::kEINVAL;
        const ResourceLimit l = TRY(process_of(pid))
        ->limit(resource);
        return Limit{l.soft, l.hard};
    }
    Result<void> set_name(std::int32_t pid, std::int32_t tid, std::string_view name) override {
        Task* self = Task::current_or_null();
        auto process = TRY(process_of(pid));
        if (!self || &self->process() != process.get()) return Errno::kEPERM;
        Ref<Task> task = process->find_task(tid == 0 ? pid : tid);
        if (!task) return Errno::kESRCH;
        task->thread().set_name(name);
        return {};
    }
};

constinit View g_view;

void init() { fs::set_process_view(&g_view); }
KILN_INIT_CALL(proc_view, InitLevel::kCore, init);

template <SystemName (*Get)()>
Result<void> format_name(vfs::TextSink& out) {
    out.write(Get().view());
    out.write("\n");
    return {};
}
template <void (*Set)(std::string_view)>
Result<void> store_name(std::string_view text) {
    while (text.ends_with('\n')) text.remove_suffix(1);
    Set(text);
    return {};
}
KILN_PROC_FILE(hostname, "sys/kernel/hostname", 0644, format_name<hostname>,
               store_name<set_hostname>);
KILN_PROC_FILE(domainname, "sys/kernel/domainname", 0644, format_name<domainname>,
               store_name<set_domainname>);

}  // namespace
}  // namespace kiln::posix
