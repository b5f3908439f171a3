// procfs: what procfs must be told about processes. posix registers a ProcessView; files that do not
// belong to a process register themselves (KILN_PROC_FILE in kiln/vfs/device.hpp).
#pragma once

#include <cstdint>
#include <span>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/path.hpp>
#include <kiln/vm/address_space.hpp>

namespace kiln::fs {

/// What stat, status and their kin show of one task; proc(5) explains each.
struct ProcTask {
    std::int32_t pid = 0;  ///< of the process (Tgid)
    std::int32_t tid = 0;
    std::int32_t parent_pid = 0;
    std::int32_t process_group = 0;
    std::int32_t session = 0;
    std::uint32_t terminal = 0;  ///< device number, 0: none
    char name[16] = {};          ///< comm, NUL-terminated
    char state = 'R';            ///< R S D T Z
    std::uint32_t threads = 1;
    std::uint32_t uid[4] = {};  ///< real, effective, saved, file system
    std::uint32_t gid[4] = {};
    std::uint32_t group_count = 0;
    std::uint32_t groups[64] = {};
    std::uint64_t capabilities[5] = {};  ///< inheritable, permitted, effective, bounding, ambient
    bool no_new_privileges = false;
    std::uint64_t pending = 0;  ///< of the task
    std::uint64_t shared_pending = 0;
    std::uint64_t blocked = 0;
    std::uint64_t ignored = 0;
    std::uint64_t caught = 0;
    std::uint32_t queued_signals = 0;
    std::uint64_t user_time_ns = 0;
    std::uint64_t system_time_ns = 0;
    std::uint64_t start_time_ns = 0;  ///< since boot
    std::uint64_t voluntary_switches = 0;
    std::uint64_t involuntary_switches = 0;
    std::int8_t nice = 0;
    std::uint8_t policy = 0;
    std::uint8_t rt_priority = 0;
    std::uint32_t last_cpu = 0;
    std::uint64_t affinity = 1;
    std::uint32_t umask = 022;
    std::uint32_t fd_slots = 64;  ///< FDSize
};

/// Where the loader put things in a process's address space.
struct ProcImage {
    VirtAddr arg_begin, arg_end, env_begin, env_end, auxv_begin, auxv_end;
    VirtAddr code_begin, code_end, data_begin, data_end, stack_begin, brk_begin;
};

/// Implemented by posix. `pid` and `tid` come from a name or from next_…(); ESRCH when there is none
/// (any more). Callable from any thread without locks held.
class ProcessView {
public:
    /// Of the running thread; 0 in kernel threads.
    virtual std::int32_t current_pid() = 0;
    virtual std::int32_t current_tid() = 0;
    /// The lowest number above `after`, −1 if none.
    virtual std::int32_t next_pid(std::int32_t after) = 0;
    virtual std::int32_t next_tid(std::int32_t pid, std::int32_t after) = 0;
    /// The main task of `pid`, or any task `tid` of it.
    virtual Result<void> describe(std::int32_t pid, std::int32_t tid, ProcTask* out) = 0;
    virtual Result<Ref<vm::AddressSpace>> address_space(std::int32_t pid) = 0;
    virtual Result<ProcImage> image(std::int32_t pid) = 0;
    /// Reads the process's memory; returns the bytes read (fewer at an unmapped page).
    virtual Result<std::size_t> read_memory(std::int32_t pid, VirtAddr from,
                                            std::span<char> out) = 0;
    virtual Result<vfs::Path> executable(std::int32_t pid) = 0;
    virtual Result<vfs::Path> cwd(std::int32_t pid) = 0;
    virtual Result<vfs::Path> root(std::int32_t pid) = 0;
    /// The lowest open descriptor ≥ `from`, −1 if none.
    virtual int next_fd(std::int32_t pid, int from) = 0;
    /// EBADF.
    virtual Result<Ref<vfs::File>> file(std::int32_t pid, int fd) = 0;
    virtual bool is_close_on_exec(std::int32_t pid, int fd) = 0;
    /// Soft and hard limit; RLIMIT_ numbers, UINT64_MAX: unlimited.
    struct Limit {
        std::uint64_t soft;
        std::uint64_t hard;
    };
    virtual Result<Limit> limit(std::int32_t pid, unsigned resource) = 0;
    /// /proc/PID/comm written. EPERM unless the task is of the caller's process.
    virtual Result<void> set_name(std::int32_t pid, std::int32_t tid, std::string_view name) = 0;

protected:
    ~ProcessView() = default;
};
/// Once; `view` stays valid for ever. Without one there are no processes to see.
void set_process_view(ProcessView* view);

}  // namespace kiln::fs
