#include <kiln/tty/console.hpp>

#include <algorithm>
#include <atomic>

#include <kiln/abi/formats/launch.hpp>
#include <kiln/abi/linux/stat.hpp>
#include <kiln/base/format.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/tty/line_discipline.hpp>
#include <kiln/vfs/device.hpp>

namespace kiln::tty {
namespace {

using namespace abi;

constexpr int kSigWinch = 28;
constexpr std::size_t kChunk = 256;
constexpr std::uint64_t kNsPerTenth = 100'000'000;

class ConsoleEcho final : public EchoSink {
public:
    explicit ConsoleEcho(const LineDiscipline& discipline) : discipline_(discipline) {}
    void echo(std::string_view bytes) override {
        char out[16];
        while (!bytes.empty()) {
            const std::string_view part = bytes.substr(0, sizeof(out) / 2);
            hal::console_write({out, discipline_.process_output(part, out)});
            bytes.remove_prefix(part.size());
        }
    }

private:
    const LineDiscipline& discipline_;
};

/// What comes as a pipe's contents: bytes until an escaped end.
class PipeInput {
public:
    static constexpr std::size_t kSize = 8192;
    // A byte may become two (a DLE that introduces nothing).
    bool can_receive() const { return head_ - tail_ + 2 <= kSize && !ended_; }
    void receive(char c) {
        if (!escaped_) {
            if (static_cast<std::uint8_t>(c) == kStdinEscape) {
                escaped_ = true;
            } else {
                push(c);
            }
            return;
        }
        escaped_ = false;
        if (static_cast<std::uint8_t>(c) == kStdinEscapedEnd) {
            ended_ = true;
        } else {
            push(static_cast<char>(kStdinEscape));
            if (static_cast<std::uint8_t>(c) != kStdinEscape) push(c);
        }
    }
    std::size_t available() const { return head_ - tail_; }
    bool has_ended() const { return ended_; }
    std::size_t read(std::span<char> out) {
        const std::size_t n = std::min<std::size_t>(out.size(), head_ - tail_);
        for (std::size_t i = 0; i < n; i++) out[i] = buffer_[tail_++ % kSize];
        return n;
    }

private:
    void push(char c) { buffer_[head_++ % kSize] = c; }
    std::uint32_t head_ = 0;
    std::uint32_t tail_ = 0;
    bool escaped_ = false;
    bool ended_ = false;
    char buffer_[kSize] = {};
};

struct State {
    LineDiscipline discipline;
    PipeInput pipe;
    WinSize window{};
    InputMode mode = InputMode::kTerminal;
    bool settings_made = false;
    bool input_paused = false;
    std::int32_t foreground = 0;  // process group; set with the settings
};

constinit State state;  // guarded by state_lock
constinit sync::SpinLock state_lock{sync::LockRank::kTerminal};
constinit sched::WaitQueue readable;
constinit sched::WaitQueue writable;  // after ^Q
// Long writes don't mix; short ones are one call of the console's.
constinit sched::Mutex write_lock{sync::LockRank::kPipe};
constinit std::atomic<void (*)(int, std::int32_t)> signal_hook{nullptr};
constinit std::atomic<bool> input_enabled{false};
// Read by writers without the lock.
constinit std::atomic<bool> output_stopped{false};

void make_settings_locked() {
    if (state.settings_made) return;
    state.settings_made = true;
    state.foreground = 1;  // the first process leads its group
    state.discipline.set_settings(default_termios());
}

// Takes what the console has as long as there is room; the rest waits in the device, so that whoever
// feeds it waits, too.
void drain() {
    int signal = 0;
    std::int32_t group = 0;
    bool any = false;
    {
        sync::IrqSpinGuard guard(state_lock);
        make_settings_locked();
        ConsoleEcho echo(state.discipline);
        const bool terminal = state.mode == InputMode::kTerminal;
        for (;;) {
            const bool room = terminal ? state.discipline.can_receive() : state.pipe.can_receive();
            if (room == state.input_paused) {
                state.input_paused = !room;
                hal::console_pause_input(!room);
            }
            char c;
            if (!room || !hal::console_read(&c)) break;
            any = true;
            if (terminal) {
                if (const int s = state.discipline.receive(c, echo)) signal = s;
            } else {
                state.pipe.receive(c);
            }
        }
        group = state.foreground;
        output_stopped.store(state.discipline.is_stopped(), std::memory_order_relaxed);
    }
    if (!any) return;
    readable.wake_all(vfs::kPollIn | vfs::kPollRdNorm | vfs::kPollHup);
    if (!output_stopped.load(std::memory_order_relaxed) && writable.has_waiters())
        writable.wake_all();
    if (signal != 0) {
        if (auto* hook = signal_hook.load(std::memory_order_acquire)) hook(signal, group);
    }
}

constinit std::atomic<std::uint32_t> drain_requests{0};

// One drains at a time, for all who ask meanwhile: an interrupt never waits here for a thread, and
// starting the input again may call back at once.
void pump() {
    if (drain_requests.fetch_add(1, std::memory_order_acq_rel) != 0) return;
    std::uint32_t served;
    do {
        served = drain_requests.load(std::memory_order_acquire);
        drain();
    } while (drain_requests.fetch_sub(served, std::memory_order_acq_rel) != served);
}

void enable_input() {
    if (input_enabled.exchange(true, std::memory_order_acq_rel)) return;
    hal::console_enable_input_interrupt(pump);
    pump();  // what came before
}

template <typename Output>
Result<std::size_t> write_chunks(mem::IoBuffer& from, Output output) {
    std::size_t total = 0;
    char chunk[kChunk];
    while (from.remaining() != 0) {
        const std::size_t wanted = std::min(from.remaining(), sizeof(chunk));
        const Result<std::size_t> n = from.copy_in(chunk, wanted);
        if (!n.ok()) {
            if (total == 0) return n.error();
            break;
        }
        output(std::string_view(chunk, n.value()));
        total += n.value();
        if (n.value() < wanted) break;
    }
    return total;
}

template <typename Output>
Result<std::size_t> write_all(mem::IoBuffer& from, Output output) {
    if (from.remaining() <= kChunk) return write_chunks(from, output);
    sched::MutexGuard guard(write_lock);
    return write_chunks(from, output);
}

class TerminalFile final : public vfs::File {
public:
    explicit TerminalFile(std::uint32_t flags) : File(flags) {}

    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t*) override {
        if (output_stopped.load(std::memory_order_relaxed)) {
            if (is_nonblocking()) return Errno::kEAGAIN;
            TRY(writable.wait([] { return !output_stopped.load(); }));
        }
        return write_all(from, [](std::string_view bytes) {
            char out[2 * kChunk];
            // The settings may change meanwhile: single words, read as they are.
            hal::console_write({out, state.discipline.process_output(bytes, out)});
        });
    }

    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t*) override {
        enable_input();
        if (to.remaining() == 0) return std::size_t{0};
        TRY(wait_for_input(to.remaining()));
        std::size_t total = 0;
        bool line = false;
        char chunk[kChunk];
        do {
            std::size_t n;
            bool more;
            {
                sync::IrqSpinGuard guard(state_lock);
                line = state.discipline.is_canonical();
                n = state.discipline.read({chunk, std::min(to.remaining(), sizeof(chunk))});
                more = n == sizeof(chunk) &&
                       (line ? chunk[n - 1] != '\n' && state.discipline.has_line()
                             : state.discipline.available() != 0);
            }
            const Result<std::size_t> moved =
                n == 0 ? Result<std::size_t>(n) : to.copy_out(chunk, n);
            if (!moved.ok()) {
                if (total == 0) return moved.error();
                break;
            }
            total += n;
            if (!more) break;
        } while (to.remaining() != 0);
        pump();  // there is room again
        return total;
    }

