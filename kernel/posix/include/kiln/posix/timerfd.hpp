// timerfd_create(2): a timer whose expirations are read.
#pragma once

#include <cstdint>

#include <kiln/base/list.hpp>
#include <kiln/base/result.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/time/timer.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

class TimerFile final : public vfs::File {
public:
    enum class Clock : std::uint8_t { kMonotonic, kRealtime };
    /// What timerfd_settime(2) takes and timerfd_gettime(2) gives; ns, 0: off.
    struct Setting {
        std::uint64_t value_ns = 0;     ///< first expiry: from now, or absolute
        std::uint64_t interval_ns = 0;  ///< between the further ones
    };
    enum class Base : std::uint8_t { kRelative, kAbsolute, kAbsoluteCancelOnSet };

    /// `flags`: O_NONBLOCK or nothing. ENOMEM.
    static Result<Ref<vfs::File>> create(Clock clock, std::uint32_t flags);
    TimerFile(Clock clock, std::uint32_t flags);
    ~TimerFile() override;

    /// Returns the setting before. With kAbsoluteCancelOnSet and the clock set since: ECANCELED, the setting is
    /// made all the same.
    Result<void> set(Setting setting, Base base, Setting* before);
    Setting get();

    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t* offset) override;
    std::uint32_t poll(vfs::PollWaiter* waiter) override;
    std::size_t describe(std::span<char> out) const override;
    static const char kKind;
    const void* kind() const override { return &kKind; }

    /// The wall clock was set: timers on it count anew. Registered by init().
    static void clock_was_set();

private:
    static void expired(time::Timer& timer, void* self);
    Setting get_locked();
    void arm_locked();
    std::uint64_t clock_now() const;
    /// Adds the expiries up to now that no interrupt has counted, and arms the next one.
    void forward_locked();
    /// 0: none yet. ECANCELED.
    Result<std::uint64_t> take();

    sync::SpinLock lock_{sync::LockRank::kSignal};
    const Clock clock_;
    bool follows_wall_clock_ =
        false;  ///< next_ns_ is a time of the wall clock, else of the monotonic one
    bool cancel_on_set_ = false;
    bool canceled_ = false;
    std::uint64_t ticks_ = 0;    ///< expiries not read yet
    std::uint64_t next_ns_ = 0;  ///< 0: off
    std::uint64_t interval_ns_ = 0;
    bool fired_ = false;  ///< next_ns_ has passed and was counted
    sched::WaitQueue queue_;
    time::Timer timer_;
    ListNode wall_clock_node_;
    friend struct WallClockTimers;
};

/// Hooks the timers to the wall clock. Once, at boot.
void init_timer_files();

}  // namespace kiln::posix
