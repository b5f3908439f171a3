#include "process_files.hpp"

#include <algorithm>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/abi/linux/stat.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/file_system.hpp>
#include <kiln/vfs/path.hpp>

#include "text.hpp"

namespace kiln::fs {
namespace {

constexpr std::uint64_t kTicksPerSecond = 100;  // USER_HZ
std::uint64_t ticks(std::uint64_t ns) { return ns / (kNsPerSec / kTicksPerSecond); }

std::string_view name_of(const ProcTask& task) { return task.name; }

vm::AddressSpace::Stats memory_of(ProcessView& view, std::int32_t pid) {
    const auto space = view.address_space(pid);
    return space.ok() ? space.value()->stats() : vm::AddressSpace::Stats{};
}

Result<void> format_stat(ProcessView& view, std::int32_t pid, std::int32_t tid,
                         vfs::TextSink& out) {
    ProcTask t;
    TRY(view.describe(pid, tid, &t));
    const ProcImage image = TRY(view.image(pid));
    const auto memory = memory_of(view, pid);
    const auto limit = view.limit(pid, 9 - 4);  // RLIMIT_RSS 5
    print(out, "{} ({}) {} {} {} {} {} -1 4194304 {} 0 0 0 {} {} 0 0 {} {} {} 0 {} {} {} {} ",
          t.tid, name_of(t), t.state, t.parent_pid, t.process_group, t.session, t.terminal,
          memory.minor_faults, ticks(t.user_time_ns), ticks(t.system_time_ns), 20 + t.nice, t.nice,
          t.threads, ticks(t.start_time_ns), memory.mapped_bytes, memory.resident_pages,
          limit.ok() ? limit.value().soft : UINT64_MAX);
    print(out, "{} {} {} 0 0 {} {} {} {} 0 0 0 17 {} {} {} 0 0 0 {} {} {} {} {} {} {} 0\n",
          image.code_begin.value, image.code_end.value, image.stack_begin.value, t.pending,
          t.blocked, t.ignored, t.caught, t.last_cpu, t.rt_priority, t.policy,
          image.data_begin.value, image.data_end.value, image.brk_begin.value,
          image.arg_begin.value, image.arg_end.value, image.env_begin.value, image.env_end.value);
    return {};
}

Result<void> format_statm(ProcessView& view, std::int32_t pid, std::int32_t, vfs::TextSink& out) {
    const auto memory = memory_of(view, pid);
    const ProcImage image = TRY(view.image(pid));
    const std::uint64_t text = page_up(image.code_end.value - image.code_begin.value) / kPageSize;
    print(out, "{} {} 0 {} 0 {} 0\n", memory.mapped_bytes / kPageSize, memory.resident_pages, text,
          memory.mapped_bytes / kPageSize - std::min(text, memory.mapped_bytes / kPageSize));
    return {};
}

std::string_view state_name(char state) {
    switch (state) {
        case 'S': return "sleeping";
        case 'D': return "disk sleep";
        case 'T': return "stopped";
        case 'Z': return "zombie";
        default: return "running";
    }
}

Result<void> format_status(ProcessView& view, std::int32_t pid, std::int32_t tid,
                           vfs::TextSink& out) {
    ProcTask t;
    TRY(view.describe(pid, tid, &t));
    const auto memory = memory_of(view, pid);
    const auto queue = view.limit(pid, 11);  // RLIMIT_SIGPENDING
    print(out, "Name:\t{}\nUmask:\t{}{}{}{}\nState:\t{} ({})\nTgid:\t{}\nNgid:\t0\nPid:\t{}\n",
          name_of(t), t.umask >> 9 & 7, t.umask >> 6 & 7, t.umask >> 3 & 7, t.umask & 7, t.state,
          state_name(t.state), t.pid, t.tid);
    print(out, "PPid:\t{}\nTracerPid:\t0\nUid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\n",
          t.parent_pid, t.uid[0], t.uid[1], t.uid[2], t.uid[3], t.gid[0], t.gid[1], t.gid[2],
          t.gid[3]);
    print(out, "FDSize:\t{}\nGroups:\t", t.fd_slots);
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(t.group_count, 64); i++)
        print(out, "{} ", t.groups[i]);
    print(out, "\nNStgid:\t{}\nNSpid:\t{}\nNSpgid:\t{}\nNSsid:\t{}\n", t.pid, t.tid,
          t.process_group, t.session);
    const std::uint64_t size_kb = memory.mapped_bytes / 1024;
    const std::uint64_t resident_kb = memory.resident_pages * 4;
    print(out,
          "VmPeak:\t{:8} kB\nVmSize:\t{:8} kB\nVmLck:\t{:8} kB\nVmPin:\t{:8} kB\nVmHWM:\t{:8} "
          "kB\nVmRSS:\t{:8} kB\n",
          size_kb, size_kb, 0u, 0u, memory.peak_resident_pages * 4, resident_kb);
    print(out, "Threads:\t{}\nSigQ:\t{}/{}\n", t.threads, t.queued_signals,
          queue.ok() ? queue.value().soft : 0);
    print(out,
          "SigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\n"
          "SigCgt:\t{:016x}\n",
          t.pending, t.shared_pending, t.blocked, t.ignored, t.caught);
    print(out,
          "CapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\n"
          "CapAmb:\t{:016x}\n",
          t.capabilities[0], t.capabilities[1], t.capabilities[2], t.capabilities[3],
          t.capabilities[4]);
    print(out, "NoNewPrivs:\t{}\nSeccomp:\t0\nSeccomp_filters:\t0\n", t.no_new_privileges ? 1 : 0);
    print(out, "Cpus_allowed:\t{:x}\nCpus_allowed_list:\t", t.affinity);
    bool first = true;
    for (unsigned cpu = 0; cpu < 64; cpu++) {
        if ((t.affinity >> cpu & 1) == 0) continue;
        unsigned last = cpu;
        while (last < 63 && (t.affinity >> (last + 1) & 1) != 0) last++;
        if (!first) out.write(",");
        first = false;
        if (last == cpu) {
            print(out, "{}", cpu);
        } else {
            print(out, "{}-{}", cpu, last);
        }
        cpu = last;
    }
    print(out,
          "\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t{}\n"
          "nonvoluntary_ctxt_switches:\t{}\n",
          t.voluntary_switches, t.involuntary_switches);
    return {};
}

Result<void> format_memory(ProcessView& view, std::int32_t pid, VirtAddr begin, VirtAddr end,
                           vfs::TextSink& out) {
    char chunk[512];
    while (begin < end) {
        const std::size_t wanted = std::min<std::size_t>(end - begin, sizeof(chunk));
        const std::size_t n = TRY(view.read_memory(pid, begin, {chunk, wanted}));
        if (n == 0) break;
        out.write({chunk, n});
        begin = begin + n;
    }
    return {};
}

Result<void> format_cmdline(ProcessView& view, std::int32_t pid, std::int32_t, vfs::TextSink& out) {
    const ProcImage image = TRY(view.image(pid));
    return format_memory(view, pid, image.arg_begin, image.arg_end, out);
}
Result<void> format_environ(ProcessView& view, std::int32_t pid, std::int32_t, vfs::TextSink& out) {
    const ProcImage image = TRY(view.image(pid));
    return format_memory(view, pid, image.env_begin, image.env_end, out);
}
Result<void> format_auxv(ProcessView& view, std::int32_t pid, std::int32_t, vfs::TextSink& out) {
    const ProcImage image = TRY(view.image(pid));
    return format_memory(view, pid, image.auxv_begin, image.auxv_end, out);
}

Result<void> format_comm(ProcessView& view, std::int32_t pid, std::int32_t tid,
                         vfs::TextSink& out) {
    ProcTask t;
    TRY(view.describe(pid, tid, &t));
    print(out, "{}\n", name_of(t));
    return {};
}
Result<void> store_comm(ProcessView& view, std::int32_t pid, std::int32_t tid,
                        std::string_view text) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    return view.set_name(pid, tid, text);
}

