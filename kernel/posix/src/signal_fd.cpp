#include <kiln/posix/signal_fd.hpp>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/base/format.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/posix/process.hpp>

namespace kiln::posix {
namespace {

constexpr char kSignalFileKind = 0;

/// signalfd_siginfo from siginfo_t: Linux fs/signalfd.c, signalfd_copyinfo.
abi::SignalFdInfo to_record(const SignalInfo& info) {
    abi::SignalFdInfo out{};
    out.ssi_signo = static_cast<std::uint32_t>(info.signo);
    out.ssi_errno = info.error;
    out.ssi_code = info.code;
    const auto low = static_cast<std::uint32_t>(info.fields[0]);
    const auto high = static_cast<std::uint32_t>(info.fields[0] >> 32);
    if (info.code == kSiTimer) {
        out.ssi_tid = low;
        out.ssi_overrun = high;
        out.ssi_ptr = info.fields[1];
        out.ssi_int = static_cast<std::int32_t>(info.fields[1]);
    } else if (info.code <= 0 || info.code == kSiKernel) {
        out.ssi_pid = low;
        out.ssi_uid = high;
        out.ssi_ptr = info.fields[1];
        out.ssi_int = static_cast<std::int32_t>(info.fields[1]);
    } else {
        out.ssi_addr = info.fields[0];
    }
    return out;
}

class SignalFile final : public vfs::File {
public:
    SignalFile(SignalSet mask, std::uint32_t flags) : File(flags | abi::kO_RDWR), mask_(mask) {}

    void set_mask(SignalSet mask) { mask_.store(mask); }

    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t*) override {
        if (to.remaining() < sizeof(abi::SignalFdInfo)) return Errno::kEINVAL;
        Task& task = Task::current();
        SignalState& state = task.process().signals();
        std::size_t done = 0;
        while (to.remaining() >= sizeof(abi::SignalFdInfo)) {
            SignalInfo info;
            if (take_signal(task, mask_.load(), &info)) {
                const abi::SignalFdInfo out = to_record(info);
                const std::size_t n = TRY(to.copy_out(&out, sizeof(out)));
                if (n < sizeof(out)) return Errno::kEFAULT;
                done += n;
                continue;
            }
            // Only the first one is waited for.
            if (done != 0) break;
            if (is_nonblocking()) return Errno::kEAGAIN;
            TRY(state.arrivals.wait([&] { return is_ready(task); }));
        }
        return done;
    }

    std::uint32_t poll(vfs::PollWaiter* waiter) override {
        Task& task = Task::current();
        if (waiter) waiter->watch(task.process().signals().arrivals);
        return is_ready(task) ? vfs::kPollIn | vfs::kPollRdNorm : 0u;
    }

    const void* kind() const override { return &kSignalFileKind; }
    std::size_t describe(std::span<char> out) const override {
        return format_to(out, "anon_inode:[signalfd]");
    }

private:
    bool is_ready(Task& task) const {
        SignalState& state = task.process().signals();
        sync::IrqSpinGuard guard(state.lock);
        return ((task.signals.pending.set() | state.pending.set()) & mask_.load()) != 0;
    }

    std::atomic<SignalSet> mask_;
};

}  // namespace

Result<Ref<vfs::File>> create_signal_file(SignalSet mask, std::uint32_t flags) {
    return Ref<vfs::File>(TRY(mem::make_ref<SignalFile>(mask, flags)));
}

Result<void> set_signal_file_mask(vfs::File& file, SignalSet mask) {
    if (file.kind() != &kSignalFileKind) return Errno::kEINVAL;
    static_cast<SignalFile&>(file).set_mask(mask);
    return {};
}

}  // namespace kiln::posix
