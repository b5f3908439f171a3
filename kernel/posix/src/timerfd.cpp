#include <kiln/posix/timerfd.hpp>

#include <utility>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/init_call.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::posix {

const char TimerFile::kKind = 0;

/// Those that the setting of the wall clock concerns.
struct WallClockTimers {
    List<TimerFile, &TimerFile::wall_clock_node_> list;
};

namespace {

constinit sync::SpinProtected<WallClockTimers> g_wall_clock{sync::LockRank::kTaskTable};

}  // namespace

Result<Ref<vfs::File>> TimerFile::create(Clock clock, std::uint32_t flags) {
    return Ref<vfs::File>(TRY(mem::make_ref<TimerFile>(clock, abi::kO_RDONLY | flags)));
}

TimerFile::TimerFile(Clock clock, std::uint32_t flags)
    : File(flags), clock_(clock), timer_(expired, this) {
    if (clock_ == Clock::kRealtime) g_wall_clock.lock()->list.push_back(*this);
}

TimerFile::~TimerFile() {
    if (clock_ == Clock::kRealtime) {
        auto all = g_wall_clock.lock();
        List<TimerFile, &TimerFile::wall_clock_node_>::remove(*this);
    }
    timer_.cancel();
}

std::uint64_t TimerFile::clock_now() const {
    return follows_wall_clock_ ? time::realtime_ns() : time::monotonic_ns();
}

void TimerFile::arm_locked() {
    if (next_ns_ == 0) {
        timer_.start(time::kForever);
        return;
    }
    const std::uint64_t offset = follows_wall_clock_ ? time::realtime_offset_ns() : 0;
    timer_.start(next_ns_ > offset ? next_ns_ - offset : 0);
}

void TimerFile::expired(time::Timer&, void* self) {
    auto& file = *static_cast<TimerFile*>(self);
    {
        sync::IrqSpinGuard guard(file.lock_);
        // Set anew while the interrupt was on its way.
        if (file.next_ns_ == 0 || file.fired_ || file.clock_now() < file.next_ns_) {
            if (file.next_ns_ != 0 && !file.fired_) file.arm_locked();
            return;
        }
        // Further expiries are counted by who reads: an idle periodic timer costs one interrupt, not one a period.
        file.fired_ = true;
        file.ticks_++;
    }
    file.queue_.wake(vfs::kPollIn);
}

void TimerFile::forward_locked() {
    if (!fired_) return;
    if (interval_ns_ == 0) {
        next_ns_ = 0;
        fired_ = false;
        return;
    }
    const std::uint64_t now = clock_now();
    const std::uint64_t late = now > next_ns_ ? now - next_ns_ : 0;
    const std::uint64_t missed = late / interval_ns_;
    ticks_ += missed;
    next_ns_ += (missed + 1) * interval_ns_;
    fired_ = false;
    arm_locked();
}

Result<std::uint64_t> TimerFile::take() {
    sync::IrqSpinGuard guard(lock_);
    if (canceled_) {
        canceled_ = false;
        ticks_ = 0;
        return Errno::kECANCELED;
    }
    if (ticks_ == 0) return std::uint64_t{0};
    forward_locked();
    return std::exchange(ticks_, 0);
}

Result<std::size_t> TimerFile::read(mem::IoBuffer& to, std::uint64_t*) {
    if (to.remaining() < sizeof(std::uint64_t)) return Errno::kEINVAL;
    std::uint64_t n = TRY(take());
    if (n == 0) {
        if (is_nonblocking()) return Errno::kEAGAIN;
        Errno error = Errno::kOk;
        sched::WaitEntry entry;
        entry.exclusive = true;
        const auto look = [&] {
            const Result<std::uint64_t> taken = take();
            if (!taken.ok()) {
                error = taken.error();
                return true;
            }
            return (n = taken.value()) != 0;
        };
        if (!queue_.wait(entry, look).ok()) return Errno::kERESTARTSYS;
        if (error != Errno::kOk) return error;
    }
    return to.copy_out(&n, sizeof(n));
}

TimerFile::Setting TimerFile::get_locked() {
    Setting s{.value_ns = 0, .interval_ns = interval_ns_};
    if (next_ns_ == 0) return s;
    if (fired_ && interval_ns_ != 0) forward_locked();
    const std::uint64_t now = clock_now();
    if (!fired_) s.value_ns = next_ns_ > now ? next_ns_ - now : 1;
    return s;
}

TimerFile::Setting TimerFile::get() {
    sync::IrqSpinGuard guard(lock_);
    return get_locked();
}

Result<void> TimerFile::set(Setting setting, Base base, Setting* before) {
    sync::IrqSpinGuard guard(lock_);
    *before = get_locked();
    const bool was_canceled = canceled_ && base == Base::kAbsoluteCancelOnSet;
    canceled_ = false;
    ticks_ = 0;
    fired_ = false;
    interval_ns_ = setting.interval_ns;
    next_ns_ = 0;
    // A relative time runs on whatever is done to the wall clock.
    follows_wall_clock_ =
        clock_ == Clock::kRealtime && base != Base::kRelative && setting.value_ns != 0;
    if (setting.value_ns != 0) {
        if (base != Base::kRelative) {
            next_ns_ = setting.value_ns;
        } else if (!checked_add(clock_now(), setting.value_ns, &next_ns_)) {
            next_ns_ = time::kForever - 1;
        }
    }
    cancel_on_set_ = base == Base::kAbsoluteCancelOnSet && clock_ == Clock::kRealtime;
    arm_locked();
    if (was_canceled) return Errno::kECANCELED;
    return {};
}

void TimerFile::clock_was_set() {
    auto all = g_wall_clock.lock();
    for (TimerFile& file : all->list) {
        bool wake = false;
        {
            sync::IrqSpinGuard guard(file.lock_);
            if (file.cancel_on_set_) {
                file.canceled_ = true;
                wake = true;
            }
            if (file.follows_wall_clock_ && !file.fired_) file.arm_locked();
        }
        if (wake) file.queue_.wake_all(vfs::kPollIn);
    }
}

std::uint32_t TimerFile::poll(vfs::PollWaiter* waiter) {
    if (waiter) waiter->watch(queue_);
    sync::IrqSpinGuard guard(lock_);
    return ticks_ != 0 || canceled_ ? vfs::kPollIn : 0u;
}

std::size_t TimerFile::describe(std::span<char> out) const {
    return format_to(out, "anon_inode:[timerfd]");
}

void init_timer_files() { time::set_clock_step_listener(TimerFile::clock_was_set); }

}  // namespace kiln::posix

KILN_INIT_CALL(timer_files, kiln::InitLevel::kService, kiln::posix::init_timer_files);
