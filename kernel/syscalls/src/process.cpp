// Creating threads, exec, exit, waiting; ids, prctl(2), arch_prctl(2).
#include <kiln/hal/smp.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/string.hpp>
#include <kiln/mem/vector.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

// -- clone -----------------------------------------------------------------------------------------

constexpr u64 kThreadFlags = kCLONE_VM | kCLONE_FS | kCLONE_FILES | kCLONE_SIGHAND | kCLONE_THREAD;
constexpr u64 kNamespaceFlags = kCLONE_NEWNS | kCLONE_NEWCGROUP | kCLONE_NEWUTS | kCLONE_NEWIPC |
                                kCLONE_NEWUSER | kCLONE_NEWPID | kCLONE_NEWNET;
/// No effect with what there is: no System V semaphores, no tracing, no I/O contexts.
constexpr u64 kNeutralFlags =
    kCLONE_SYSVSEM | kCLONE_PTRACE | kCLONE_UNTRACED | kCLONE_DETACHED | kCLONE_IO;
constexpr u64 kHandledFlags = kThreadFlags | kNeutralFlags | kCLONE_SETTLS | kCLONE_PARENT_SETTID |
                              kCLONE_CHILD_CLEARTID | kCLONE_CHILD_SETTID;

struct CloneRequest {
    u64 flags;
    u64 stack;  ///< the new stack pointer; 0: the caller's
    u64 parent_tid;
    u64 child_tid;
    u64 tls;
};

Status clone(const CloneRequest& request) {
    const u64 flags = request.flags;
    // Linux kernel/fork.c, copy_process.
    if ((flags & (kCLONE_NEWNS | kCLONE_FS)) == (kCLONE_NEWNS | kCLONE_FS)) return Errno::kEINVAL;
    if ((flags & (kCLONE_NEWUSER | kCLONE_FS)) == (kCLONE_NEWUSER | kCLONE_FS))
        return Errno::kEINVAL;
    if ((flags & kCLONE_THREAD) && !(flags & kCLONE_SIGHAND)) return Errno::kEINVAL;
    if ((flags & kCLONE_SIGHAND) && !(flags & kCLONE_VM)) return Errno::kEINVAL;
    if ((flags & kCLONE_THREAD) && (flags & (kCLONE_NEWUSER | kCLONE_NEWPID | kCLONE_PIDFD)))
        return Errno::kEINVAL;
    if ((flags & kCLONE_THREAD) == 0) {
        posix::report_unsupported("clone of a new process (fork), flags", flags);
        return Errno::kENOSYS;
    }
    if ((flags & kNamespaceFlags) || (flags & kThreadFlags) != kThreadFlags ||
        (flags & ~kHandledFlags)) {
        posix::report_unsupported("clone of a thread, flags", flags);
        return Errno::kEINVAL;
    }
    hal::TrapFrame frame = hal::current_user_frame();
    hal::set_syscall_result(frame, 0);
    hal::set_stack_pointer(frame, request.stack ? request.stack : hal::stack_pointer(frame));
    posix::Process::ThreadArguments arguments{};
    arguments.frame = frame;
    arguments.set_tls = (flags & kCLONE_SETTLS) != 0;
    arguments.tls = request.tls;
    if (arguments.set_tls && request.tls >= hal::kUserEnd) return Errno::kEPERM;
    if (flags & kCLONE_PARENT_SETTID) arguments.parent_tid = request.parent_tid;
    if (flags & kCLONE_CHILD_SETTID) arguments.child_tid = request.child_tid;
    if (flags & kCLONE_CHILD_CLEARTID) arguments.clear_child_tid = request.child_tid;
    return TRY(this_process().start_thread(arguments));
}

// -- execve ----------------------------------------------------------------------------------------

/// execve(2): one string at most 32 pages, all together at most a quarter of the stack limit, at least 32 pages.
constexpr std::size_t kMaxString = 32 * kPageSize;
constexpr std::size_t kMaxStrings = 0x7fffffff;

