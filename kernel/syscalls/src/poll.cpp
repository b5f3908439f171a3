// poll(2), select(2) and their kin.
#include <algorithm>
#include <array>

#include <kiln/mem/vector.hpp>
#include <kiln/posix/poll.hpp>

#include "support.hpp"
#include "waiting.hpp"

namespace kiln::syscalls {
namespace {

// struct pollfd (include/uapi/asm-generic/poll.h).
struct PollFd {
    i32 fd;
    std::uint16_t events;
    std::uint16_t revents;
};

/// The requests of one call: few lie on the stack.
class Requests {
public:
    /// ENOMEM.
    Result<std::span<posix::PollRequest>> make(std::size_t count) {
        if (count <= few_.size()) return std::span(few_).first(count);
        TRY(many_.resize(count));
        return std::span(many_.data(), count);
    }

private:
    std::array<posix::PollRequest, 8> few_;
    mem::Vector<posix::PollRequest> many_;
};

/// EINTR as it is; the callers know how each call goes on after a signal.
Status poll_until(UserPtr<PollFd> fds, u32 count, time::Deadline deadline) {
    if (count > descriptor_limit()) return Errno::kEINVAL;
    Requests storage;
    const auto requests = TRY(storage.make(count));
    u32 invalid = 0;
    for (u32 i = 0; i < count; i++) {
        const PollFd fd = TRY((fds + i).read());
        posix::PollRequest& request = requests[i];
        if (fd.fd < 0) continue;
        request.events = fd.events;
        auto file = file_at(fd.fd);
        if (file.ok() && !(*file)->is_path_only()) {
            request.file = std::move(*file);
        } else {
            request.events = vfs::kPollNval;
            invalid++;
        }
    }
    const u32 ready =
        TRY(posix::poll_files(requests, invalid != 0 ? 0 : deadline, this_task().timer_slack_ns));
    for (u32 i = 0; i < count; i++) {
        const u32 result = requests[i].file ? requests[i].result : requests[i].events;
        const UserPtr<std::uint16_t> revents((fds + i).address() + offsetof(PollFd, revents));
        TRY(revents.write(static_cast<std::uint16_t>(result)));
    }
    return static_cast<i64>(ready + invalid);
}

i64 restart_poll(posix::Task& task);

Status poll_restartable(UserPtr<PollFd> fds, u32 count, time::Deadline deadline) {
    Status status = poll_until(fds, count, deadline);
    if (status.ok() || status.error() != Errno::kEINTR) return status;
    posix::Task& task = this_task();
    task.restart = restart_poll;
    task.restart_data[0] = fds.address();
    task.restart_data[1] = count;
    task.restart_data[2] = deadline;
    return Errno::kERESTART_RESTARTBLOCK;
}

i64 restart_poll(posix::Task& task) {
    const Status status =
        poll_restartable(UserPtr<PollFd>(task.restart_data[0]),
                         static_cast<u32>(task.restart_data[1]), task.restart_data[2]);
    return status.ok() ? *status : -static_cast<i64>(status.error());
}

// What makes a descriptor readable, writable, exceptional for select(2) (fs/select.c).
constexpr u32 kSelectIn =
    vfs::kPollRdNorm | vfs::kPollRdBand | vfs::kPollIn | vfs::kPollHup | vfs::kPollErr;
constexpr u32 kSelectOut = vfs::kPollWrBand | vfs::kPollWrNorm | vfs::kPollOut | vfs::kPollErr;
constexpr u32 kSelectExcept = vfs::kPollPri;

struct Selected {
    i32 fd;
    u32 wanted;  // bits 0 … 2: in which sets it is
};

Status select_until(int count, const std::array<UserPtr<u64>, 3>& sets, time::Deadline deadline) {
    if (count < 0) return Errno::kEINVAL;
    const u32 limit = std::min<u32>(static_cast<u32>(count), posix::FdTable::kMaxDescriptors);
    constexpr std::array<u32, 3> kMeaning = {kSelectIn, kSelectOut, kSelectExcept};
    mem::Vector<Selected> selected;
    for (u32 word = 0; word * 64 < limit; word++) {
        std::array<u64, 3> bits{};
        for (std::size_t s = 0; s < 3; s++) {
            if (sets[s]) bits[s] = TRY((sets[s] + word).read());
        }
        for (u64 any = bits[0] | bits[1] | bits[2]; any != 0; any &= any - 1) {
            const auto bit = static_cast<u32>(__builtin_ctzll(any));
            const u32 fd = word * 64 + bit;
            if (fd >= limit) break;
            u32 wanted = 0;
            for (std::size_t s = 0; s < 3; s++)
                wanted |= static_cast<u32>((bits[s] >> bit) & 1) << s;
            TRY(selected.push_back({static_cast<i32>(fd), wanted}));
        }
    }
    Requests storage;
    const auto requests = TRY(storage.make(selected.size()));
    for (std::size_t i = 0; i < selected.size(); i++) {
        requests[i].file = TRY(io_file_at(selected[i].fd));
        requests[i].always = 0;  // kMeaning has them, where select(2) has
        for (std::size_t s = 0; s < 3; s++) {
            if ((selected[i].wanted >> s & 1) != 0) requests[i].events |= kMeaning[s];
        }
    }
    TRY(posix::poll_files(requests, deadline, this_task().timer_slack_ns));
    i64 total = 0;
    std::size_t next = 0;
    for (u32 word = 0; word * 64 < limit; word++) {
        std::array<u64, 3> bits{};
        for (; next < selected.size() && static_cast<u32>(selected[next].fd) / 64 == word; next++) {
            for (std::size_t s = 0; s < 3; s++) {
                if ((selected[next].wanted >> s & 1) == 0 ||
                    (requests[next].result & kMeaning[s]) == 0)
                    continue;
                bits[s] |= u64{1} << (selected[next].fd % 64);
                total++;
            }
        }
        for (std::size_t s = 0; s < 3; s++) {
            if (sets[s]) TRY((sets[s] + word).write(bits[s]));
        }
    }
    return total;
}

/// ERESTARTNOHAND for EINTR: starts again unless a handler runs.
Status without_handler(Status status) {
    if (!status.ok() && status.error() == Errno::kEINTR) return Errno::kERESTARTNOHAND;
    return status;
}

/// The time left goes back to the caller; a call that could not say how much is left is not started again.
Status with_time_left(Status status, UserPtr<abi::TimeSpec> timeout, time::Deadline deadline) {
    if (!timeout || deadline == time::kForever) return status;
    const bool written = timeout.write(to_timespec(deadline == 0 ? 0 : time_left(deadline))).ok();
    if (!written && !status.ok() && status.error() == Errno::kERESTARTNOHAND) return Errno::kEINTR;
    return status;
}

}  // namespace

Status sys_poll(UserPtr<void> fds, u32 count, int timeout_ms) {
    return poll_restartable(UserPtr<PollFd>(fds.address()), count,
                            relative_deadline_ms(timeout_ms));
}

Status sys_ppoll(UserPtr<void> fds, u32 count, UserPtr<abi::TimeSpec> timeout,
                 UserPtr<const u64> mask, std::size_t mask_size) {
    const time::Deadline deadline =
        TRY(relative_deadline(UserPtr<const abi::TimeSpec>(timeout.address())));
    TemporaryMask temporary;
    TRY(temporary.begin(mask, mask_size));
    Status status = without_handler(poll_until(UserPtr<PollFd>(fds.address()), count, deadline));
    if (!status.ok() && status.error() == Errno::kERESTARTNOHAND) temporary.interrupted();
    return with_time_left(std::move(status), timeout, deadline);
}

Status sys_select(int count, UserPtr<u64> read_set, UserPtr<u64> write_set, UserPtr<u64> except_set,
                  UserPtr<abi::TimeVal> timeout) {
    time::Deadline deadline = time::kForever;
    if (timeout) {
        // select(2) takes microseconds beyond a second, too.
        const abi::TimeVal t = TRY(timeout.read());
        if (t.tv_sec < 0 || t.tv_usec < 0) return Errno::kEINVAL;
        const u64 ns =
            TRY(to_nanoseconds({t.tv_sec + t.tv_usec / 1'000'000, t.tv_usec % 1'000'000 * 1000}));
        deadline = ns == 0 ? 0 : time::deadline_after(ns);
    }
    Status status =
        without_handler(select_until(count, {read_set, write_set, except_set}, deadline));
    if (timeout && deadline != time::kForever) {
        const bool written =
            timeout.write(to_timeval(deadline == 0 ? 0 : time_left(deadline))).ok();
        if (!written && !status.ok() && status.error() == Errno::kERESTARTNOHAND)
            return Errno::kEINTR;
    }
    return status;
}

Status sys_pselect6(int count, UserPtr<u64> read_set, UserPtr<u64> write_set,
                    UserPtr<u64> except_set, UserPtr<abi::TimeSpec> timeout,
                    UserPtr<const u64> mask_argument) {
    // The sixth argument points to the mask's address and its size.
    u64 mask[2] = {};
    if (mask_argument) TRY(mask_argument.read_array(mask));
    const time::Deadline deadline =
        TRY(relative_deadline(UserPtr<const abi::TimeSpec>(timeout.address())));
    TemporaryMask temporary;
    TRY(temporary.begin(UserPtr<const u64>(mask[0]), mask[1]));
    Status status =
        without_handler(select_until(count, {read_set, write_set, except_set}, deadline));
    if (!status.ok() && status.error() == Errno::kERESTARTNOHAND) temporary.interrupted();
    return with_time_left(std::move(status), timeout, deadline);
}

}  // namespace kiln::syscalls