    std::uint32_t poll(vfs::PollWaiter* waiter) override {
        enable_input();
        if (waiter) waiter->watch(readable);
        sync::IrqSpinGuard guard(state_lock);
        const bool ready = state.discipline.is_canonical() ? state.discipline.has_line()
                                                           : state.discipline.available() != 0;
        return (ready ? vfs::kPollIn | vfs::kPollRdNorm : 0u) |
               (state.discipline.is_stopped() ? 0u : vfs::kPollOut | vfs::kPollWrNorm);
    }

    Result<std::int64_t> ioctl(std::uint32_t request, std::uintptr_t argument) override;

private:
    // POSIX.1-2017, 11.1.7: MIN and TIME.
    Result<void> wait_for_input(std::size_t wanted) {
        std::uint8_t min = 0;
        std::uint8_t tenths = 0;
        bool canonical;
        {
            sync::IrqSpinGuard guard(state_lock);
            make_settings_locked();
            canonical = state.discipline.is_canonical();
            min = state.discipline.settings().c_cc[kVMIN];
            tenths = state.discipline.settings().c_cc[kVTIME];
        }
        const auto bytes = [] {
            sync::IrqSpinGuard guard(state_lock);
            return state.discipline.is_canonical()
                       ? (state.discipline.has_line() ? std::size_t{kChunk} : 0)
                       : state.discipline.available();
        };
        if (is_nonblocking()) {
            if (bytes() != 0) return {};
            if (!canonical && min == 0) return {};
            return Errno::kEAGAIN;
        }
        if (canonical) return readable.wait([&] { return bytes() != 0; });
        const std::size_t enough = std::min<std::size_t>(wanted, std::max<std::uint8_t>(min, 1));
        if (min == 0) {
            if (tenths == 0) return {};
            return ignore_timeout(readable.wait([&] { return bytes() != 0; },
                                                sched::Interruptible::kYes,
                                                time::deadline_after(tenths * kNsPerTenth)));
        }
        if (tenths == 0) return readable.wait([&] { return bytes() >= enough; });
        // The time between bytes, from the first one on.
        TRY(readable.wait([&] { return bytes() != 0; }));
        for (;;) {
            const std::size_t before = bytes();
            if (before >= enough) return {};
            const Result<void> next =
                readable.wait([&] { return bytes() > before; }, sched::Interruptible::kYes,
                              time::deadline_after(tenths * kNsPerTenth));
            if (!next.ok()) return ignore_timeout(next.error());
        }
    }
    static Result<void> ignore_timeout(Result<void> result) {
        return result.error() == Errno::kETIMEDOUT ? Result<void>() : std::move(result);
    }
};

