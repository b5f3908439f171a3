#include <kiln/posix/eventfd.hpp>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/base/format.hpp>
#include <kiln/mem/heap.hpp>

namespace kiln::posix {
namespace {

// eventfd(2): "The maximum value that may be stored in the counter is the largest unsigned 64-bit value minus 1".
constexpr std::uint64_t kMaxCount = UINT64_MAX - 1;

}  // namespace

Result<Ref<vfs::File>> EventFile::create(std::uint32_t initial, Kind kind, std::uint32_t flags) {
    return Ref<vfs::File>(TRY(mem::make_ref<EventFile>(initial, kind, abi::kO_RDWR | flags)));
}

EventFile::EventFile(std::uint64_t initial, Kind kind, std::uint32_t flags)
    : File(flags), count_(initial), semaphore_(kind) {}

/// 0: nothing there.
std::uint64_t EventFile::take() {
    sync::IrqSpinGuard guard(lock_);
    if (count_ == 0) return 0;
    const std::uint64_t n = semaphore_ == Kind::kSemaphore ? 1 : count_;
    count_ -= n;
    return n;
}

bool EventFile::add(std::uint64_t n) {
    sync::IrqSpinGuard guard(lock_);
    if (n > kMaxCount - count_) return false;
    count_ += n;
    return true;
}

Result<std::size_t> EventFile::read(mem::IoBuffer& to, std::uint64_t*) {
    if (to.remaining() < sizeof(std::uint64_t)) return Errno::kEINVAL;
    std::uint64_t n = take();
    if (n == 0) {
        if (is_nonblocking()) return Errno::kEAGAIN;
        sched::WaitEntry entry;
        entry.exclusive = true;
        entry.events = vfs::kPollIn;
        if (!queue_.wait(entry, [&] { return (n = take()) != 0; }).ok()) return Errno::kERESTARTSYS;
    }
    queue_.wake(vfs::kPollOut);
    return to.copy_out(&n, sizeof(n));
}

Result<std::size_t> EventFile::write(mem::IoBuffer& from, std::uint64_t*) {
    if (from.remaining() < sizeof(std::uint64_t)) return Errno::kEINVAL;
    std::uint64_t n = 0;
    if (TRY(from.copy_in(&n, sizeof(n))) != sizeof(n)) return Errno::kEFAULT;
    if (n == UINT64_MAX) return Errno::kEINVAL;
    if (!add(n)) {
        if (is_nonblocking()) return Errno::kEAGAIN;
        sched::WaitEntry entry;
        entry.exclusive = true;
        entry.events = vfs::kPollOut;
        if (!queue_.wait(entry, [&] { return add(n); }).ok()) return Errno::kERESTARTSYS;
    }
    queue_.wake(vfs::kPollIn);
    return sizeof(n);
}

void EventFile::signal(std::uint64_t n) {
    {
        sync::IrqSpinGuard guard(lock_);
        count_ = n > UINT64_MAX - count_ ? UINT64_MAX : count_ + n;
    }
    queue_.wake(vfs::kPollIn | vfs::kPollErr);
}

std::uint32_t EventFile::poll(vfs::PollWaiter* waiter) {
    if (waiter) waiter->watch(queue_);
    sync::IrqSpinGuard guard(lock_);
    std::uint32_t events = 0;
    if (count_ > 0) events |= vfs::kPollIn;
    if (count_ == UINT64_MAX) events |= vfs::kPollErr;
    if (count_ < kMaxCount) events |= vfs::kPollOut;
    return events;
}

std::size_t EventFile::describe(std::span<char> out) const {
    return format_to(out, "anon_inode:[eventfd]");
}

}  // namespace kiln::posix
