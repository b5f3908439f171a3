// File descriptors.
#pragma once

#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

/// A process's descriptor table. Look-up takes no sleeping lock; a descriptor's File stays alive
/// through the reference that get() returns. Files are dropped with no lock held.
class FdTable : public RefCounted<FdTable> {
public:
    static Result<Ref<FdTable>> create();
    ~FdTable();

    /// EBADF.
    Result<Ref<vfs::File>> get(int fd) {
        sync::SpinGuard guard(lock_);
        if (static_cast<unsigned>(fd) >= capacity_ || !files_[fd]) return Errno::kEBADF;
        return Ref<vfs::File>(files_[fd]);
    }
    /// The lowest free number ≥ `minimum`. EMFILE at `limit` (RLIMIT_NOFILE), ENOMEM.
    Result<int> install(Ref<vfs::File> file, bool close_on_exec, int minimum, std::uint64_t limit);
    /// dup2/dup3: replaces what was at `fd`. EBADF outside the limit.
    Result<void> install_at(int fd, Ref<vfs::File> file, bool close_on_exec, std::uint64_t limit);
    Result<void> close(int fd);
    /// `last` is inclusive. Numbers without a file are skipped.
    void close_range(unsigned first, unsigned last, bool only_set_cloexec);
    void close_all();
    void close_on_exec();
    Result<bool> close_on_exec_flag(int fd);
    Result<void> set_close_on_exec(int fd, bool on);
    /// For /proc/PID/fd: the next open descriptor ≥ `from`, −1 if none.
    int next_open(int from);
    /// Numbers there is room for now (FDSize).
    std::uint32_t capacity() {
        sync::SpinGuard guard(lock_);
        return capacity_;
    }
    /// What fork(2) and close_range(CLOSE_RANGE_UNSHARE) want: a table of its own with the same
    /// files.
    Result<Ref<FdTable>> clone();

    /// Linux's fs.nr_open: no number reaches it, whatever the limit.
    static constexpr std::uint32_t kMaxDescriptors = 1u << 20;

private:
    FdTable() = default;
    /// Makes room for `fd`. Takes lock_ itself. ENOMEM.
    Result<void> grow(std::uint32_t fd);
    vfs::File* take_locked(std::uint32_t fd);
    std::uint32_t find_free_locked(std::uint32_t from) const;
    void put_locked(std::uint32_t fd, vfs::File* file, bool close_on_exec);

    sync::SpinLock lock_{sync::LockRank::kTaskTable};
    // One heap block: files, then the two bit maps.
    vfs::File** files_ = nullptr;
    std::uint64_t* open_ = nullptr;
    std::uint64_t* cloexec_ = nullptr;
    std::uint32_t capacity_ = 0;     ///< a multiple of 64
    std::uint32_t lowest_free_ = 0;  ///< no free number below it
};

}  // namespace kiln::posix