Result<void> set_settings(std::uintptr_t argument, std::uint32_t request) {
    const Termios settings = TRY(mem::UserPtr<Termios>(argument).read());
    {
        sync::IrqSpinGuard guard(state_lock);
        make_settings_locked();
        if (request == kTCSETSF) state.discipline.flush_input();
        state.discipline.set_settings(settings);
        output_stopped.store(state.discipline.is_stopped(), std::memory_order_relaxed);
    }
    readable.wake_all();
    writable.wake_all();
    return {};
}

Result<std::int64_t> TerminalFile::ioctl(std::uint32_t request, std::uintptr_t argument) {
    switch (request) {
        case kTCGETS: {
            Termios settings;
            {
                sync::IrqSpinGuard guard(state_lock);
                make_settings_locked();
                settings = state.discipline.settings();
            }
            TRY(mem::UserPtr<Termios>(argument).write(settings));
            return std::int64_t{0};
        }
        case kTCSETS:
        case kTCSETSW:  // output is written before write() returns: nothing to wait for
        case kTCSETSF: TRY(set_settings(argument, request)); return std::int64_t{0};
        case kTIOCGWINSZ: {
            WinSize size;
            {
                sync::IrqSpinGuard guard(state_lock);
                size = state.window;
            }
            TRY(mem::UserPtr<WinSize>(argument).write(size));
            return std::int64_t{0};
        }
        case kTIOCSWINSZ: {
            const WinSize size = TRY(mem::UserPtr<WinSize>(argument).read());
            bool changed;
            std::int32_t group;
            {
                sync::IrqSpinGuard guard(state_lock);
                changed = size.ws_row != state.window.ws_row || size.ws_col != state.window.ws_col;
                state.window = size;
                group = state.foreground;
            }
            if (auto* hook = signal_hook.load(std::memory_order_acquire); changed && hook)
                hook(kSigWinch, group);
            return std::int64_t{0};
        }
        case kFIONREAD: {
            enable_input();
            std::int32_t n;
            {
                sync::IrqSpinGuard guard(state_lock);
                n = static_cast<std::int32_t>(state.discipline.available());
            }
            TRY(mem::UserPtr<std::int32_t>(argument).write(n));
            return std::int64_t{0};
        }
        case kTIOCOUTQ: TRY(mem::UserPtr<std::int32_t>(argument).write(0)); return std::int64_t{0};
        case kTCSBRK: return std::int64_t{0};  // tcdrain(): all output is out
        case kTCFLSH:
            if (argument > 2) return Errno::kEINVAL;
            if (argument != 1) {  // TCIFLUSH 0, TCOFLUSH 1, TCIOFLUSH 2
                sync::IrqSpinGuard guard(state_lock);
                state.discipline.flush_input();
            }
            return std::int64_t{0};
        case kTCXONC:
            if (argument > 3) return Errno::kEINVAL;
            if (argument <= 1) {  // TCOOFF 0, TCOON 1; TCIOFF and TCION ask the other end
                {
                    sync::IrqSpinGuard guard(state_lock);
                    state.discipline.set_stopped(argument == 0);
                    output_stopped.store(argument == 0);
                }
                writable.wake_all();
            }
            return std::int64_t{0};
        case kTIOCGPGRP: {
            std::int32_t group;
            {
                sync::IrqSpinGuard guard(state_lock);
                group = state.foreground;
            }
            TRY(mem::UserPtr<std::int32_t>(argument).write(group));
            return std::int64_t{0};
        }
        case kTIOCSPGRP: {
            const std::int32_t group = TRY(mem::UserPtr<std::int32_t>(argument).read());
            if (group < 0) return Errno::kEINVAL;
            sync::IrqSpinGuard guard(state_lock);
            state.foreground = group;
            return std::int64_t{0};
        }
        case kTIOCGSID:
            // The console is the terminal of the first session.
            TRY(mem::UserPtr<std::int32_t>(argument).write(1));
            return std::int64_t{0};
        case kTIOCSCTTY: return std::int64_t{0};
        default: return Errno::kENOTTY;
    }
}

