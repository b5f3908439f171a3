#include <kiln/posix/timers.hpp>

#include <new>

#include <kiln/posix/process.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::posix {

/// Delivery follows Linux: while the signal is pending the timer does not run; expirations that
/// passed meanwhile are counted when the signal is taken, and the timer goes on from there.
class PosixTimer {
public:
    PosixTimer(Process& process, int id, TimerClock clock, const TimerNotification& notification)
        : process_(process), id_(id), clock_(clock), notification_(notification) {
        entry_.info.signo = notification.signo;
        entry_.info.code = kSiTimer;
        entry_.info.fields[0] = static_cast<std::uint32_t>(id);  // si_tid; si_overrun above it
        entry_.info.fields[1] =
            notification.value_is_id ? static_cast<std::uint64_t>(id) : notification.value;
        entry_.taken = taken;
        entry_.owner = this;
    }
    ~PosixTimer() { stop(); }
    KILN_NON_COPYABLE(PosixTimer);

    int id() const { return id_; }
    int last_overrun() const { return last_overrun_; }

    void stop() {
        {
            // First: a signal that is taken now must not set the timer going again.
            sync::IrqSpinGuard guard(process_.signals().lock);
            interval_ns_ = 0;
            expiry_ns_ = 0;
        }
        timer_.cancel();
        sync::IrqSpinGuard guard(process_.signals().lock);
        if (entry_.node.is_linked()) entry_.queue->remove(entry_);
    }
    void start(time::Deadline first, std::uint64_t interval_ns) {
        {
            sync::IrqSpinGuard guard(process_.signals().lock);
            expiry_ns_ = first;
            interval_ns_ = interval_ns;
            last_overrun_ = 0;
        }
        timer_.start(first);
    }
    TimerSetting setting() {
        const std::uint64_t now = time::monotonic_ns();
        sync::IrqSpinGuard guard(process_.signals().lock);
        TimerSetting s;
        s.interval_ns = interval_ns_;
        if (expiry_ns_ == 0) return s;
        std::uint64_t due = expiry_ns_;
        // Expired, its signal not yet taken: the next expiry to come.
        if (due <= now && interval_ns_ != 0) due += ((now - due) / interval_ns_ + 1) * interval_ns_;
        if (due > now) {
            s.value_ns = due - now;
        } else if (timer_.is_armed()) {
            s.value_ns = 1;  // due, but not fired: "armed" must not look like "disarmed"
        }
        return s;
    }
    TimerClock clock() const { return clock_; }

    PosixTimer* next = nullptr;

private:
    static void expired(time::Timer&, void* argument) {
        auto& self = *static_cast<PosixTimer*>(argument);
        const bool queued = self.notification_.signo != 0 &&
                            send_signal(self.process_, self.notification_.thread_id, self.entry_);
        // Nobody will take it (SIGEV_NONE, an ignored signal), so nobody else sets it going again.
        if (!queued) self.rearm_silently();
    }
    void rearm_silently() {
        sync::IrqSpinGuard guard(process_.signals().lock);
        advance(time::monotonic_ns());
    }
    /// Moves on to the first expiry after `now`; returns how many were passed over. Signal lock held.
    std::uint64_t advance(std::uint64_t now) {
        if (interval_ns_ == 0) {
            expiry_ns_ = 0;
            return 0;
        }
        std::uint64_t passed = 0;
        if (now >= expiry_ns_) {
            const std::uint64_t steps = (now - expiry_ns_) / interval_ns_;
            passed = steps;
            expiry_ns_ += (steps + 1) * interval_ns_;
        }
        timer_.start(expiry_ns_);
        return passed;
    }
    static void taken(QueuedSignal& entry, SignalInfo& info) {
        auto& self = *static_cast<PosixTimer*>(entry.owner);
        const std::uint64_t passed = self.advance(time::monotonic_ns());
        constexpr std::uint64_t kMaxOverrun = 0x7fffffff;  // DELAYTIMER_MAX
        self.last_overrun_ = static_cast<int>(passed > kMaxOverrun ? kMaxOverrun : passed);
        info.fields[0] = static_cast<std::uint32_t>(self.id_) |
                         static_cast<std::uint64_t>(self.last_overrun_) << 32;
    }

    Process& process_;
    const int id_;
    const TimerClock clock_;
    const TimerNotification notification_;
    time::Timer timer_{expired, this};
    // Guarded by the process's signal lock.
    QueuedSignal entry_;
    std::uint64_t expiry_ns_ = 0;
    std::uint64_t interval_ns_ = 0;
    int last_overrun_ = 0;
};