/// argv or envp, copied.
class StringArray {
public:
    /// EFAULT, E2BIG, ENOMEM. A null pointer is an empty array, as on Linux.
    Result<void> load(UserPtr<const u64> from, std::size_t* budget) {
        if (!from) return {};
        mem::Vector<std::size_t> lengths;
        for (std::size_t i = 0;; i++) {
            if (i >= kMaxStrings) return Errno::kE2BIG;
            const u64 address = TRY((from + i).read());
            if (address == 0) break;
            const std::ptrdiff_t length =
                hal::is_user_range(address, 1) ? hal::strnlen_user(address, kMaxString) : -1;
            if (length < 0) return Errno::kEFAULT;
            const auto n = static_cast<std::size_t>(length);
            if (n == kMaxString || n + 1 + sizeof(u64) > *budget) return Errno::kE2BIG;
            *budget -= n + 1 + sizeof(u64);
            const std::size_t at = text_.size();
            TRY(text_.resize(at + n));
            TRY(UserPtr<const char>(address).copy_in(text_.data() + at, n));
            TRY(lengths.push_back(n));
        }
        std::size_t at = 0;
        for (const std::size_t n : lengths) {
            TRY(views_.push_back(std::string_view(text_.data() + at, n)));
            at += n;
        }
        return {};
    }
    std::span<const std::string_view> views() { return views_.span(); }

private:
    mem::Vector<char> text_;
    mem::Vector<std::string_view> views_;
};

Status execute(std::string_view path, UserPtr<const u64> argv, UserPtr<const u64> envp) {
    std::size_t budget = this_process().limit(posix::kLimitStack).soft / 4;
    constexpr std::size_t kMost = 6_MiB, kLeast = 32 * kPageSize;
    budget = budget > kMost ? kMost : budget < kLeast ? kLeast : budget;
    StringArray arguments, environment;
    TRY(arguments.load(argv, &budget));
    TRY(environment.load(envp, &budget));
    TRY(posix::execute_program({path, arguments.views(), environment.views()}));
    return 0;
}

// -- prctl -----------------------------------------------------------------------------------------

Status prctl_name(bool set, u64 address) {
    constexpr std::size_t kCommLength = 16;
    sched::Thread& thread = this_task().thread();
    char text[kCommLength] = {};
    if (set) {
        auto length = mem::copy_string_from_user(UserString(address), {text, sizeof(text) - 1});
        if (!length.ok() && length.error() != Errno::kENAMETOOLONG) return length.error();
        const std::size_t n = length.ok() ? *length : sizeof(text) - 1;
        // Cut to what fits, as Linux does.
        if (!length.ok()) TRY(UserString(address).copy_in(text, n));
        thread.set_name({text, n});
        return 0;
    }
    const std::string_view name = thread.name();
    name.copy(text, sizeof(text) - 1);
    TRY(UserPtr<char>(address).copy_out(text, sizeof(text)));
    return 0;
}

Status prctl_bounding_set(bool drop, u64 capability) {
    if (capability > posix::kLastCapability) return Errno::kEINVAL;
    posix::Credentials c = this_process().credentials();
    if (!drop) return static_cast<i64>(c.bounding >> capability & 1);
    if (!c.has(posix::kCapSetpcap)) return Errno::kEPERM;
    c.bounding &= ~(posix::CapabilitySet{1} << capability);
    this_process().set_credentials(c);
    return 0;
}

Status prctl_ambient(u64 operation, u64 capability, u64 rest) {
    constexpr u64 kIsSet = 1, kRaise = 2, kLower = 3, kClearAll = 4;
    if (rest != 0) return Errno::kEINVAL;
    posix::Credentials c = this_process().credentials();
    if (operation == kClearAll) {
        if (capability != 0) return Errno::kEINVAL;
        c.ambient = 0;
        this_process().set_credentials(c);
        return 0;
    }
    if (capability > posix::kLastCapability) return Errno::kEINVAL;
    const posix::CapabilitySet bit = posix::CapabilitySet{1} << capability;
    switch (operation) {
        case kIsSet: return (c.ambient & bit) != 0;
        case kRaise:
            if ((c.permitted & c.inheritable & bit) == 0) return Errno::kEPERM;
            c.ambient |= bit;
            break;
        case kLower: c.ambient &= ~bit; break;
        default: return Errno::kEINVAL;
    }
    this_process().set_credentials(c);
    return 0;
}