// The label or file of a mapping, in the columns of Linux's show_map_vma().
bool format_mapping(const vm::MappingInfo& m, void* cookie) {
    auto& out = *static_cast<vfs::TextSink*>(cookie);
    const vm::MappingName* name = m.object ? m.object->name() : nullptr;
    const std::uint64_t device = name ? name->device_number() : 0;
    char line[128];
    std::size_t n = format_to(
        line, "{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {}", m.begin.value, m.end.value,
        (m.prot & vm::kProtRead) != 0 ? 'r' : '-', (m.prot & vm::kProtWrite) != 0 ? 'w' : '-',
        (m.prot & vm::kProtExec) != 0 ? 'x' : '-', m.sharing == vm::Sharing::kShared ? 's' : 'p',
        name ? m.offset : 0, abi::device_major(device), abi::device_minor(device),
        name ? name->inode_number() : 0);
    char text[512];
    std::string_view label;
    if (m.label) {
        label = m.label;
    } else if (name) {
        label = {text, name->format(text, sizeof(text))};
    } else if (m.object && m.sharing == vm::Sharing::kShared) {
        label = "/dev/zero (deleted)";  // as shared anonymous memory shows on Linux
    }
    constexpr std::size_t kNameColumn = 73;
    if (!label.empty()) {
        while (n < kNameColumn && n < sizeof(line)) line[n++] = ' ';
    }
    out.write({line, n});
    out.write(label);
    out.write("\n");
    return true;
}

