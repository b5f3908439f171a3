// One-shot timers on the CPU that started them. Tickless: the hardware timer is armed for the
// nearest deadline only.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/base/pairing_heap.hpp>
#include <kiln/base/types.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::time {

/// Embedded in what waits. `callback` runs in interrupt context with interrupts disabled, no locks
/// held; it may start the same timer again. After the callback of a timer has begun, that timer may
/// be destroyed by whoever cancels it, hence a callback touches its owner only before it lets the owner go.
class Timer {
public:
    using Callback = void (*)(Timer& timer, void* argument);
    constexpr Timer(Callback callback, void* argument) : callback_(callback), argument_(argument) {}
    KILN_NON_COPYABLE(Timer);
    /// Cancels it.
    ~Timer() {
        if (started_) cancel();
    }

    /// (Re)arms it. `slack_ns` allows later expiry so that deadlines can be merged. kForever disarms. Its
    /// callback never runs on two CPUs at once. start() and cancel() of one timer by several threads at
    /// once are safe, the order is theirs to settle.
    void start(Deadline deadline, std::uint64_t slack_ns = 0);
    /// Disarms it; returns false when it was not armed. When it returns, the callback does not run
    /// and will not run (called by the callback itself: it will not run again). Not with a lock held
    /// that the callback takes.
    bool cancel();
    bool is_armed() const { return armed_.load(std::memory_order_acquire); }
    /// The deadline given last, with slack used; kForever if none.
    Deadline deadline() const { return deadline_.load(std::memory_order_relaxed); }

private:
    friend struct TimerQueue;
    HeapNode node_;
    Callback callback_;
    void* argument_;
    std::atomic<Deadline> deadline_ = kForever;
    std::atomic<std::uint32_t> cpu_{0};  ///< whose queue guards it
    std::atomic<bool> armed_{false};
    bool started_ = false;  ///< start() was called since the last cancel()
};

/// Makes this CPU's queue. Each CPU once, before its first timer; time::init() does it for the first.
void init_timers();
/// Runs what is due on this CPU; called by the timer interrupt. Re-arms the hardware.
void run_expired_timers();
/// The nearest deadline on this CPU, kForever if none.
Deadline next_deadline();

}  // namespace kiln::time