Status prctl_secure_bits(bool set, u64 bits) {
    constexpr u64 kAll = 0xff;
    posix::Credentials c = this_process().credentials();
    if (!set) return c.secure_bits;
    if ((bits & ~kAll) || !c.has(posix::kCapSetpcap)) return Errno::kEPERM;
    c.secure_bits = static_cast<u32>(bits);
    this_process().set_credentials(c);
    return 0;
}

Status prctl_keep_capabilities(bool set, u64 on) {
    constexpr u32 kSecureKeepCaps = 1u << 4;
    posix::Credentials c = this_process().credentials();
    if (!set) return (c.secure_bits & kSecureKeepCaps) != 0;
    if (on > 1) return Errno::kEINVAL;
    c.secure_bits = on ? c.secure_bits | kSecureKeepCaps : c.secure_bits & ~kSecureKeepCaps;
    this_process().set_credentials(c);
    return 0;
}

/// PR_SET_VMA_ANON_NAME: a Linux built without names for anonymous memory answers EINVAL, and programs take that for "no names".
/// The name is checked as Linux would, so that a bad pointer is EFAULT.
Status prctl_vma_name(u64 kind, u64 name) {
    constexpr std::size_t kNameMax = 80;
    if (kind != kPR_SET_VMA_ANON_NAME) return Errno::kEINVAL;
    if (name != 0) {
        UserText text;
        TRY(text.load(UserString(name), kNameMax, Errno::kEINVAL));
    }
    posix::report_unsupported("prctl PR_SET_VMA_ANON_NAME", kind);
    return Errno::kEINVAL;
}

Result<Ref<posix::Process>> process_of(int pid) {
    if (pid < 0) return Errno::kESRCH;
    if (pid == 0) return Ref<posix::Process>(&this_process());
    if (Ref<posix::Process> process = posix::find_process(pid)) return process;
    // A tid names its process, too.
    if (Ref<posix::Task> task = posix::find_task(pid)) return Ref<posix::Process>(&task->process());
    return Errno::kESRCH;
}

}  // namespace

Status sys_clone(u64 flags, u64 stack, u64 parent_tid, u64 child_tid, u64 tls) {
    return clone({flags & 0xffffffff & ~kCSIGNAL, stack, parent_tid, child_tid, tls});
}

Status sys_clone3(UserPtr<void> arguments, std::size_t size) {
    if (size < kCLONE_ARGS_SIZE_VER0) return Errno::kEINVAL;
    if (size > kPageSize) return Errno::kE2BIG;
    CloneArgs args{};
    TRY(arguments.copy_in(&args, size < sizeof(args) ? size : sizeof(args)));
    for (std::size_t i = sizeof(args); i < size; i++) {
        if (TRY(UserPtr<const std::uint8_t>(arguments.address() + i).read()) != 0)
            return Errno::kE2BIG;
    }
    // clone3(2): the exit signal has its own field; a stack comes with its size.
    if (args.flags & (kCSIGNAL | kCLONE_DETACHED)) return Errno::kEINVAL;
    if (args.exit_signal > posix::kSignalCount) return Errno::kEINVAL;
    if ((args.flags & (kCLONE_THREAD | kCLONE_PARENT)) && args.exit_signal != 0)
        return Errno::kEINVAL;
    if ((args.stack == 0) != (args.stack_size == 0)) return Errno::kEINVAL;
    if (args.stack != 0 && !hal::is_user_range(args.stack, args.stack_size)) return Errno::kEINVAL;
    if (args.set_tid_size != 0) {
        posix::report_unsupported("clone3 set_tid", args.set_tid_size);
        return Errno::kEINVAL;
    }
    if ((args.flags & kCLONE_CLEAR_SIGHAND) && (args.flags & kCLONE_SIGHAND)) return Errno::kEINVAL;
    return clone({args.flags, args.stack ? args.stack + args.stack_size : 0, args.parent_tid,
                  args.child_tid, args.tls});
}

