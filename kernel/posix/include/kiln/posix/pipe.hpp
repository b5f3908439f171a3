// Pipes and FIFOs: a ring of pages between writers and readers.
#pragma once

#include <array>
#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

/// The buffer that both ends share; a FIFO's belongs to its inode.
class Pipe : public RefCounted<Pipe> {
public:
    static constexpr std::size_t kDefaultCapacity = 64_KiB;
    static constexpr std::size_t kMaxCapacity = 1_MiB;  ///< /proc/sys/fs/pipe-max-size
    static constexpr std::size_t kAtomicWrite = 4096;   ///< PIPE_BUF

    /// ENOMEM.
    static Result<Ref<Pipe>> create();
    ~Pipe();

    // What read(2) and write(2) do. EAGAIN (nonblocking), ERESTARTSYS, EPIPE (no reader).
    // `*broken`: there is no reader (any more), send SIGPIPE.
    Result<std::size_t> read(mem::IoBuffer& to, bool nonblocking);
    Result<std::size_t> write(mem::IoBuffer& from, bool nonblocking, bool* broken);
    std::uint32_t poll(vfs::PollWaiter* waiter, bool reader, bool writer);
    /// Bytes that can be read (FIONREAD).
    std::size_t readable_bytes();
    std::size_t capacity();
    /// F_SETPIPE_SZ: rounds up to a power of two of pages; returns the new capacity. EBUSY (holds more), EPERM (above
    /// the maximum), EINVAL, ENOMEM.
    Result<std::size_t> set_capacity(std::size_t bytes);
    std::uint64_t inode_number() const { return inode_number_; }

    void open_end(bool reader, bool writer);
    void close_end(bool reader, bool writer);
    /// FIFOs: opens an end as open(2) does: waits for the other one unless `nonblocking`. ENXIO (nonblocking writer
    /// without a reader), ERESTARTSYS.
    Result<void> open_fifo_end(bool reader, bool writer, bool nonblocking);

private:
    Pipe() = default;
    std::size_t used_locked() const { return tail_ - head_; }
    /// A page that is read half keeps its slot: the tail never comes round into the head's page.
    std::size_t room_locked() const { return capacity_ - used_locked() - head_ % kPageSize; }
    Result<std::size_t> copy_out_locked(mem::IoBuffer& to);
    Result<std::size_t> copy_in_locked(mem::IoBuffer& from, std::size_t limit);
    std::byte** slot(std::uint64_t position) { return &pages_[(position % capacity_) / kPageSize]; }
    void drop_page(std::byte* page);
    Result<std::byte*> take_page();

    sched::Mutex lock_{sync::LockRank::kPipe};
    std::byte** pages_ = nullptr;  ///< capacity_ / 4096 of them, allocated as they are written to
    std::byte* spare_page_ = nullptr;  ///< the one emptied last
    std::size_t capacity_ = 0;         ///< a power of two
    std::uint64_t head_ = 0;           ///< bytes read so far
    std::uint64_t tail_ = 0;           ///< bytes written so far
    std::uint32_t readers_ = 0;
    std::uint32_t writers_ = 0;
    std::uint32_t reader_openings_ = 0;  ///< ever: an opener waits for one, be it gone again
    std::uint32_t writer_openings_ = 0;
    std::uint64_t inode_number_ = 0;
    sched::WaitQueue readable_;
    sched::WaitQueue writable_;
};

/// One end of a pipe, or a FIFO opened for both.
class PipeFile final : public vfs::File {
public:
    /// Takes over what the caller opened with open_end() or open_fifo_end(), and closes it in the end.
    PipeFile(Ref<Pipe> pipe, std::uint32_t flags);
    ~PipeFile() override;

    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t* offset) override;
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t* offset) override;
    std::uint32_t poll(vfs::PollWaiter* waiter) override;
    Result<std::int64_t> ioctl(std::uint32_t request, std::uintptr_t argument) override;
    Result<vfs::Attributes> attributes() override;
    Result<void> flags_changed(std::uint32_t new_flags) override;
    std::size_t describe(std::span<char> out) const override;
    static const char kKind;
    const void* kind() const override { return &kKind; }

    Pipe& pipe() { return *pipe_; }

private:
    Ref<Pipe> pipe_;
};

struct PipeEnds {
    Ref<vfs::File> read_end;
    Ref<vfs::File> write_end;
};
/// pipe2(2). `flags`: O_NONBLOCK or nothing. ENOMEM.
Result<PipeEnds> create_pipe(std::uint32_t flags);
/// open(2) of a FIFO whose buffer is `pipe`. ENXIO, ERESTARTSYS, ENOMEM.
Result<Ref<vfs::File>> open_fifo(Ref<Pipe> pipe, std::uint32_t flags);

}  // namespace kiln::posix