// As fstat(2) shows the end of a pipe.
class PipeFile : public vfs::File {
public:
    Result<vfs::Attributes> attributes() override {
        vfs::Attributes a = vfs::anonymous_attributes(vfs::kModeFifo | 0600);
        a.inode_number = number_;
        return a;
    }
    std::size_t describe(std::span<char> out) const override {
        return format_to(out, "pipe:[{}]", number_);
    }

protected:
    PipeFile(std::uint32_t flags, std::uint64_t number) : File(flags), number_(number) {}

private:
    const std::uint64_t number_;
};

class PipeOutputFile final : public PipeFile {
public:
    PipeOutputFile() : PipeFile(kO_WRONLY, 2) {}
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t*) override {
        return write_all(from, [](std::string_view bytes) { hal::console_write(bytes); });
    }
    std::uint32_t poll(vfs::PollWaiter*) override { return vfs::kPollOut | vfs::kPollWrNorm; }
};

class PipeInputFile final : public PipeFile {
public:
    PipeInputFile() : PipeFile(kO_RDONLY, 1) {}
    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t*) override {
        enable_input();
        if (to.remaining() == 0) return std::size_t{0};
        const auto ready = [] {
            sync::IrqSpinGuard guard(state_lock);
            return state.pipe.available() != 0 || state.pipe.has_ended();
        };
        if (is_nonblocking()) {
            if (!ready()) return Errno::kEAGAIN;
        } else {
            TRY(readable.wait(ready));
        }
        std::size_t total = 0;
        char chunk[kChunk];
        while (to.remaining() != 0) {
            std::size_t n;
            {
                sync::IrqSpinGuard guard(state_lock);
                n = state.pipe.read({chunk, std::min(to.remaining(), sizeof(chunk))});
            }
            if (n == 0) break;
            const Result<std::size_t> moved = to.copy_out(chunk, n);
            if (!moved.ok()) {
                if (total == 0) return moved.error();
                break;
            }
            total += n;
        }
        pump();
        return total;
    }
    std::uint32_t poll(vfs::PollWaiter* waiter) override {
        enable_input();
        if (waiter) waiter->watch(readable);
        sync::IrqSpinGuard guard(state_lock);
        return (state.pipe.available() != 0 ? vfs::kPollIn | vfs::kPollRdNorm : 0u) |
               (state.pipe.has_ended() ? std::uint32_t{vfs::kPollHup} : 0u);
    }
    Result<std::int64_t> ioctl(std::uint32_t request, std::uintptr_t argument) override {
        if (request != kFIONREAD) return Errno::kENOTTY;
        enable_input();
        std::int32_t n;
        {
            sync::IrqSpinGuard guard(state_lock);
            n = static_cast<std::int32_t>(state.pipe.available());
        }
        TRY(mem::UserPtr<std::int32_t>(argument).write(n));
        return std::int64_t{0};
    }
};