Status sys_execve(UserString path, UserPtr<const u64> argv, UserPtr<const u64> envp) {
    UserText text;
    TRY(text.load(path));
    if (text.view().empty()) return Errno::kENOENT;
    return execute(text.view(), argv, envp);
}

Status sys_execveat(int dirfd, UserString path, UserPtr<const u64> argv, UserPtr<const u64> envp,
                    u32 flags) {
    if (flags & ~(kAT_SYMLINK_NOFOLLOW | kAT_EMPTY_PATH)) return Errno::kEINVAL;
    UserPath name;
    TRY(name.load(dirfd, path));
    const vfs::Path program = TRY(name.lookup(lookup_flags(flags)));
    if (program.inode()->is_symlink()) return Errno::kELOOP;
    // The loader opens programs by name.
    auto* absolute = static_cast<char*>(mem::allocate(vfs::kPathMax));
    if (!absolute) return Errno::kENOMEM;
    Status result = [&]() -> Status {
        const std::size_t length =
            TRY(program.format({absolute, vfs::kPathMax}, this_process().root()));
        return execute({absolute, length}, argv, envp);
    }();
    mem::release(absolute);
    return result;
}

Status sys_exit(int status) { posix::Task::exit_current((status & 0xff) << 8); }

Status sys_exit_group(int status) {
    this_process().terminate((status & 0xff) << 8);
    __builtin_unreachable();
}

Status sys_wait4(int pid, UserPtr<i32>, u32 options, UserPtr<Rusage>) {
    if (options & ~(kWNOHANG | kWUNTRACED | kWCONTINUED | kWNOTHREAD | kWCLONE | kWALL))
        return Errno::kEINVAL;
    if (pid == INT32_MIN) return Errno::kESRCH;
    return Errno::kECHILD;
}

Status sys_waitid(int type, int id, UserPtr<posix::SignalInfo>, u32 options, UserPtr<Rusage>) {
    constexpr int kAll = 0, kPid = 1, kPgid = 2, kPidfd = 3;
    if (options &
        ~(kWNOHANG | kWNOWAIT | kWEXITED | kWUNTRACED | kWCONTINUED | kWNOTHREAD | kWCLONE | kWALL))
        return Errno::kEINVAL;
    if ((options & (kWEXITED | kWUNTRACED | kWCONTINUED)) == 0) return Errno::kEINVAL;
    switch (type) {
        case kAll: break;
        case kPid:
            if (id <= 0) return Errno::kEINVAL;
            break;
        case kPgid:
            if (id < 0) return Errno::kEINVAL;
            break;
        case kPidfd:
            if (id < 0) return Errno::kEINVAL;
            TRY(file_at(id));
            return Errno::kEBADF;  // no file is a pidfd
        default: return Errno::kEINVAL;
    }
    return Errno::kECHILD;
}

Status sys_set_tid_address(u64 address) {
    this_task().clear_child_tid = address;
    return this_task().tid();
}

constexpr std::size_t kRobustListHeadSize = 24;  // struct robust_list_head

Status sys_set_robust_list(u64 head, std::size_t length) {
    if (length != kRobustListHeadSize) return Errno::kEINVAL;
    this_task().robust_list = head;
    return 0;
}

Status sys_get_robust_list(int tid, UserPtr<u64> head, UserPtr<u64> length) {
    Ref<posix::Task> task = tid == 0 ? Ref<posix::Task>(&this_task()) : posix::find_task(tid);
    if (!task) return Errno::kESRCH;
    TRY(length.write(kRobustListHeadSize));
    TRY(head.write(task->robust_list));
    return 0;
}

Status sys_getpid() { return this_process().pid(); }
Status sys_gettid() { return this_task().tid(); }
Status sys_getppid() { return this_process().parent_pid(); }
Status sys_getpgid(int pid) {
    return TRY(process_of(pid))
    ->process_group();
}
Status sys_getpgrp() { return this_process().process_group(); }
Status sys_getsid(int pid) {
    return TRY(process_of(pid))
    ->session();
}