Result<Owned<ProcessTimers>> ProcessTimers::create(Process& process) {
    auto* timers = new (std::nothrow) ProcessTimers(process);
    if (!timers) return Errno::kENOMEM;
    return Owned<ProcessTimers>(timers);
}

ProcessTimers::~ProcessTimers() { stop(); }

void ProcessTimers::real_expired(time::Timer& timer, void* argument) {
    auto& self = *static_cast<ProcessTimers*>(argument);
    (void)send_signal(self.process_, make_signal(kSigAlrm, kSiKernel));
    // A period too short to do anything else in it would keep the CPU here for ever.
    constexpr std::uint64_t kShortestNs = 10'000;
    if (self.real_interval_ns_ != 0) {
        const std::uint64_t now = time::monotonic_ns();
        std::uint64_t next = timer.deadline() + self.real_interval_ns_;
        if (next <= now)
            next =
                now + (self.real_interval_ns_ > kShortestNs ? self.real_interval_ns_ : kShortestNs);
        timer.start(next);
    }
}

TimerSetting ProcessTimers::real() {
    sched::MutexGuard guard(lock_);
    TimerSetting s;
    s.interval_ns = real_interval_ns_;
    if (real_timer_.is_armed()) {
        const std::uint64_t now = time::monotonic_ns();
        s.value_ns = real_timer_.deadline() > now ? real_timer_.deadline() - now : 1;
    }
    return s;
}

TimerSetting ProcessTimers::exchange_real(const TimerSetting& setting) {
    const TimerSetting old = real();
    sched::MutexGuard guard(lock_);
    real_timer_.cancel();
    real_interval_ns_ = setting.interval_ns;
    if (setting.value_ns != 0) real_timer_.start(time::deadline_after(setting.value_ns));
    return old;
}

PosixTimer* ProcessTimers::find(int id) {
    for (PosixTimer* t = timers_; t; t = t->next) {
        if (t->id() == id) return t;
    }
    return nullptr;
}

Result<int> ProcessTimers::create_timer(TimerClock clock, const TimerNotification& notification) {
    sched::MutexGuard guard(lock_);
    if (count_ >= kMaxTimers) return Errno::kEAGAIN;
    while (find(next_id_)) next_id_ = (next_id_ + 1) & 0x7fffffff;
    auto* timer = new (std::nothrow) PosixTimer(process_, next_id_, clock, notification);
    if (!timer) return Errno::kEAGAIN;
    next_id_ = (next_id_ + 1) & 0x7fffffff;
    timer->next = timers_;
    timers_ = timer;
    count_++;
    return timer->id();
}

Result<TimerSetting> ProcessTimers::set_timer(int id, const TimerSetting& setting, bool absolute) {
    sched::MutexGuard guard(lock_);
    PosixTimer* timer = find(id);
    if (!timer) return Errno::kEINVAL;
    const TimerSetting old = timer->setting();
    timer->stop();
    if (setting.value_ns != 0) {
        time::Deadline first = time::deadline_after(setting.value_ns);
        if (absolute) {
            first = setting.value_ns;
            if (timer->clock() == TimerClock::kRealtime) {
                const std::uint64_t boot = time::realtime_ns() - time::monotonic_ns();
                first = first > boot ? first - boot : 1;
            }
        }
        timer->start(first, setting.interval_ns);
    }
    return old;
}

Result<TimerSetting> ProcessTimers::get_timer(int id) {
    sched::MutexGuard guard(lock_);
    PosixTimer* timer = find(id);
    if (!timer) return Errno::kEINVAL;
    return timer->setting();
}

Result<int> ProcessTimers::overrun(int id) {
    sched::MutexGuard guard(lock_);
    PosixTimer* timer = find(id);
    if (!timer) return Errno::kEINVAL;
    return timer->last_overrun();
}

Result<void> ProcessTimers::delete_timer(int id) {
    sched::MutexGuard guard(lock_);
    for (PosixTimer** link = &timers_; *link; link = &(*link)->next) {
        PosixTimer* timer = *link;
        if (timer->id() != id) continue;
        *link = timer->next;
        count_--;
        delete timer;
        return {};
    }
    return Errno::kEINVAL;
}

void ProcessTimers::delete_all() {
    sched::MutexGuard guard(lock_);
    while (PosixTimer* timer = timers_) {
        timers_ = timer->next;
        delete timer;
    }
    count_ = 0;
}

void ProcessTimers::stop() {
    (void)exchange_real({});
    delete_all();
}

}  // namespace kiln::posix