Result<Ref<vfs::File>> open_console_device(const vfs::OpenContext& context) {
    return open_terminal(context.flags);
}

Result<Ref<vfs::File>> open_controlling_terminal(const vfs::OpenContext& context) {
    {
        sync::IrqSpinGuard guard(state_lock);
        // tty(4): ENXIO without a controlling terminal.
        if (state.mode != InputMode::kTerminal) return Errno::kENXIO;
    }
    return open_terminal(context.flags);
}

}  // namespace

void set_input_mode(InputMode mode) {
    sync::IrqSpinGuard guard(state_lock);
    state.mode = mode;
}

void set_window_size(std::uint16_t rows, std::uint16_t columns) {
    sync::IrqSpinGuard guard(state_lock);
    state.window = {rows, columns, 0, 0};
}

void set_signal_hook(void (*hook)(int, std::int32_t)) {
    signal_hook.store(hook, std::memory_order_release);
}

Result<Ref<vfs::File>> open_terminal(std::uint32_t flags) {
    Ref<vfs::File> file = TRY(mem::make_ref<TerminalFile>(flags));
    {
        sync::IrqSpinGuard guard(state_lock);
        make_settings_locked();
    }
    // From now on ^C is heard, whether somebody reads or not.
    if (file->is_readable()) enable_input();
    return file;
}

Result<Ref<vfs::File>> open_pipe_input() {
    return Ref<vfs::File>(TRY(mem::make_ref<PipeInputFile>()));
}
Result<Ref<vfs::File>> open_pipe_output() {
    return Ref<vfs::File>(TRY(mem::make_ref<PipeOutputFile>()));
}

}  // namespace kiln::tty

KILN_CHAR_DEVICE(console, "console", 5, 1, 0600, kiln::tty::open_console_device);
KILN_CHAR_DEVICE(tty, "tty", 5, 0, 0666, kiln::tty::open_controlling_terminal);