Status sys_setpgid(int pid, int group) {
    // setpgid(2): only oneself and children, which there are none; session leaders stay.
    if (group < 0) return Errno::kEINVAL;
    posix::Process& self = this_process();
    if (pid != 0 && pid != self.pid()) return Errno::kESRCH;
    if (self.session() == self.pid()) return Errno::kEPERM;
    if (group != 0 && group != self.pid()) return Errno::kEPERM;
    self.set_process_group(self.pid());
    return 0;
}

Status sys_setsid() {
    posix::Process& self = this_process();
    // setsid(2), EPERM: the caller leads a process group already.
    if (self.process_group() == self.pid()) return Errno::kEPERM;
    self.start_session();
    return self.pid();
}

Status sys_unshare(u64 flags) {
    constexpr u64 kNothingShared = kCLONE_SYSVSEM;
    if ((flags & ~kNothingShared) == 0) return 0;
    // unshare(2), EINVAL: CLONE_THREAD, CLONE_SIGHAND, CLONE_VM with several threads. With one they mean nothing.
    constexpr u64 kSingleThread =
        kCLONE_THREAD | kCLONE_SIGHAND | kCLONE_VM | kCLONE_FS | kCLONE_FILES;
    if ((flags & ~(kNothingShared | kSingleThread)) == 0 && this_process().task_count() == 1)
        return 0;
    posix::report_unsupported("unshare flags", flags);
    return Errno::kEINVAL;
}

Status sys_personality(u32 persona) {
    constexpr u32 kAsk = 0xffffffff;
    // PER_LINUX with flags that only an exec or a 32-bit program would feel: ADDR_NO_RANDOMIZE, FDPIC_FUNCPTRS,
    // MMAP_PAGE_ZERO off, ADDR_COMPAT_LAYOUT, READ_IMPLIES_EXEC off, ADDR_LIMIT_*, SHORT_INODE, WHOLE_SECONDS,
    // STICKY_TIMEOUTS.
    constexpr u32 kAccepted = 0x0040000 | 0x0080000 | 0x0200000 | 0x0800000 | 0x1000000 |
                              0x2000000 | 0x4000000 | 0x8000000;
    const u32 old = this_process().personality.load();
    if (persona == kAsk) return old;
    if (persona & ~kAccepted) {
        posix::report_unsupported("personality", persona);
        return Errno::kEINVAL;
    }
    this_process().personality = persona;
    return old;
}

Status sys_prctl(int option, u64 a, u64 b, u64 c, u64 d) {
    posix::Process& process = this_process();
    posix::Task& task = this_task();
    switch (option) {
        case kPR_SET_PDEATHSIG:
            if (a != 0 && (a > posix::kSignalCount)) return Errno::kEINVAL;
            task.parent_death_signal = static_cast<int>(a);
            return 0;
        case kPR_GET_PDEATHSIG: TRY(UserPtr<i32>(a).write(task.parent_death_signal)); return 0;
        case kPR_GET_DUMPABLE: return process.dumpable.load();
        case kPR_SET_DUMPABLE:
            if (a > 1) return Errno::kEINVAL;
            process.dumpable = static_cast<u32>(a);
            return 0;
        case kPR_GET_KEEPCAPS: return prctl_keep_capabilities(false, 0);
        case kPR_SET_KEEPCAPS: return prctl_keep_capabilities(true, a);
        case kPR_GET_TIMING: return 0;  // PR_TIMING_STATISTICAL
        case kPR_SET_TIMING:
            if (a != 0) return Errno::kEINVAL;
            return 0;
        case kPR_SET_NAME: return prctl_name(true, a);
        case kPR_GET_NAME: return prctl_name(false, a);
        case kPR_GET_SECCOMP: return 0;  // none: as Linux with seccomp off for this task
        case kPR_CAPBSET_READ: return prctl_bounding_set(false, a);
        case kPR_CAPBSET_DROP: return prctl_bounding_set(true, a);
        case kPR_GET_TSC: TRY(UserPtr<i32>(a).write(1)); return 0;  // PR_TSC_ENABLE
        case kPR_SET_TSC:
            if (a != 1) return Errno::kEINVAL;
            return 0;
        case kPR_GET_SECUREBITS: return prctl_secure_bits(false, 0);
        case kPR_SET_SECUREBITS: return prctl_secure_bits(true, a);
        case kPR_SET_TIMERSLACK: {
            constexpr u64 kDefaultSlack = 50'000;
            task.timer_slack_ns = a == 0 ? kDefaultSlack : a;
            return 0;
        }
        case kPR_GET_TIMERSLACK: return static_cast<i64>(task.timer_slack_ns);
        case kPR_SET_CHILD_SUBREAPER: process.child_subreaper = a != 0; return 0;
        case kPR_GET_CHILD_SUBREAPER:
            TRY(UserPtr<i32>(a).write(process.child_subreaper.load()));
            return 0;
        case kPR_SET_NO_NEW_PRIVS:
            if (a != 1 || b || c || d) return Errno::kEINVAL;
            process.no_new_privileges = true;
            return 0;
        case kPR_GET_NO_NEW_PRIVS:
            if (a || b || c || d) return Errno::kEINVAL;
            return process.no_new_privileges.load();
        case kPR_GET_TID_ADDRESS: TRY(UserPtr<u64>(a).write(task.clear_child_tid)); return 0;
        // There are no transparent huge pages to disable.
        case kPR_SET_THP_DISABLE:
            if (b || c || d) return Errno::kEINVAL;
            process.huge_pages_disabled = a != 0;
            return 0;
        case kPR_GET_THP_DISABLE:
            if (a || b || c || d) return Errno::kEINVAL;
            return process.huge_pages_disabled.load();
        case kPR_CAP_AMBIENT: return prctl_ambient(a, b, c | d);
        case kPR_SET_VMA: return prctl_vma_name(a, d);
        default:
            posix::report_unsupported("prctl option", static_cast<u64>(option));
            return Errno::kEINVAL;
    }
}

