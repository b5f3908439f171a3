// The system as a whole: names, memory, limits, usage, randomness, power.
#include <cstring>

#include <kiln/abi/linux/machine.hpp>
#include <kiln/abi/linux/system_name.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/random/random.hpp>
#include <kiln/time/clock.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

void put(char (&field)[65], std::string_view text) { text.copy(field, sizeof(field) - 1); }

Status set_name(UserString name, int length, void (*set)(std::string_view)) {
    constexpr int kMost = 64;  // __NEW_UTS_LEN
    if (!this_process().credentials().has(posix::kCapSysAdmin)) return Errno::kEPERM;
    if (length < 0 || length > kMost) return Errno::kEINVAL;
    char text[kMost];
    TRY(name.copy_in(text, static_cast<std::size_t>(length)));
    set({text, static_cast<std::size_t>(length)});
    return 0;
}

/// Scale of sysinfo's load averages (SI_LOAD_SHIFT).
constexpr unsigned kLoadShift = 16;

constexpr u64 kTicksPerSecond = 100;  // USER_HZ
i64 to_ticks(u64 ns) { return static_cast<i64>(ns / (kNsPerSec / kTicksPerSecond)); }

}  // namespace

Status sys_uname(UserPtr<UtsName> out) {
    UtsName u{};
    put(u.sysname, kSystemName);
    put(u.nodename, posix::hostname().view());
    put(u.release, kSystemRelease);
    put(u.version, kSystemVersion);
    put(u.machine, kMachineName);
    put(u.domainname, posix::domainname().view());
    TRY(out.write(u));
    return 0;
}

Status sys_sysinfo(UserPtr<SysInfo> out) {
    const mem::PageStats pages = mem::page_stats();
    SysInfo s{};
    s.uptime = static_cast<i64>(time::monotonic_ns() / kNsPerSec);
    // No average is kept: the load now stands for all three.
    for (auto& load : s.loads) load = u64{sched::runnable_count()} << kLoadShift;
    s.totalram = pages.total * kPageSize;
    s.freeram = pages.free * kPageSize;
    s.procs = static_cast<std::uint16_t>(sched::thread_count());
    s.mem_unit = 1;
    TRY(out.write(s));
    return 0;
}

Status sys_sethostname(UserString name, int length) {
    return set_name(name, length, posix::set_hostname);
}
Status sys_setdomainname(UserString name, int length) {
    return set_name(name, length, posix::set_domainname);
}

Status sys_getrandom(UserPtr<void> buffer, std::size_t count, u32 flags) {
    constexpr u32 kNonblock = 1, kRandom = 2, kInsecure = 4;
    if (flags & ~(kNonblock | kRandom | kInsecure)) return Errno::kEINVAL;
    if ((flags & (kRandom | kInsecure)) == (kRandom | kInsecure)) return Errno::kEINVAL;
    constexpr std::size_t kMost = 0x7fffffff;  // INT_MAX, as Linux cuts it
    if (count > kMost) count = kMost;
    std::byte chunk[256];
    std::size_t done = 0;
    while (done < count) {
        const std::size_t n = count - done < sizeof(chunk) ? count - done : sizeof(chunk);
        random::fill({chunk, n});
        if (!UserPtr<std::byte>(buffer.address() + done).copy_out(chunk, n).ok()) break;
        done += n;
        // getrandom(2): large requests can be interrupted by a signal.
        if (done < count && this_task().thread().is_interrupted()) break;
    }
    std::memset(chunk, 0, sizeof(chunk));
    if (done == 0 && count != 0) return Errno::kEFAULT;
    return static_cast<i64>(done);
}

Status sys_reboot(u32 magic1, u32 magic2, u32 command, UserPtr<void>) {
    if (!this_process().credentials().has(posix::kCapSysBoot)) return Errno::kEPERM;
    if (magic1 != kLINUX_REBOOT_MAGIC1 ||
        (magic2 != kLINUX_REBOOT_MAGIC2 && magic2 != kLINUX_REBOOT_MAGIC2A &&
         magic2 != kLINUX_REBOOT_MAGIC2B && magic2 != kLINUX_REBOOT_MAGIC2C))
        return Errno::kEINVAL;
    switch (command) {
        // There is no keyboard to press Ctrl-Alt-Del on.
        case kLINUX_REBOOT_CMD_CAD_ON:
        case kLINUX_REBOOT_CMD_CAD_OFF: return 0;
        case kLINUX_REBOOT_CMD_RESTART:
        case kLINUX_REBOOT_CMD_HALT:
        case kLINUX_REBOOT_CMD_POWER_OFF:
            // The machine is its program: both end.
            this_process().terminate(0);
            __builtin_unreachable();
        default: return Errno::kEINVAL;
    }
}

Status sys_getrlimit(u32 resource, UserPtr<Rlimit64> limit) {
    if (resource >= posix::kResourceLimits) return Errno::kEINVAL;
    const posix::ResourceLimit now = this_process().limit(resource);
    TRY(limit.write({now.soft, now.hard}));
    return 0;
}

Status sys_setrlimit(u32 resource, UserPtr<const Rlimit64> limit) {
    const Rlimit64 wanted = TRY(limit.read());
    TRY(this_process().set_limit(resource, {wanted.rlim_cur, wanted.rlim_max}));
    return 0;
}

Status sys_prlimit64(int pid, u32 resource, UserPtr<const Rlimit64> new_limit,
                     UserPtr<Rlimit64> old_limit) {
    if (resource >= posix::kResourceLimits) return Errno::kEINVAL;
    Rlimit64 wanted{};
    if (new_limit) wanted = TRY(new_limit.read());
    Ref<posix::Process> process =
        pid == 0 ? Ref<posix::Process>(&this_process()) : posix::find_process(pid);
    if (!process) return Errno::kESRCH;
    const posix::ResourceLimit old = process->limit(resource);
    if (new_limit) TRY(process->set_limit(resource, {wanted.rlim_cur, wanted.rlim_max}));
    if (old_limit) TRY(old_limit.write({old.soft, old.hard}));
    return 0;
}

Status sys_getrusage(int who, UserPtr<Rusage> usage) {
    Rusage u{};
    posix::Process& process = this_process();
    const sched::Thread& thread = this_task().thread();
    switch (who) {
        case kRUSAGE_CHILDREN: break;
        case kRUSAGE_SELF: {
            u64 voluntary, involuntary;
            process.context_switches(&voluntary, &involuntary);
            u.ru_utime = to_timeval(process.cpu_time_ns());
            u.ru_nvcsw = static_cast<i64>(voluntary);
            u.ru_nivcsw = static_cast<i64>(involuntary);
            u.ru_minflt = static_cast<i64>(process.address_space().stats().minor_faults);
            break;
        }
        case kRUSAGE_THREAD:
            u.ru_utime = to_timeval(thread.cpu_time_ns());
            u.ru_nvcsw = static_cast<i64>(thread.voluntary_switches());
            u.ru_nivcsw = static_cast<i64>(thread.involuntary_switches());
            break;
        default: return Errno::kEINVAL;
    }
    if (who != kRUSAGE_CHILDREN)
        u.ru_maxrss = static_cast<i64>(process.address_space().stats().peak_resident_pages *
                                       (kPageSize / 1_KiB));
    TRY(usage.write(u));
    return 0;
}

Status sys_times(UserPtr<Tms> times) {
    if (times) TRY(times.write({to_ticks(this_process().cpu_time_ns()), 0, 0, 0}));
    return to_ticks(time::monotonic_ns());
}

}  // namespace kiln::syscalls
