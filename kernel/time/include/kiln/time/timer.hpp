// One-shot timers on the CPU that started them. Tickless: the hardware timer is armed for the
// nearest deadline only.
#pragma once

#include <cstdint>

#include <kiln/base/list.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::time {

/// Embedded in what waits. `callback` runs in interrupt context with interrupts disabled, no locks
/// held; it may start the same timer again.
class Timer {
public:
    using Callback = void (*)(Timer& timer, void* argument);
    constexpr Timer(Callback callback, void* argument) : callback_(callback), argument_(argument) {}
    KILN_NON_COPYABLE(Timer);
    ~Timer();

    /// (Re)arms it. `slack_ns` allows later expiry so that deadlines can be merged.
    void start(Deadline deadline, std::uint64_t slack_ns = 0);
    /// Disarms it; returns false when it was not armed. When it returns, the callback does not run
    /// and will not run.
    bool cancel();
    bool is_armed() const;
    Deadline deadline() const { return deadline_; }

private:
    friend struct TimerQueue;
    Callback callback_;
    void* argument_;
    Deadline deadline_ = kForever;
    // Place in the per-CPU queue (pairing heap or tree): timer.cpp's business.
    Timer* child_ = nullptr;
    Timer* sibling_ = nullptr;
    Timer* parent_ = nullptr;
    std::uint32_t cpu_ = 0;
    bool armed_ = false;
};

/// Runs what is due on this CPU; called by the timer interrupt. Re-arms the hardware.
void run_expired_timers();
/// The nearest deadline on this CPU, kForever if none.
Deadline next_deadline();

}  // namespace kiln::time
