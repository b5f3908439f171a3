// Open files ("open file descriptions"), what a descriptor refers to.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/vfs/inode.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::vfs {

/// poll(2) events (include/uapi/asm-generic/poll.h).
enum PollEvents : std::uint32_t {
    kPollIn = 0x1,
    kPollPri = 0x2,
    kPollOut = 0x4,
    kPollErr = 0x8,
    kPollHup = 0x10,
    kPollNval = 0x20,
    kPollRdNorm = 0x40,
    kPollRdBand = 0x80,
    kPollWrNorm = 0x100,
    kPollWrBand = 0x200,
    kPollRdHup = 0x2000,
};

/// Collects the wait queues that a poll must watch. File::poll() calls watch() for each queue when
/// a waiter is given; poll(2), select(2) and epoll implement it.
class PollWaiter {
public:
    virtual void watch(sched::WaitQueue& queue) = 0;

protected:
    ~PollWaiter() = default;
};

class File : public RefCounted<File> {
public:
    virtual ~File();
    /// Those that watch it (epoll) let go of it while it is still whole, then it is deleted.
    void last_reference_dropped();
    /// What epoll hangs on the file; guarded by epoll. Not null: the hook is called before the file's end.
    std::atomic<void*> watchers{nullptr};
    static void set_watchers_hook(void (*hook)(File& file));
    /// The open file description holds advisory locks: the other hook is called before the file's end.
    std::atomic<bool> has_locks{false};
    static void set_locks_hook(void (*hook)(File& file));

    // Each takes and gives what the system call does. Defaults answer EINVAL (read, write), ESPIPE
    // (offsets), ENOTTY (ioctl), ENODEV (memory_object), ENOTDIR (read_directory).
    /// `offset` null: the file has no position (pipes, sockets).
    virtual Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t* offset);
    virtual Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t* offset);
    virtual Result<std::uint64_t> seek(std::int64_t offset, int whence);
    virtual Result<std::int64_t> ioctl(std::uint32_t request, std::uintptr_t argument);
    /// The events that hold now; registers with `waiter` (may be null) first.
    virtual std::uint32_t poll(PollWaiter* waiter);
    virtual Result<Ref<vm::MemoryObject>> memory_object();
    virtual Result<void> read_directory(DirectorySink& sink);
    /// ftruncate(2), fallocate(2): EINVAL, ENODEV by default. The writer's access mode is checked.
    virtual Result<void> truncate(std::uint64_t size);
    virtual Result<void> allocate(int mode, std::uint64_t offset, std::uint64_t length);
    virtual Result<void> sync();
    virtual Result<Attributes> attributes();
    /// A descriptor to it was closed (posix locks, flush); not the last reference.
    virtual void descriptor_closed() {}
    /// F_SETFL changed status flags (O_NONBLOCK, O_APPEND…). EINVAL/EPERM refuses.
    virtual Result<void> flags_changed(std::uint32_t new_flags);

    /// read(2)/write(2): checks the access mode, uses and moves the position under its lock.
    Result<std::size_t> read_at_position(mem::IoBuffer& to);
    Result<std::size_t> write_at_position(mem::IoBuffer& from);
    /// pread/pwrite: ESPIPE if the file is not seekable.
    Result<std::size_t> read_at(mem::IoBuffer& to, std::uint64_t offset);
    Result<std::size_t> write_at(mem::IoBuffer& from, std::uint64_t offset);

    std::uint32_t flags() const {
        return flags_.load(std::memory_order_relaxed);
    }  ///< O_ bits as open(2) took them
    void set_flags(std::uint32_t flags) { flags_.store(flags, std::memory_order_relaxed); }
    /// O_RDONLY or O_RDWR (not O_PATH).
    bool is_readable() const {
        const std::uint32_t f = flags();
        return (f & abi::kO_PATH) == 0 && (f & abi::kO_ACCMODE) != abi::kO_WRONLY;
    }
    bool is_writable() const {
        const std::uint32_t f = flags();
        return (f & abi::kO_PATH) == 0 && (f & abi::kO_ACCMODE) != abi::kO_RDONLY;
    }
    bool is_nonblocking() const { return (flags() & abi::kO_NONBLOCK) != 0; }
    bool is_path_only() const { return (flags() & abi::kO_PATH) != 0; }
    virtual bool is_seekable() const { return false; }
    /// Where read(2) goes on, without the lock: for those who only show it.
    std::uint64_t position() const { return __atomic_load_n(&position_, __ATOMIC_RELAXED); }
    /// What kind it is for callers that need one (epoll wants an epoll file …): compare with
    /// T::kKind.
    virtual const void* kind() const { return nullptr; }

    Inode* inode() const { return path_.inode(); }  ///< null for anonymous files (pipe, eventfd)
    const Path& path() const { return path_; }
    void set_path(Path path) { path_ = std::move(path); }  ///< before others see the file
    /// As /proc/self/fd shows files without a path: "pipe:[123]", "anon_inode:[eventfd]".
    virtual std::size_t describe(std::span<char> out) const;

protected:
    static constexpr std::uint32_t kCreationFlags =
        abi::kO_CREAT | abi::kO_EXCL | abi::kO_NOCTTY | abi::kO_TRUNC | abi::kO_CLOEXEC;
    /// What only open(2) itself is concerned with is not kept (F_GETFL).
    explicit File(std::uint32_t flags) : flags_(flags & ~kCreationFlags) {}

    sched::Mutex position_lock_{sync::LockRank::kFilePosition};
    std::uint64_t position_ = 0;

private:
    std::atomic<std::uint32_t> flags_;
    Path path_;
};

/// Regular files and directories on an inode: read/write/seek through Inode. `data` is the inode
/// that holds the contents; in a stacked file system another one than the path's.
class InodeFile : public File {
public:
    InodeFile(std::uint32_t flags, Ref<Inode> data) : File(flags), data_(std::move(data)) {}
    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t* offset) override;
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t* offset) override;
    Result<std::uint64_t> seek(std::int64_t offset, int whence) override;
    std::uint32_t poll(PollWaiter* waiter) override;
    Result<Ref<vm::MemoryObject>> memory_object() override;
    Result<void> read_directory(DirectorySink& sink) override;
    Result<void> truncate(std::uint64_t size) override;
    Result<void> allocate(int mode, std::uint64_t offset, std::uint64_t length) override;
    Result<void> sync() override;
    bool is_seekable() const override { return true; }
    Inode& data() const { return *data_; }

private:
    Ref<Inode> data_;
};

/// What opens FIFOs (posix registers its pipes). ENXIO while there is none.
void set_fifo_opener(Result<Ref<File>> (*opener)(const OpenContext& context));

/// A file that is read and written like a device or pipe but stands for an anonymous inode: gives
/// stat(2) something to show. `mode` with type.
Attributes anonymous_attributes(std::uint32_t mode);

/// What open() is told.
struct OpenContext {
    Path path;            ///< of the file being opened (its dentry and mount)
    std::uint32_t flags;  ///< O_ bits as open(2) was given them
};

}  // namespace kiln::vfs
