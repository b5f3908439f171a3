// poll(2) and what is built on it: waiting for events on many files.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <kiln/base/result.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

/// One file of a poll, and what for.
struct PollRequest {
    Ref<vfs::File> file;                                   ///< null: not looked at
    std::uint32_t events = 0;                              ///< vfs::kPoll… wanted
    std::uint32_t result = 0;                              ///< those that hold
    std::uint32_t always = vfs::kPollErr | vfs::kPollHup;  ///< wanted without being asked for
};

/// Waits until an event of a request holds or `deadline` passes (then 0). Returns how many requests have a result.
/// EINTR, ENOMEM.
Result<std::uint32_t> poll_files(std::span<PollRequest> requests, time::Deadline deadline,
                                 std::uint64_t slack_ns = 0);

/// Registers the running thread with the wait queues of the files that it polls; takes itself off them in the end.
/// The files outlive it.
class ThreadPollWaiter final : public vfs::PollWaiter {
public:
    ThreadPollWaiter() = default;
    KILN_NON_COPYABLE(ThreadPollWaiter);
    ~ThreadPollWaiter();
    void watch(sched::WaitQueue& queue) override;
    /// The events that count for the watch() calls from now on.
    void set_interest(std::uint32_t events) { interest_ = events; }
    bool out_of_memory() const { return out_of_memory_; }
    /// Forgets the wake-ups so far: each queue wakes the thread once more.
    void rearm();

private:
    static constexpr std::size_t kInline = 8;
    struct Slot {
        alignas(sched::WaitEntry) std::byte storage[sizeof(sched::WaitEntry)];
        sched::WaitEntry& entry() { return *reinterpret_cast<sched::WaitEntry*>(storage); }
    };
    struct Chunk {
        Chunk* next;
        std::uint32_t used;
        std::array<Slot, 40> slots;
    };
    Slot* new_slot();
    template <typename Visit>
    void for_each(Visit visit);

    std::array<Slot, kInline> inline_;
    std::uint32_t inline_used_ = 0;
    Chunk* chunks_ = nullptr;
    std::uint32_t interest_ = ~0u;
    bool out_of_memory_ = false;
};

}  // namespace kiln::posix