Status sys_arch_prctl(int code, u64 address) {
    posix::Task& task = this_task();
    switch (code) {
        case kARCH_SET_FS:
            if (address >= hal::kUserEnd) return Errno::kEPERM;
            hal::set_user_tls(&task.thread(), address);
            return 0;
        case kARCH_GET_FS: TRY(UserPtr<u64>(address).write(hal::user_tls())); return 0;
        case kARCH_GET_CPUID: return 1;
        case kARCH_SET_CPUID: return Errno::kENODEV;
        case kARCH_SET_GS:
        case kARCH_GET_GS:
            // The kernel keeps its own data there while it shares the ring with the application.
            posix::report_unsupported("arch_prctl ARCH_SET_GS/ARCH_GET_GS", static_cast<u64>(code));
            return Errno::kEPERM;
        default: return Errno::kEINVAL;  // glibc asks for CET with 0x3001
    }
}

Status sys_membarrier(int command, u32 flags, int cpu) {
    (void)cpu;
    constexpr int kPrivate = kMEMBARRIER_CMD_PRIVATE_EXPEDITED;
    constexpr int kSyncCore = kMEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
    constexpr int kSupported = kMEMBARRIER_CMD_GLOBAL | kMEMBARRIER_CMD_GLOBAL_EXPEDITED |
                               kMEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | kPrivate |
                               kMEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | kSyncCore |
                               kMEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE;
    if (flags != 0) return Errno::kEINVAL;
    posix::Process& process = this_process();
    switch (command) {
        case kMEMBARRIER_CMD_QUERY: return kSupported;
        case kMEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
        case kMEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
        case kMEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
            process.membarrier_registered.fetch_or(static_cast<u32>(command));
            return 0;
        case kPrivate:
            if ((process.membarrier_registered & kMEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0)
                return Errno::kEPERM;
            break;
        case kSyncCore:
            if ((process.membarrier_registered &
                 kMEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) == 0)
                return Errno::kEPERM;
            break;
        case kMEMBARRIER_CMD_GLOBAL:
        case kMEMBARRIER_CMD_GLOBAL_EXPEDITED: break;
        default: return Errno::kEINVAL;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (hal::cpu_count() > 1) {
        // An interrupt and the return from it serialise the other CPUs.
        hal::cpu_call(
            ~u64{0}, [](void*) { std::atomic_thread_fence(std::memory_order_seq_cst); }, nullptr);
    }
    return 0;
}

}  // namespace kiln::syscalls
