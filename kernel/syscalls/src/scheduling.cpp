// Scheduling parameters, affinity, priorities.
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/smp.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

Result<Ref<posix::Task>> task_of(int tid) {
    if (tid < 0) return Errno::kEINVAL;
    if (tid == 0) return Ref<posix::Task>(&this_task());
    Ref<posix::Task> task = posix::find_task(tid);
    if (!task) return Errno::kESRCH;
    return task;
}

bool is_realtime(int policy) { return policy == kSCHED_FIFO || policy == kSCHED_RR; }
bool is_known(int policy) {
    return policy == kSCHED_NORMAL || policy == kSCHED_BATCH || policy == kSCHED_IDLE ||
           is_realtime(policy);
}

/// sched_setscheduler(2): priority 1…99 for FIFO and RR, 0 for the others; CAP_SYS_NICE to become real-time.
Status set_policy(int tid, int policy, int priority) {
    policy &= ~kSCHED_RESET_ON_FORK;  // matters to children only
    if (!is_known(policy)) return Errno::kEINVAL;
    if (is_realtime(policy) ? priority < 1 || priority > 99 : priority != 0) return Errno::kEINVAL;
    auto task = TRY(task_of(tid));
    if (is_realtime(policy) && !this_process().credentials().has(posix::kCapSysNice))
        return Errno::kEPERM;
    sched::SchedParams params = task->thread().params();
    params.policy = static_cast<std::uint8_t>(policy);
    params.rt_priority = static_cast<std::uint8_t>(priority);
    task->thread().set_params(params);
    return 0;
}

/// The CPUs that exist, as a mask.
u64 existing_cpus() {
    const u32 n = hal::cpu_count();
    return n >= 64 ? ~u64{0} : (u64{1} << n) - 1;
}

constexpr int kPrioProcess = 0, kPrioPgrp = 1, kPrioUser = 2;

/// Calls `visit` for each task that a getpriority-like call means. False: none.
template <typename Visit>
Result<void> for_priority_targets(int which, int who, Visit visit) {
    if (which < kPrioProcess || which > kPrioUser) return Errno::kEINVAL;
    if (which == kPrioProcess) {
        if (who < 0) return Errno::kESRCH;
        auto task = who == 0 ? Ref<posix::Task>(&this_task()) : posix::find_task(who);
        if (!task) return Errno::kESRCH;
        visit(*task);
        return {};
    }
    posix::Process& self = this_process();
    const bool meant = which == kPrioPgrp
                           ? who == 0 || who == self.process_group()
                           : who == 0 || static_cast<u32>(who) == self.credentials().user.real;
    if (!meant) return Errno::kESRCH;
    // By tid: a visitor may not run under the list's lock.
    for (int tid = 0;;) {
        struct Next {
            int after;
            int found;
        } next{tid, INT32_MAX};
        self.for_each_task(
            [](posix::Task& t, void* cookie) {
                auto& n = *static_cast<Next*>(cookie);
                if (t.tid() > n.after && t.tid() < n.found) n.found = t.tid();
                return true;
            },
            &next);
        if (next.found == INT32_MAX) return {};
        tid = next.found;
        if (auto task = self.find_task(tid)) visit(*task);
    }
}

}  // namespace

Status sys_sched_yield() {
    sched::yield();
    return 0;
}

Status sys_sched_setscheduler(int tid, int policy, UserPtr<const SchedParam> param) {
    if (tid < 0 || policy < 0 || !param) return Errno::kEINVAL;
    return set_policy(tid, policy, TRY(param.read()).sched_priority);
}

Status sys_sched_setparam(int tid, UserPtr<const SchedParam> param) {
    if (tid < 0 || !param) return Errno::kEINVAL;
    const int priority = TRY(param.read())
    .sched_priority;
    auto task = TRY(task_of(tid));
    return set_policy(tid, task->thread().params().policy, priority);
}

Status sys_sched_getparam(int tid, UserPtr<SchedParam> param) {
    if (!param) return Errno::kEINVAL;
    auto task = TRY(task_of(tid));
    TRY(param.write({task->thread().params().rt_priority}));
    return 0;
}

Status sys_sched_getscheduler(int tid) {
    return TRY(task_of(tid))
    ->thread().params().policy;
}

Status sys_sched_get_priority_max(int policy) {
    if (is_realtime(policy)) return 99;
    if (is_known(policy) || policy == kSCHED_DEADLINE) return 0;
    return Errno::kEINVAL;
}

Status sys_sched_get_priority_min(int policy) {
    if (is_realtime(policy)) return 1;
    if (is_known(policy) || policy == kSCHED_DEADLINE) return 0;
    return Errno::kEINVAL;
}