Result<void> format_maps(ProcessView& view, std::int32_t pid, std::int32_t, vfs::TextSink& out) {
    const Ref<vm::AddressSpace> space = TRY(view.address_space(pid));
    space->for_each_mapping(format_mapping, &out);
    return {};
}

struct LimitRow {
    std::string_view name;
    unsigned resource;
    std::string_view unit;
};
// Order and words of Linux's fs/proc/base.c, lnames.
constexpr LimitRow kLimits[] = {
    {"Max cpu time", 0, "seconds"},     {"Max file size", 1, "bytes"},
    {"Max data size", 2, "bytes"},      {"Max stack size", 3, "bytes"},
    {"Max core file size", 4, "bytes"}, {"Max resident set", 5, "bytes"},
    {"Max processes", 6, "processes"},  {"Max open files", 7, "files"},
    {"Max locked memory", 8, "bytes"},  {"Max address space", 9, "bytes"},
    {"Max file locks", 10, "locks"},    {"Max pending signals", 11, "signals"},
    {"Max msgqueue size", 12, "bytes"}, {"Max nice priority", 13, ""},
    {"Max realtime priority", 14, ""},  {"Max realtime timeout", 15, "us"},
};

Result<void> format_limits(ProcessView& view, std::int32_t pid, std::int32_t, vfs::TextSink& out) {
    print(out, "{:25} {:20} {:20} {:10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (const LimitRow& row : kLimits) {
        const ProcessView::Limit limit = TRY(view.limit(pid, row.resource));
        const auto text = [](std::uint64_t value, std::span<char> room) -> std::string_view {
            if (value == UINT64_MAX) return "unlimited";
            return {room.data(), format_to(room, "{}", value)};
        };
        char soft[24];
        char hard[24];
        print(out, "{:25} {:20} {:20} {:10}\n", row.name, text(limit.soft, soft),
              text(limit.hard, hard), row.unit);
    }
    return {};
}

// -- mounts ----------------------------------------------------------------------------------------

std::string_view mount_place(const vfs::MountInfo& info, std::span<char> room) {
    if (!info.where) return "/";
    const Result<std::size_t> n = info.where->format(room, vfs::root_path());
    return n.ok() ? std::string_view(room.data(), n.value()) : "?";
}

void write_mount_flags(const vfs::MountInfo& info, vfs::TextSink& out) {
    const bool read_only = (info.flags & abi::kMS_RDONLY) != 0 || info.fs->is_read_only();
    out.write(read_only ? "ro" : "rw");
    if ((info.flags & abi::kMS_NOSUID) != 0) out.write(",nosuid");
    if ((info.flags & abi::kMS_NODEV) != 0) out.write(",nodev");
    if ((info.flags & abi::kMS_NOEXEC) != 0) out.write(",noexec");
    out.write(",relatime");
}

