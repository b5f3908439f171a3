// Timers that send signals: setitimer(2) ITIMER_REAL, alarm(2) and POSIX timers.
#pragma once

#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/posix/signal.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/time/timer.hpp>

namespace kiln::posix {

class Process;
class Task;

/// Both in ns; value 0: disarmed. As got: the time left.
struct TimerSetting {
    std::uint64_t value_ns = 0;
    std::uint64_t interval_ns = 0;
};

/// How a POSIX timer tells that it expired (struct sigevent).
struct TimerNotification {
    int signo = 0;               ///< 0: SIGEV_NONE
    std::uint64_t value = 0;     ///< sival
    bool value_is_id = false;    ///< no sigevent was given: the value is the timer's id
    std::int32_t thread_id = 0;  ///< SIGEV_THREAD_ID; 0: the process
};

enum class TimerClock : std::uint8_t { kMonotonic, kRealtime };

class PosixTimer;

/// The timers of one process. Calls sleep; not for interrupt handlers.
class ProcessTimers {
public:
    static Result<Owned<ProcessTimers>> create(Process& process);
    ~ProcessTimers();

    /// ITIMER_REAL; returns the old setting.
    TimerSetting exchange_real(const TimerSetting& setting);
    TimerSetting real();

    /// EAGAIN: too many timers or no memory. ESRCH is the caller's (thread_id).
    Result<int> create_timer(TimerClock clock, const TimerNotification& notification);
    /// EINVAL: no such timer (so for the others). With `absolute`, value_ns is a time of its clock.
    Result<TimerSetting> set_timer(int id, const TimerSetting& setting, bool absolute);
    Result<TimerSetting> get_timer(int id);
    Result<int> overrun(int id);
    Result<void> delete_timer(int id);
    /// exec and exit: POSIX timers go; ITIMER_REAL goes with the process only.
    void delete_all();
    void stop();

private:
    explicit ProcessTimers(Process& process) : process_(process) {}
    static void real_expired(time::Timer& timer, void* self);
    PosixTimer* find(int id);

    static constexpr int kMaxTimers = 1024;

    Process& process_;
    sched::Mutex lock_{sync::LockRank::kProcess};
    time::Timer real_timer_{real_expired, this};
    std::uint64_t real_interval_ns_ = 0;
    PosixTimer* timers_ = nullptr;  ///< by a singly linked list: programs have few
    int next_id_ = 0;
    int count_ = 0;
};

}  // namespace kiln::posix
