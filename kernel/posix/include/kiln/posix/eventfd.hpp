// eventfd(2): a counter that can be waited for.
#pragma once

#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

class EventFile final : public vfs::File {
public:
    /// A read takes the whole counter, or (semaphore) one.
    enum class Kind : std::uint8_t { kCounter, kSemaphore };

    /// `flags`: O_NONBLOCK or nothing. ENOMEM.
    static Result<Ref<vfs::File>> create(std::uint32_t initial, Kind kind, std::uint32_t flags);
    EventFile(std::uint64_t initial, Kind kind, std::uint32_t flags);

    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t* offset) override;
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t* offset) override;
    std::uint32_t poll(vfs::PollWaiter* waiter) override;
    std::size_t describe(std::span<char> out) const override;

    /// Adds to the counter, up to its largest value, as the kernel's own users do. Any context.
    void signal(std::uint64_t n);

private:
    std::uint64_t take();
    bool add(std::uint64_t n);

    sync::SpinLock lock_{sync::LockRank::kSignal};
    std::uint64_t count_;
    const Kind semaphore_;
    sched::WaitQueue queue_;
};

}  // namespace kiln::posix
