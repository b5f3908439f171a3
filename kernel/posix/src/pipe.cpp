// Pipes. The rules are pipe(7)'s; where it is silent, Linux 6.1's fs/pipe.c.
#include <kiln/posix/pipe.hpp>

#include <algorithm>
#include <bit>
#include <utility>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/base/format.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/posix/process.hpp>

namespace kiln::posix {
namespace {

constexpr std::uint32_t kFionread = 0x541b;

// Pipes have no inode of the VFS; the numbers tell one from another in stat(2) and /proc.
constinit std::atomic<std::uint64_t> g_next_inode_number{1u << 16};

std::byte** allocate_slots(std::size_t capacity) {
    return static_cast<std::byte**>(
        mem::allocate_zeroed(capacity / kPageSize * sizeof(std::byte*)));
}

}  // namespace

Result<Ref<Pipe>> Pipe::create() {
    auto* raw = new (std::nothrow) Pipe;
    if (!raw) return Errno::kENOMEM;
    Ref<Pipe> pipe = adopt_ref(raw);
    pipe->pages_ = allocate_slots(kDefaultCapacity);
    if (!pipe->pages_) return Errno::kENOMEM;
    pipe->capacity_ = kDefaultCapacity;
    pipe->inode_number_ = g_next_inode_number.fetch_add(1, std::memory_order_relaxed);
    return pipe;
}

Pipe::~Pipe() {
    if (spare_page_) mem::free_pages(hal::virt_to_phys(spare_page_), 0);
    for (std::size_t i = 0; i < capacity_ / kPageSize; i++) {
        if (pages_[i]) mem::free_pages(hal::virt_to_phys(pages_[i]), 0);
    }
    mem::release(pages_);
}

Result<std::byte*> Pipe::take_page() {
    if (spare_page_) return std::exchange(spare_page_, nullptr);
    return static_cast<std::byte*>(hal::phys_to_virt(TRY(mem::allocate_page(mem::kPageNoReclaim))));
}

void Pipe::drop_page(std::byte* page) {
    if (!spare_page_) {
        spare_page_ = page;
    } else {
        mem::free_pages(hal::virt_to_phys(page), 0);
    }
}

Result<std::size_t> Pipe::copy_out_locked(mem::IoBuffer& to) {
    std::size_t done = 0;
    while (to.remaining() != 0 && used_locked() != 0) {
        std::byte** const page = slot(head_);
        const std::size_t offset = head_ % kPageSize;
        const std::size_t n = std::min({to.remaining(), used_locked(), kPageSize - offset});
        const Result<std::size_t> copied = to.copy_out(*page + offset, n);
        if (!copied.ok()) {
            if (done != 0) break;
            return copied.error();
        }
        head_ += *copied;
        done += *copied;
        if (head_ % kPageSize == 0 || head_ == tail_) drop_page(std::exchange(*page, nullptr));
        if (*copied != n) break;
    }
    // Empty: the next byte begins a page, so that a small message stays in one.
    if (head_ == tail_) head_ = tail_ = 0;
    return done;
}

Result<std::size_t> Pipe::copy_in_locked(mem::IoBuffer& from, std::size_t limit) {
    std::size_t done = 0;
    while (done < limit) {
        std::byte** const page = slot(tail_);
        const std::size_t offset = tail_ % kPageSize;
        const std::size_t n = std::min(limit - done, kPageSize - offset);
        if (!*page) {
            const Result<std::byte*> fresh = take_page();
            if (!fresh.ok()) {
                if (done != 0) break;
                return fresh.error();
            }
            *page = *fresh;
        }
        const Result<std::size_t> copied = from.copy_in(*page + offset, n);
        const std::size_t got = copied.ok() ? *copied : 0;
        tail_ += got;
        done += got;
        if (got != n) {
            if (offset == 0 && got == 0) drop_page(std::exchange(*page, nullptr));
            if (done == 0) return Errno::kEFAULT;
            break;
        }
    }
    return done;
}

Result<std::size_t> Pipe::read(mem::IoBuffer& to, bool nonblocking) {
    if (to.remaining() == 0) return std::size_t{0};
    Result<std::size_t> result = std::size_t{0};
    bool more = false;
    const auto attempt = [&] {
        sched::MutexGuard guard(lock_);
        if (used_locked() == 0) {
            result = std::size_t{0};
            return writers_ == 0;
        }
        result = copy_out_locked(to);
        more = used_locked() != 0;
        return true;
    };
    if (!attempt()) {
        if (nonblocking) return Errno::kEAGAIN;
        sched::WaitEntry entry;
        entry.exclusive = true;
        entry.events = vfs::kPollIn;
        if (!readable_.wait(entry, attempt).ok()) return Errno::kERESTARTSYS;
    }
    if (result.ok() && *result != 0) writable_.wake(vfs::kPollOut | vfs::kPollWrNorm);
    // This reader was the one that the writer woke; there is something left for the next.
    if (more) readable_.wake(vfs::kPollIn | vfs::kPollRdNorm);
    return result;
}

Result<std::size_t> Pipe::write(mem::IoBuffer& from, bool nonblocking, bool* broken) {
    *broken = false;
    if (from.remaining() == 0) return std::size_t{0};
    const std::size_t total = from.remaining();
    std::size_t done = 0;
    Errno error = Errno::kOk;
    bool more_room = false;
    // True when the write is over; done says how far it came.
    const auto attempt = [&] {
        sched::MutexGuard guard(lock_);
        if (readers_ == 0) {
            *broken = true;
            error = Errno::kEPIPE;
            return true;
        }
        // Up to PIPE_BUF bytes go at once or wait together.
        const std::size_t wanted = total - done;
        if (room_locked() == 0 || (total <= kAtomicWrite && room_locked() < wanted)) return false;
        const std::size_t n = std::min(wanted, room_locked());
        const Result<std::size_t> copied = copy_in_locked(from, n);
        if (!copied.ok()) {
            error = copied.error();
            return true;
        }
        done += *copied;
        more_room = room_locked() != 0;
        if (*copied != n) {
            error = Errno::kEFAULT;
            return true;
        }
        return done == total;
    };
    // What was written must be announced before the writer sleeps: a reader makes the room it waits for.
    const auto announce = [&](std::size_t before) {
        if (done != before) readable_.wake(vfs::kPollIn | vfs::kPollRdNorm);
    };
    bool over = attempt();
    announce(0);
    while (!over) {
        if (nonblocking) {
            error = Errno::kEAGAIN;
            break;
        }
        const std::size_t before = done;
        sched::WaitEntry entry;
        entry.exclusive = true;
        entry.events = vfs::kPollOut;
        const Result<void> waited =
            writable_.wait(entry, [&] { return (over = attempt()) || done != before; });
        announce(before);
        if (!waited.ok()) {
            error = Errno::kERESTARTSYS;
            break;
        }
    }
    if (done != 0) {
        if (more_room) writable_.wake(vfs::kPollOut | vfs::kPollWrNorm);
        return done;
    }
    return error;
}

std::uint32_t Pipe::poll(vfs::PollWaiter* waiter, bool reader, bool writer) {
    if (waiter) {
        if (reader) waiter->watch(readable_);
        if (writer) waiter->watch(writable_);
    }
    sched::MutexGuard guard(lock_);
    std::uint32_t events = 0;
    if (reader) {
        if (used_locked() != 0) events |= vfs::kPollIn | vfs::kPollRdNorm;
        // A FIFO that never had a writer is not hung up.
        if (writers_ == 0 && writer_openings_ != 0) events |= vfs::kPollHup;
    }
    if (writer) {
        if (room_locked() >= kAtomicWrite) events |= vfs::kPollOut | vfs::kPollWrNorm;
        if (readers_ == 0) events |= vfs::kPollErr;
    }
    return events;
}

std::size_t Pipe::readable_bytes() {
    sched::MutexGuard guard(lock_);
    return used_locked();
}

std::size_t Pipe::capacity() {
    sched::MutexGuard guard(lock_);
    return capacity_;
}

Result<std::size_t> Pipe::set_capacity(std::size_t bytes) {
    if (bytes == 0 || bytes > (1u << 31)) return Errno::kEINVAL;
    const std::size_t wanted = std::bit_ceil(std::max(bytes, kPageSize));
    if (wanted > kMaxCapacity) return Errno::kEPERM;
    bool grew;
    {
        sched::MutexGuard guard(lock_);
        if (wanted == capacity_) return capacity_;
        if (used_locked() > wanted) return Errno::kEBUSY;
        std::byte** const slots = allocate_slots(wanted);
        if (!slots) return Errno::kENOMEM;
        // Pages keep their order; positions are renumbered from the first page's start.
        const std::uint64_t first = head_ - head_ % kPageSize;
        const std::uint64_t pages =
            used_locked() == 0 ? 0 : (tail_ - first + kPageSize - 1) / kPageSize;
        if (pages > wanted / kPageSize) {
            mem::release(slots);
            return Errno::kEBUSY;
        }
        for (std::uint64_t i = 0; i < pages; i++)
            slots[i] = std::exchange(*slot(first + i * kPageSize), nullptr);
        for (std::size_t i = 0; i < capacity_ / kPageSize; i++) {
            if (pages_[i]) drop_page(pages_[i]);
        }
        mem::release(pages_);
        grew = wanted > capacity_;
        pages_ = slots;
        capacity_ = wanted;
        tail_ -= first;
        head_ -= first;
    }
    if (grew) writable_.wake_all(vfs::kPollOut | vfs::kPollWrNorm);
    return wanted;
}

void Pipe::open_end(bool reader, bool writer) {
    {
        sched::MutexGuard guard(lock_);
        if (reader) {
            readers_++;
            reader_openings_++;
        }
        if (writer) {
            writers_++;
            writer_openings_++;
        }
    }
    // Those that open the other end of a FIFO.
    readable_.wake_all();
    writable_.wake_all();
}

void Pipe::close_end(bool reader, bool writer) {
    bool last_reader;
    bool last_writer;
    {
        sched::MutexGuard guard(lock_);
        last_reader = reader && --readers_ == 0;
        last_writer = writer && --writers_ == 0;
        if (last_reader && last_writer) {
            // Nobody will read what a FIFO still holds.
            head_ = tail_ = 0;
            for (std::size_t i = 0; i < capacity_ / kPageSize; i++) {
                if (pages_[i]) drop_page(std::exchange(pages_[i], nullptr));
            }
        }
    }
    if (last_writer) readable_.wake_all(vfs::kPollIn | vfs::kPollRdNorm | vfs::kPollHup);
    if (last_reader) writable_.wake_all(vfs::kPollOut | vfs::kPollWrNorm | vfs::kPollErr);
}

Result<void> Pipe::open_fifo_end(bool reader, bool writer, bool nonblocking) {
    // fifo(7): both ends at once never wait; a nonblocking reader neither, a nonblocking writer fails without a reader.
    std::uint32_t seen = 0;
    {
        sched::MutexGuard guard(lock_);
        if (writer && !reader && nonblocking && readers_ == 0) return Errno::kENXIO;
        seen = reader ? writer_openings_ : reader_openings_;
    }
    open_end(reader, writer);
    if ((reader && writer) || nonblocking) return {};
    sched::WaitQueue& queue = reader ? readable_ : writable_;
    sched::WaitEntry entry;
    const auto met = [&] {
        sched::MutexGuard guard(lock_);
        return reader ? writers_ != 0 || writer_openings_ != seen
                      : readers_ != 0 || reader_openings_ != seen;
    };
    if (met()) return {};
    if (!queue.wait(entry, met).ok()) {
        close_end(reader, writer);
        return Errno::kERESTARTSYS;
    }
    return {};
}

const char PipeFile::kKind = 0;

PipeFile::PipeFile(Ref<Pipe> pipe, std::uint32_t flags) : File(flags), pipe_(std::move(pipe)) {}

PipeFile::~PipeFile() { pipe_->close_end(is_readable(), is_writable()); }

Result<std::size_t> PipeFile::read(mem::IoBuffer& to, std::uint64_t*) {
    return pipe_->read(to, is_nonblocking());
}

Result<std::size_t> PipeFile::write(mem::IoBuffer& from, std::uint64_t*) {
    bool broken;
    Result<std::size_t> written = pipe_->write(from, is_nonblocking(), &broken);
    if (broken) {
        // write(2): "the writing process will also receive a SIGPIPE signal".
        if (Task* task = Task::current_or_null())
            (void)send_signal(*task, make_signal(kSigPipe, kSiKernel));
    }
    return written;
}

std::uint32_t PipeFile::poll(vfs::PollWaiter* waiter) {
    return pipe_->poll(waiter, is_readable(), is_writable());
}

Result<std::int64_t> PipeFile::ioctl(std::uint32_t request, std::uintptr_t argument) {
    if (request != kFionread) return Errno::kENOTTY;
    TRY(mem::UserPtr<std::int32_t>(argument).write(
        static_cast<std::int32_t>(pipe_->readable_bytes())));
    return std::int64_t{0};
}

Result<vfs::Attributes> PipeFile::attributes() {
    if (inode()) return File::attributes();
    vfs::Attributes a;
    a.inode_number = pipe_->inode_number();
    a.mode = vfs::kModeFifo | 0600;
    a.block_size = kPageSize;
    return a;
}

Result<void> PipeFile::flags_changed(std::uint32_t new_flags) {
    // Packet mode: EINVAL, as where a file does not support it.
    if ((new_flags & abi::kO_DIRECT) != 0) return Errno::kEINVAL;
    return {};
}

std::size_t PipeFile::describe(std::span<char> out) const {
    if (inode()) return File::describe(out);
    return format_to(out, "pipe:[{}]", pipe_->inode_number());
}

Result<PipeEnds> create_pipe(std::uint32_t flags) {
    Ref<Pipe> pipe = TRY(Pipe::create());
    auto read_end = TRY(mem::make_ref<PipeFile>(pipe, abi::kO_RDONLY | flags));
    pipe->open_end(true, false);
    auto write_end = TRY(mem::make_ref<PipeFile>(pipe, abi::kO_WRONLY | flags));
    pipe->open_end(false, true);
    return PipeEnds{.read_end = std::move(read_end), .write_end = std::move(write_end)};
}

Result<Ref<vfs::File>> open_fifo(Ref<Pipe> pipe, std::uint32_t flags) {
    const std::uint32_t access = flags & abi::kO_ACCMODE;
    const bool reader = access != abi::kO_WRONLY;
    const bool writer = access != abi::kO_RDONLY;
    TRY(pipe->open_fifo_end(reader, writer, (flags & abi::kO_NONBLOCK) != 0));
    auto file = mem::make_ref<PipeFile>(pipe, flags);
    if (!file.ok()) {
        pipe->close_end(reader, writer);
        return file.error();
    }
    return Ref<vfs::File>(std::move(*file));
}

}  // namespace kiln::posix
