// The files of /proc that belong to no process; proc(5) and Linux's
// Documentation/admin-guide/sysctl.
#include <kiln/abi/linux/system_name.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/random/random.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/vfs/device.hpp>
#include <kiln/vfs/file_system.hpp>

#include "cpuinfo.hpp"
#include "text.hpp"

namespace kiln::fs {
namespace {

constexpr std::uint64_t kTicksPerSecond = 100;  // USER_HZ
std::uint64_t ticks(std::uint64_t ns) { return ns / (kNsPerSec / kTicksPerSecond); }

Result<void> format_meminfo(vfs::TextSink& out) {
    const mem::PageStats pages = mem::page_stats();
    const mem::HeapStats heap = mem::heap_stats();
    const std::uint64_t total = (pages.total - pages.reserved) * 4;
    const std::uint64_t free = pages.free * 4;
    print(out,
          "MemTotal:       {:8} kB\nMemFree:        {:8} kB\nMemAvailable:   {:8} kB\n"
          "Buffers:        {:8} kB\nCached:         {:8} kB\nSwapCached:     {:8} kB\n",
          total, free, free, 0u, 0u, 0u);
    print(out,
          "SwapTotal:      {:8} kB\nSwapFree:       {:8} kB\nShmem:          {:8} kB\n"
          "Slab:           {:8} kB\nSReclaimable:   {:8} kB\nSUnreclaim:     {:8} kB\n",
          0u, 0u, 0u, heap.footprint_bytes / 1024, 0u, heap.footprint_bytes / 1024);
    print(out,
          "CommitLimit:    {:8} kB\nCommitted_AS:   {:8} kB\nHugePages_Total:{:8}\n"
          "HugePages_Free: {:8}\nHugepagesize:   {:8} kB\n",
          total, total - free, 0u, 0u, 2048u);
    return {};
}

Result<void> format_stat(vfs::TextSink& out) {
    const std::uint64_t now = time::monotonic_ns();
    const std::uint64_t idle = sched::idle_time_ns();
    const std::uint64_t busy = now > idle ? now - idle : 0;
    // User and kernel time are not told apart: all that is not idle counts as user time.
    print(out, "cpu  {} 0 0 {} 0 0 0 0 0 0\ncpu0 {} 0 0 {} 0 0 0 0 0 0\n", ticks(busy), ticks(idle),
          ticks(busy), ticks(idle));
    print(out, "ctxt 0\nbtime {}\nprocesses 1\nprocs_running {}\nprocs_blocked 0\n",
          (time::realtime_ns() - now) / kNsPerSec, sched::runnable_count());
    return {};
}

Result<void> format_uptime(vfs::TextSink& out) {
    const std::uint64_t up = time::monotonic_ns() / 10'000'000;
    const std::uint64_t idle = sched::idle_time_ns() / 10'000'000;
    print(out, "{}.{:02} {}.{:02}\n", up / 100, up % 100, idle / 100, idle % 100);
    return {};
}

// Linux averages over 1, 5 and 15 minutes; here it is what runs now.
Result<void> format_loadavg(vfs::TextSink& out) {
    const std::uint32_t running = sched::runnable_count();
    print(out, "{}.00 {}.00 {}.00 {}/{} 1\n", running, running, running, running,
          sched::thread_count());
    return {};
}

Result<void> format_version(vfs::TextSink& out) {
    print(out, "{} version {} (kiln) (gcc) {}\n", abi::kSystemName, abi::kSystemRelease,
          abi::kSystemVersion);
    return {};
}

Result<void> format_filesystems(vfs::TextSink& out) {
    vfs::for_each_file_system_type(
        [](const vfs::FileSystemType& type, void* cookie) {
            print(*static_cast<vfs::TextSink*>(cookie), "nodev\t{}\n", type.name);
        },
        &out);
    return {};
}

Result<void> format_cmdline(vfs::TextSink& out) {
    print(out, "{}\n", hal::boot_info().command_line);
    return {};
}

void write_uuid(std::span<const std::byte, 16> bytes, vfs::TextSink& out) {
    std::uint8_t b[16];
    for (unsigned i = 0; i < 16; i++) b[i] = static_cast<std::uint8_t>(bytes[i]);
    b[6] = static_cast<std::uint8_t>((b[6] & 0x0f) | 0x40);  // RFC 4122, 4.4
    b[8] = static_cast<std::uint8_t>((b[8] & 0x3f) | 0x80);
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out.write("-");
        print(out, "{:02x}", b[i]);
    }
    out.write("\n");
}

Result<void> format_uuid(vfs::TextSink& out) {
    std::byte bytes[16];
    random::fill(bytes);
    write_uuid(bytes, out);
    return {};
}

// The same for the life of the machine.
Result<void> format_boot_id(vfs::TextSink& out) {
    static constinit sync::SpinLock lock{sync::LockRank::kTerminal};
    static constinit std::byte id[16] = {};
    static constinit bool made = false;
    std::byte fresh[16];
    std::byte copy[16];
    random::fill(fresh);
    {
        sync::SpinGuard guard(lock);
        for (unsigned i = 0; i < 16; i++) {
            if (!made) id[i] = fresh[i];
            copy[i] = id[i];
        }
        made = true;
    }
    write_uuid(copy, out);
    return {};
}

template <const char* Text>
Result<void> constant(vfs::TextSink& out) {
    out.write(Text);
    return {};
}
Result<void> format_ostype(vfs::TextSink& out) {
    print(out, "{}\n", abi::kSystemName);
    return {};
}
Result<void> format_osrelease(vfs::TextSink& out) {
    print(out, "{}\n", abi::kSystemRelease);
    return {};
}
Result<void> format_osversion(vfs::TextSink& out) {
    print(out, "{}\n", abi::kSystemVersion);
    return {};
}
Result<void> format_file_max(vfs::TextSink& out) {
    print(out, "{}\n", INT64_MAX);
    return {};
}

// Limits of this kernel, or Linux's defaults where it has none of its own.
constexpr char kPidMax[] = "32768\n";
constexpr char kThreadsMax[] = "31000\n";
constexpr char kNgroupsMax[] = "64\n";
constexpr char kCapLastCap[] = "40\n";
constexpr char kZero[] = "0\n";
constexpr char kOne[] = "1\n";
constexpr char kTwo[] = "2\n";
constexpr char kMaxMapCount[] = "65530\n";
constexpr char kMmapMinAddr[] = "65536\n";
constexpr char kNrOpen[] = "1048576\n";
constexpr char kPipeMaxSize[] = "1048576\n";
constexpr char kSomaxconn[] = "4096\n";
constexpr char kSwappiness[] = "60\n";
constexpr char kOvercommitRatio[] = "50\n";
constexpr char kShmmax[] = "18446744073692774399\n";
constexpr char kEntropy[] = "256\n";

KILN_PROC_FILE(meminfo, "meminfo", 0444, format_meminfo, nullptr);
KILN_PROC_FILE(stat, "stat", 0444, format_stat, nullptr);
KILN_PROC_FILE(uptime, "uptime", 0444, format_uptime, nullptr);
KILN_PROC_FILE(loadavg, "loadavg", 0444, format_loadavg, nullptr);
KILN_PROC_FILE(version, "version", 0444, format_version, nullptr);
KILN_PROC_FILE(filesystems, "filesystems", 0444, format_filesystems, nullptr);
KILN_PROC_FILE(cmdline, "cmdline", 0444, format_cmdline, nullptr);
KILN_PROC_FILE(cpuinfo, "cpuinfo", 0444, format_cpuinfo, nullptr);
KILN_PROC_FILE(boot_id, "sys/kernel/random/boot_id", 0444, format_boot_id, nullptr);
KILN_PROC_FILE(uuid, "sys/kernel/random/uuid", 0444, format_uuid, nullptr);
KILN_PROC_FILE(entropy_avail, "sys/kernel/random/entropy_avail", 0444, constant<kEntropy>, nullptr);
KILN_PROC_FILE(ostype, "sys/kernel/ostype", 0444, format_ostype, nullptr);
KILN_PROC_FILE(osrelease, "sys/kernel/osrelease", 0444, format_osrelease, nullptr);
KILN_PROC_FILE(osversion, "sys/kernel/version", 0444, format_osversion, nullptr);
KILN_PROC_FILE(pid_max, "sys/kernel/pid_max", 0444, constant<kPidMax>, nullptr);
KILN_PROC_FILE(threads_max, "sys/kernel/threads-max", 0444, constant<kThreadsMax>, nullptr);
KILN_PROC_FILE(ngroups_max, "sys/kernel/ngroups_max", 0444, constant<kNgroupsMax>, nullptr);
KILN_PROC_FILE(cap_last_cap, "sys/kernel/cap_last_cap", 0444, constant<kCapLastCap>, nullptr);
KILN_PROC_FILE(aslr, "sys/kernel/randomize_va_space", 0444, constant<kTwo>, nullptr);
KILN_PROC_FILE(shmmax, "sys/kernel/shmmax", 0444, constant<kShmmax>, nullptr);
KILN_PROC_FILE(overcommit, "sys/vm/overcommit_memory", 0444, constant<kOne>, nullptr);
KILN_PROC_FILE(overcommit_ratio, "sys/vm/overcommit_ratio", 0444, constant<kOvercommitRatio>,
               nullptr);
KILN_PROC_FILE(max_map_count, "sys/vm/max_map_count", 0444, constant<kMaxMapCount>, nullptr);
KILN_PROC_FILE(mmap_min_addr, "sys/vm/mmap_min_addr", 0444, constant<kMmapMinAddr>, nullptr);
KILN_PROC_FILE(swappiness, "sys/vm/swappiness", 0444, constant<kSwappiness>, nullptr);
KILN_PROC_FILE(file_max, "sys/fs/file-max", 0444, format_file_max, nullptr);
KILN_PROC_FILE(nr_open, "sys/fs/nr_open", 0444, constant<kNrOpen>, nullptr);
KILN_PROC_FILE(pipe_max_size, "sys/fs/pipe-max-size", 0444, constant<kPipeMaxSize>, nullptr);
KILN_PROC_FILE(protected_links, "sys/fs/protected_symlinks", 0444, constant<kZero>, nullptr);
KILN_PROC_FILE(somaxconn, "sys/net/core/somaxconn", 0444, constant<kSomaxconn>, nullptr);

}  // namespace
}  // namespace kiln::fs
