// File descriptors.
#pragma once

#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

/// A process's descriptor table. Look-up takes no sleeping lock; a descriptor's File stays alive
/// through the reference that get() returns.
class FdTable : public RefCounted<FdTable> {
public:
    static Result<Ref<FdTable>> create();
    ~FdTable();

    /// EBADF.
    Result<Ref<vfs::File>> get(int fd);
    /// The lowest free number ≥ `minimum`. EMFILE at `limit` (RLIMIT_NOFILE).
    Result<int> install(Ref<vfs::File> file, bool close_on_exec, int minimum, std::uint64_t limit);
    /// dup2/dup3: replaces what was at `fd`. EBADF outside the limit.
    Result<void> install_at(int fd, Ref<vfs::File> file, bool close_on_exec, std::uint64_t limit);
    Result<void> close(int fd);
    void close_range(unsigned first, unsigned last, bool only_set_cloexec);
    void close_all();
    void close_on_exec();
    Result<bool> close_on_exec_flag(int fd);
    Result<void> set_close_on_exec(int fd, bool on);
    /// For /proc/PID/fd: the next open descriptor ≥ `from`, −1 if none.
    int next_open(int from);

private:
    FdTable() = default;
    struct Entries;
    Entries* entries_ = nullptr;
    sync::SpinLock lock_{sync::LockRank::kTaskTable};
};

}  // namespace kiln::posix