Status sys_sched_rr_get_interval(int tid, UserPtr<TimeSpec> interval) {
    auto task = TRY(task_of(tid));
    const int policy = task->thread().params().policy;
    // Linux: FIFO has no slice; SCHED_OTHER's is what the fair scheduler gives it now, a few ms.
    constexpr u64 kFairSliceNs = 4'000'000;
    const u64 slice = policy == kSCHED_FIFO ? 0
                      : policy == kSCHED_RR ? sched::kRoundRobinSliceNs
                                            : kFairSliceNs;
    TRY(interval.write(to_timespec(slice)));
    return 0;
}

Status sys_sched_setaffinity(int tid, u32 size, UserPtr<const u64> mask) {
    u64 wanted = 0;
    // Shorter masks are filled with zeros, longer ones cut: CPUs beyond 63 do not exist.
    TRY(mask.copy_in(&wanted, size < sizeof(wanted) ? size : sizeof(wanted)));
    auto task = TRY(task_of(tid));
    wanted &= existing_cpus();
    if (wanted == 0) return Errno::kEINVAL;
    TRY(task->thread().set_affinity(wanted));
    return 0;
}

Status sys_sched_getaffinity(int tid, u32 size, UserPtr<u64> mask) {
    // sched_getaffinity(2): the size is a multiple of 8 and holds all CPUs; the bytes written are returned.
    if (size * 8ull < hal::cpu_count() || size % sizeof(u64) != 0) return Errno::kEINVAL;
    auto task = TRY(task_of(tid));
    TRY(mask.write(task->thread().affinity() & existing_cpus()));
    return sizeof(u64);
}

Status sys_sched_setattr(int tid, UserPtr<const SchedAttr> attributes, u32 flags) {
    if (!attributes || tid < 0 || flags != 0) return Errno::kEINVAL;
    const u32 size = TRY(attributes.cast<const u32>().read());
    if (size != 0 && size < kSCHED_ATTR_SIZE_VER0) return Errno::kEINVAL;
    if (size > kPageSize) return Errno::kE2BIG;
    SchedAttr attr{};
    const std::size_t known = size == 0             ? kSCHED_ATTR_SIZE_VER0
                              : size < sizeof(attr) ? size
                                                    : sizeof(attr);
    TRY(attributes.copy_in(&attr, known));
    for (std::size_t i = sizeof(attr); i < size; i++) {
        if (TRY(UserPtr<const std::uint8_t>(attributes.address() + i).read()) != 0)
            return Errno::kE2BIG;
    }
    constexpr u64 kResetOnFork = 1;
    if (attr.sched_flags & ~kResetOnFork) {
        posix::report_unsupported("sched_setattr flags", attr.sched_flags);
        return Errno::kEINVAL;
    }
    const int policy = static_cast<int>(attr.sched_policy);
    TRY(set_policy(tid, policy, static_cast<int>(attr.sched_priority)));
    if (!is_realtime(policy)) {
        auto task = TRY(task_of(tid));
        sched::SchedParams params = task->thread().params();
        params.nice = static_cast<std::int8_t>(attr.sched_nice < -20  ? -20
                                               : attr.sched_nice > 19 ? 19
                                                                      : attr.sched_nice);
        task->thread().set_params(params);
    }
    return 0;
}

Status sys_sched_getattr(int tid, UserPtr<SchedAttr> attributes, u32 size, u32 flags) {
    if (!attributes || tid < 0 || size > kPageSize || size < kSCHED_ATTR_SIZE_VER0 || flags != 0)
        return Errno::kEINVAL;
    auto task = TRY(task_of(tid));
    const sched::SchedParams params = task->thread().params();
    SchedAttr attr{};
    attr.size = size < sizeof(attr) ? size : sizeof(attr);
    attr.sched_policy = params.policy;
    attr.sched_nice = params.nice;
    attr.sched_priority = params.rt_priority;
    TRY(attributes.copy_out(&attr, attr.size));
    return 0;
}

Status sys_getpriority(int which, int who) {
    // Of several the most favourable; returned as 20 − nice, so that it is never negative.
    int best = 0;
    TRY(for_priority_targets(which, who, [&](posix::Task& task) {
        const int value = 20 - task.thread().params().nice;
        if (value > best) best = value;
    }));
    return best;
}

Status sys_setpriority(int which, int who, int nice) {
    nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
    const bool privileged = this_process().credentials().has(posix::kCapSysNice);
    Errno error = Errno::kOk;
    TRY(for_priority_targets(which, who, [&](posix::Task& task) {
        sched::SchedParams params = task.thread().params();
        if (nice < params.nice && !privileged) {
            error = Errno::kEACCES;
            return;
        }
        params.nice = static_cast<std::int8_t>(nice);
        task.thread().set_params(params);
    }));
    if (error != Errno::kOk) return error;
    return 0;
}

Status sys_getcpu(UserPtr<u32> cpu, UserPtr<u32> node, UserPtr<void>) {
    if (cpu) TRY(cpu.write(hal::cpu_id()));
    if (node) TRY(node.write(0));
    return 0;
}

}  // namespace kiln::syscalls
