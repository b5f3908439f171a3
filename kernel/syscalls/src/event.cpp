// epoll(7), eventfd(2), timerfd_create(2).
#include <kiln/posix/epoll.hpp>
#include <kiln/posix/eventfd.hpp>
#include <kiln/posix/timerfd.hpp>

#include "support.hpp"
#include "waiting.hpp"

namespace kiln::syscalls {
namespace {

using posix::EpollEvent;
using posix::EpollFile;
using posix::TimerFile;

// include/uapi/linux/eventpoll.h, eventfd.h, timerfd.h. The flags of all these calls are those of open(2).
enum : int { kEpollCtlAdd = 1, kEpollCtlDel = 2, kEpollCtlMod = 3 };
constexpr u32 kEfdSemaphore = 1;
constexpr u32 kTfdAbsolute = 1;
constexpr u32 kTfdCancelOnSet = 2;
constexpr u32 kFileFlags = abi::kO_CLOEXEC | abi::kO_NONBLOCK;
constexpr int kMaxEvents = INT32_MAX / static_cast<int>(sizeof(EpollEvent));

Result<Ref<vfs::File>> epoll_at(int fd) {
    auto file = TRY(file_at(fd));
    if (file->kind() != &EpollFile::kKind) return Errno::kEINVAL;
    return file;
}

Status epoll_wait_until(int fd, UserPtr<EpollEvent> events, int limit, time::Deadline deadline,
                        UserPtr<const u64> mask, std::size_t mask_size) {
    TemporaryMask temporary;
    TRY(temporary.begin(mask, mask_size));
    if (limit <= 0 || limit > kMaxEvents) return Errno::kEINVAL;
    if (!hal::is_user_range(events.address(), static_cast<std::size_t>(limit) * sizeof(EpollEvent)))
        return Errno::kEFAULT;
    auto file = TRY(epoll_at(fd));
    const Result<u32> count = static_cast<EpollFile&>(*file).wait(
        events, static_cast<u32>(limit), deadline, this_task().timer_slack_ns);
    if (count.ok()) return static_cast<i64>(*count);
    if (count.error() == Errno::kEINTR) temporary.interrupted();
    return count.error();
}

Result<Ref<vfs::File>> timer_at(int fd) {
    auto file = TRY(file_at(fd));
    if (file->kind() != &TimerFile::kKind) return Errno::kEINVAL;
    return file;
}

abi::ITimerSpec to_itimerspec(const TimerFile::Setting& setting) {
    return {to_timespec(setting.interval_ns), to_timespec(setting.value_ns)};
}

}  // namespace

Status sys_epoll_create(int size) {
    if (size <= 0) return Errno::kEINVAL;
    return install(TRY(EpollFile::create()), 0);
}

Status sys_epoll_create1(u32 flags) {
    if ((flags & ~abi::kO_CLOEXEC) != 0) return Errno::kEINVAL;
    return install(TRY(EpollFile::create()), flags);
}

Status sys_epoll_ctl(int epoll_fd, int operation, int fd, UserPtr<void> event_address) {
    EpollEvent event{};
    if (operation != kEpollCtlDel)
        event = TRY(UserPtr<const EpollEvent>(event_address.address()).read());
    auto file = TRY(file_at(epoll_fd));
    auto target = TRY(io_file_at(fd));
    if (file.get() == target.get() || file->kind() != &EpollFile::kKind) return Errno::kEINVAL;
    auto& epoll = static_cast<EpollFile&>(*file);
    switch (operation) {
        case kEpollCtlAdd: TRY(epoll.add(fd, *target, event)); return 0;
        case kEpollCtlDel: TRY(epoll.remove(fd, *target)); return 0;
        case kEpollCtlMod: TRY(epoll.modify(fd, *target, event)); return 0;
        default: return Errno::kEINVAL;
    }
}

Status sys_epoll_wait(int fd, UserPtr<void> events, int limit, int timeout_ms) {
    return epoll_wait_until(fd, UserPtr<EpollEvent>(events.address()), limit,
                            relative_deadline_ms(timeout_ms), UserPtr<const u64>(), 0);
}

Status sys_epoll_pwait(int fd, UserPtr<void> events, int limit, int timeout_ms,
                       UserPtr<const u64> mask, std::size_t mask_size) {
    return epoll_wait_until(fd, UserPtr<EpollEvent>(events.address()), limit,
                            relative_deadline_ms(timeout_ms), mask, mask_size);
}

Status sys_epoll_pwait2(int fd, UserPtr<void> events, int limit,
                        UserPtr<const abi::TimeSpec> timeout, UserPtr<const u64> mask,
                        std::size_t mask_size) {
    return epoll_wait_until(fd, UserPtr<EpollEvent>(events.address()), limit,
                            TRY(relative_deadline(timeout)), mask, mask_size);
}

Status sys_eventfd(u32 initial) { return sys_eventfd2(initial, 0); }

Status sys_eventfd2(u32 initial, u32 flags) {
    if ((flags & ~(kFileFlags | kEfdSemaphore)) != 0) return Errno::kEINVAL;
    const auto kind = (flags & kEfdSemaphore) != 0 ? posix::EventFile::Kind::kSemaphore
                                                   : posix::EventFile::Kind::kCounter;
    return install(TRY(posix::EventFile::create(initial, kind, flags & abi::kO_NONBLOCK)), flags);
}

Status sys_timerfd_create(int clock, u32 flags) {
    if ((flags & ~kFileFlags) != 0) return Errno::kEINVAL;
    TimerFile::Clock kind;
    switch (clock) {
        // The machine does not sleep: boot time is monotonic time, and an alarm need not wake it.
        case abi::kCLOCK_MONOTONIC:
        case abi::kCLOCK_BOOTTIME:
        case abi::kCLOCK_BOOTTIME_ALARM: kind = TimerFile::Clock::kMonotonic; break;
        case abi::kCLOCK_REALTIME:
        case abi::kCLOCK_REALTIME_ALARM: kind = TimerFile::Clock::kRealtime; break;
        default: return Errno::kEINVAL;
    }
    return install(TRY(TimerFile::create(kind, flags & abi::kO_NONBLOCK)), flags);
}

Status sys_timerfd_settime(int fd, u32 flags, UserPtr<const abi::ITimerSpec> value,
                           UserPtr<abi::ITimerSpec> old_value) {
    const abi::ITimerSpec wanted = TRY(value.read());
    if ((flags & ~(kTfdAbsolute | kTfdCancelOnSet)) != 0) return Errno::kEINVAL;
    const TimerFile::Setting setting {
        .value_ns = TRY(to_nanoseconds(wanted.it_value))
        , .interval_ns = TRY(to_nanoseconds(wanted.it_interval))
    };
    auto file = TRY(timer_at(fd));
    auto base = TimerFile::Base::kRelative;
    if ((flags & kTfdAbsolute) != 0) {
        base = (flags & kTfdCancelOnSet) != 0 ? TimerFile::Base::kAbsoluteCancelOnSet
                                              : TimerFile::Base::kAbsolute;
    }
    TimerFile::Setting before;
    TRY(static_cast<TimerFile&>(*file).set(setting, base, &before));
    if (old_value) TRY(old_value.write(to_itimerspec(before)));
    return 0;
}

Status sys_timerfd_gettime(int fd, UserPtr<abi::ITimerSpec> value) {
    auto file = TRY(timer_at(fd));
    TRY(value.write(to_itimerspec(static_cast<TimerFile&>(*file).get())));
    return 0;
}

}  // namespace kiln::syscalls