Result<void> format_mounts(ProcessView&, std::int32_t, std::int32_t, vfs::TextSink& out) {
    vfs::for_each_mount(
        [](const vfs::MountInfo& info, void* cookie) {
            auto& sink = *static_cast<vfs::TextSink*>(cookie);
            char place[256];
            print(sink, "{} {} {} ", info.source, mount_place(info, place), info.fs->type_name());
            write_mount_flags(info, sink);
            sink.write(info.fs->options());
            sink.write(" 0 0\n");
            return true;
        },
        &out);
    return {};
}

Result<void> format_mountinfo(ProcessView&, std::int32_t, std::int32_t, vfs::TextSink& out) {
    vfs::for_each_mount(
        [](const vfs::MountInfo& info, void* cookie) {
            auto& sink = *static_cast<vfs::TextSink*>(cookie);
            char place[256];
            const std::uint64_t device = info.fs->device_number();
            print(sink, "{} {} {}:{} / {} ", info.id, info.parent_id, abi::device_major(device),
                  abi::device_minor(device), mount_place(info, place));
            write_mount_flags(info, sink);
            print(sink, " - {} {} {}", info.fs->type_name(), info.source,
                  info.fs->is_read_only() ? "ro" : "rw");
            sink.write(info.fs->options());
            sink.write("\n");
            return true;
        },
        &out);
    return {};
}

// -- what is the same for everybody -----------------------------------------------------------------

template <const char* Text>
Result<void> format_constant(ProcessView&, std::int32_t, std::int32_t, vfs::TextSink& out) {
    out.write(Text);
    return {};
}
constexpr char kCgroup[] = "0::/\n";
constexpr char kZeroLine[] = "0\n";
constexpr char kPersonality[] = "00000000\n";
constexpr char kIdMap[] = "         0          0 4294967295\n";  // no user namespace but the first
constexpr char kSetgroups[] = "allow\n";
constexpr char kLoginUid[] = "4294967295\n";  // nobody logged in

constexpr ProcessFile kFiles[] = {
    {"auxv", 0400, format_auxv, nullptr},
    {"cgroup", 0444, format_constant<kCgroup>, nullptr},
    {"cmdline", 0444, format_cmdline, nullptr},
    {"comm", 0644, format_comm, store_comm},
    {"environ", 0400, format_environ, nullptr},
    {"gid_map", 0444, format_constant<kIdMap>, nullptr},
    {"limits", 0444, format_limits, nullptr},
    {"loginuid", 0444, format_constant<kLoginUid>, nullptr},
    {"maps", 0444, format_maps, nullptr},
    {"mountinfo", 0444, format_mountinfo, nullptr},
    {"mounts", 0444, format_mounts, nullptr},
    {"oom_score", 0444, format_constant<kZeroLine>, nullptr},
    {"oom_score_adj", 0444, format_constant<kZeroLine>, nullptr},
    {"personality", 0400, format_constant<kPersonality>, nullptr},
    {"setgroups", 0444, format_constant<kSetgroups>, nullptr},
    {"stat", 0444, format_stat, nullptr},
    {"statm", 0444, format_statm, nullptr},
    {"status", 0444, format_status, nullptr},
    {"uid_map", 0444, format_constant<kIdMap>, nullptr},
    {"wchan", 0444, format_constant<kZeroLine>, nullptr},
};

}  // namespace

std::span<const ProcessFile> process_files() { return kFiles; }

Result<void> format_fdinfo(ProcessView& view, std::int32_t pid, int fd, vfs::TextSink& out) {
    const Ref<vfs::File> file = TRY(view.file(pid, fd));
    const std::uint64_t position = file->position();
    std::uint32_t flags = file->flags();
    if (view.is_close_on_exec(pid, fd)) flags |= abi::kO_CLOEXEC;
    char octal[12];
    std::size_t at = sizeof(octal);
    do {
        octal[--at] = static_cast<char>('0' + (flags & 7));
        flags >>= 3;
    } while (flags != 0 && at > 1);
    octal[--at] = '0';
    print(out, "pos:\t{}\nflags:\t{}\nmnt_id:\t{}\nino:\t{}\n", position,
          std::string_view(octal + at, sizeof(octal) - at),
          file->path().mount() ? file->path().mount()->id() : 0,
          file->inode() ? file->inode()->number() : 0);
    return {};
}

}  // namespace kiln::fs
