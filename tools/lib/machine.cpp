#include "lib/machine.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <kiln/abi/formats/end_record.hpp>
#include <kiln/abi/formats/launch.hpp>

#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/process.hpp"

namespace kiln::tool {
namespace {

constexpr std::size_t kMaxCommandLine = 4095;  // QEMU copies at most 4096 bytes of -append for PVH
constexpr std::size_t kChunk = 4096;  // PIPE_BUF: a ready pipe takes this much without blocking
constexpr std::size_t kMaxBuffered = 64 * 1024;
constexpr std::size_t kMaxErrors = 8 * 1024;

std::string memory_argument(std::uint64_t bytes) {
    constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
    return bytes % kMiB == 0 ? fmt::format("{}M", bytes / kMiB)
                             : fmt::format("{}K", (bytes + 1023) / 1024);
}

// The terminal in raw mode, as it was before when the object goes. Signals by key stay only for
// Ctrl-C, which ends the machine.
class RawTerminal {
public:
    explicit RawTerminal(bool wanted) {
        if (!wanted || ::tcgetattr(STDIN_FILENO, &saved_) != 0) {
            return;
        }
        termios raw = saved_;
        ::cfmakeraw(&raw);
        raw.c_lflag |= ISIG;
        raw.c_cc[VQUIT] = _POSIX_VDISABLE;
        raw.c_cc[VSUSP] = _POSIX_VDISABLE;
        active_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    ~RawTerminal() {
        if (active_) {
            ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
        }
    }

private:
    termios saved_{};
    bool active_ = false;
};

// A child that does not outlive the object.
class Child {
public:
    explicit Child(pid_t pid) : pid_{pid} {}
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (!ended_) {
            ::kill(pid_, SIGKILL);
            while (::waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
            }
        }
    }
    bool poll_end() {
        if (!ended_ && ::waitpid(pid_, &wait_status_, WNOHANG) == pid_) {
            ended_ = true;
        }
        return ended_;
    }
    void signal(int number) const {
        if (!ended_) {
            ::kill(pid_, number);
        }
    }
    int wait_status() const { return wait_status_; }

private:
    pid_t pid_;
    int wait_status_ = 0;
    bool ended_ = false;
};

// The signals we handle, blocked and readable from a descriptor; as before when the object goes.
class Signals {
public:
    Signals() {
        ::sigemptyset(&set_);
        for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) {
            ::sigaddset(&set_, number);
        }
        ::sigprocmask(SIG_BLOCK, &set_, &saved_);
        fd_.reset(::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
        old_pipe_ = ::signal(SIGPIPE, SIG_IGN);
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    ~Signals() {
        ::signal(SIGPIPE, old_pipe_);
        ::sigprocmask(SIG_SETMASK, &saved_, nullptr);
    }
    int fd() const { return fd_.get(); }
    const sigset_t& saved() const { return saved_; }

    // The next one that arrived, or 0.
    int next() const {
        signalfd_siginfo info{};
        return ::read(fd_.get(), &info, sizeof(info)) == sizeof(info)
                   ? static_cast<int>(info.ssi_signo)
                   : 0;
    }

private:
    sigset_t set_{};
    sigset_t saved_{};
    UniqueFd fd_;
    void (*old_pipe_)(int) = SIG_DFL;
};

struct Pair {
    UniqueFd ours;
    UniqueFd theirs;
};

Pair make_socket_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        fail("cannot make a socket pair: {}", errno_text(errno));
    }
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

Pair make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        fail("cannot make a pipe: {}", errno_text(errno));
    }
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

pid_t start(const std::vector<std::string>& command, const sigset_t& mask,
            std::initializer_list<int> kept, int errors) {
    const std::string program = find_program(command.front());
    if (program.empty()) {
        fail("{} is missing; `apt install qemu-system-x86` brings it", command.front());
    }
    std::vector<char*> argv;
    for (const std::string& word : command) {
        argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
        fail("cannot start {}: {}", program, errno_text(errno));
    }
    if (pid > 0) {
        return pid;
    }
    // In the child: only async-signal-safe calls.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(127);
    }
    ::setpgid(0, 0);  // the terminal's Ctrl-C is for us, not for QEMU
    ::signal(SIGPIPE, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
    for (const int fd : kept) {
        if (fd >= 0) {
            ::fcntl(fd, F_SETFD, 0);
        }
    }
    ::execv(program.c_str(), argv.data());
    ::dprintf(STDERR_FILENO, "cannot start %s\n", program.c_str());
    ::_exit(127);
}

// Reads what is there into `buffer`, dropping the oldest bytes beyond `limit`. False at the end of
// the stream.
bool drain(int fd, std::string& buffer, std::size_t limit) {
    char bytes[kChunk];
    for (;;) {
        const ssize_t got = ::read(fd, bytes, sizeof(bytes));
        if (got > 0) {
            buffer.append(bytes, static_cast<std::size_t>(got));
            if (buffer.size() > limit) {
                buffer.erase(0, buffer.size() - limit);
            }
        } else if (got == 0) {
            return false;
        } else if (errno != EINTR) {
            return errno == EAGAIN;
        }
    }
}

double now_s() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The pump between our descriptors and the machine's.
class Pump {
public:
    Pump(const RunOptions& run, Signals& signals, Child& child, int console, int end_record,
         int errors)
        : run_{run},
          signals_{signals},
          child_{child},
          console_{console},
          end_record_{end_record},
          errors_{errors} {}

    RunResult run();

private:
    void handle_signals();
    void read_input();
    void write_console();
    void read_console();
    void write_output();
    void stop(int status, const std::string& why);
    void finish_output();

    const RunOptions& run_;
    Signals& signals_;
    Child& child_;
    int console_;
    int end_record_;
    int errors_;
    bool input_ready_ = false;  // the guest takes what we send
    bool input_open_ = true;
    bool console_open_ = true;
    bool end_open_ = true;
    bool errors_open_ = true;
    bool output_broken_ = false;
    std::string to_guest_;
    std::string from_guest_;
    std::string end_text_;
    std::string error_text_;
    std::optional<RunResult> stopped_;  // we ended the machine: what it amounts to
    double kill_at_s_ = 0;              // when a machine told to end is killed; 0: not told
};

void Pump::stop(int status, const std::string& why) {
    if (stopped_) {
        child_.signal(SIGKILL);
        return;
    }
    stopped_ = RunResult{status, why};
    kill_at_s_ = now_s() + 3;
    child_.signal(SIGTERM);
}

void Pump::handle_signals() {
    while (const int number = signals_.next()) {
        if (number != SIGCHLD) {
            stop(abi::kStatusSignalBase + number, "");
        }
    }
}

void Pump::read_input() {
    char bytes[kChunk];
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof(bytes));
    if (got > 0) {
        const std::string_view text{bytes, static_cast<std::size_t>(got)};
        if (run_.input == ConsoleInput::kPipe) {
            escape_input(text, to_guest_);
        } else {
            to_guest_ += text;
        }
        return;
    }
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    // The end, a closed descriptor, or a terminal we may not read from (in the background): all an
    // end of input.
    input_open_ = false;
    if (run_.input == ConsoleInput::kPipe) {
        to_guest_ += static_cast<char>(abi::kStdinEscape);
        to_guest_ += static_cast<char>(abi::kStdinEscapedEnd);
    }
}

void Pump::write_console() {
    const ssize_t done = ::send(console_, to_guest_.data(), to_guest_.size(), MSG_NOSIGNAL);
    if (done > 0) {
        to_guest_.erase(0, static_cast<std::size_t>(done));
    } else if (done < 0 && errno != EAGAIN && errno != EINTR) {
        to_guest_.clear();
        input_open_ = false;
    }
}

void Pump::read_console() {
    char bytes[kChunk];
    const ssize_t got = ::read(console_, bytes, sizeof(bytes));
    if (got > 0) {
        if (!output_broken_) {
            from_guest_.append(bytes, static_cast<std::size_t>(got));
        }
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        console_open_ = false;
    }
}

void Pump::write_output() {
    const ssize_t done =
        ::write(STDOUT_FILENO, from_guest_.data(), std::min(from_guest_.size(), kChunk));
    if (done > 0) {
        from_guest_.erase(0, static_cast<std::size_t>(done));
    } else if (done < 0 && errno != EAGAIN && errno != EINTR) {
        // Whoever read our output is gone: what a program without SIGPIPE handling dies of.
        output_broken_ = true;
        from_guest_.clear();
        if (errno == EPIPE) {
            stop(abi::kStatusSignalBase + SIGPIPE, "");
        } else {
            stop(abi::kStatusToolError,
                 fmt::format("cannot write the program's output: {}", errno_text(errno)));
        }
    }
}

void Pump::finish_output() {
    while (console_open_ && ::poll(nullptr, 0, 0) == 0) {
        const std::size_t before = from_guest_.size();
        read_console();
        if (from_guest_.size() == before) {
            break;
        }
    }
    // A signal now ends the wait for a reader that is in no hurry.
    while (!from_guest_.empty()) {
        pollfd fds[2] = {{STDOUT_FILENO, POLLOUT, 0}, {signals_.fd(), POLLIN, 0}};
        ::poll(fds, 2, -1);
        if ((fds[1].revents & POLLIN) != 0 && signals_.next() != SIGCHLD) {
            break;
        }
        if (fds[0].revents != 0) {
            write_output();
        }
    }
    drain(end_record_, end_text_, kMaxErrors);
    drain(errors_, error_text_, kMaxErrors);
}

RunResult Pump::run() {
    const double deadline = run_.timeout_s ? now_s() + *run_.timeout_s : 0;
    while (!child_.poll_end()) {
        pollfd fds[6];
        nfds_t count = 0;
        const auto watch = [&](int fd, short events) {
            fds[count] = {fd, events, 0};
            return count++;
        };
        const auto at_signals = watch(signals_.fd(), POLLIN);
        const auto at_console =
            watch(console_open_ ? console_ : -1,
                  static_cast<short>((from_guest_.size() < kMaxBuffered ? POLLIN : 0) |
                                     (to_guest_.empty() ? 0 : POLLOUT)));
        const auto at_end = watch(end_open_ ? end_record_ : -1, POLLIN);
        const auto at_errors = watch(errors_open_ ? errors_ : -1, POLLIN);
        const auto at_input = watch(
            input_ready_ && input_open_ && to_guest_.size() < kMaxBuffered ? STDIN_FILENO : -1,
            POLLIN);
        const auto at_output = watch(from_guest_.empty() ? -1 : STDOUT_FILENO, POLLOUT);

        int wait_ms = -1;
        const double now = now_s();
        const double next = kill_at_s_ != 0 ? kill_at_s_ : deadline;
        if (next != 0) {
            wait_ms = static_cast<int>(std::clamp((next - now) * 1000 + 1, 0.0, 1e9));
        }
        if (::poll(fds, count, wait_ms) < 0 && errno != EINTR) {
            fail("poll failed: {}", errno_text(errno));
        }
        if (fds[at_signals].revents != 0) {
            handle_signals();
        }
        if ((fds[at_console].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            read_console();
        }
        if ((fds[at_console].revents & POLLOUT) != 0) {
            write_console();
        }
        if (fds[at_end].revents != 0) {
            end_open_ = drain(end_record_, end_text_, kMaxErrors);
            input_ready_ =
                input_ready_ || end_text_.find(abi::kInputReadyLine) != std::string::npos;
        }
        if (fds[at_errors].revents != 0) {
            errors_open_ = drain(errors_, error_text_, kMaxErrors);
        }
        if (fds[at_input].revents != 0) {
            read_input();
        }
        if (fds[at_output].revents != 0) {
            write_output();
        }
        if (kill_at_s_ != 0 && now_s() >= kill_at_s_) {
            child_.signal(SIGKILL);
            kill_at_s_ = now_s() + 3600;
        } else if (deadline != 0 && !stopped_ && now_s() >= deadline) {
            stop(kStatusTimeout, fmt::format("{}: not ended after {} s (--timeout)",
                                             run_.program_name, *run_.timeout_s));
        }
    }
    finish_output();
    // The program may have ended by itself in the moment we told the machine to; then its own
    // status counts.
    const RunResult judged =
        judge_end(end_text_, child_.wait_status(), error_text_, run_.program_name);
    const bool has_record = end_text_.find(abi::kEndRecordPrefix) != std::string::npos;
    return stopped_ && !has_record ? *stopped_ : judged;
}

}  // namespace

void escape_input(std::string_view bytes, std::string& out) {
    for (const char byte : bytes) {
        out += byte;
        if (byte == static_cast<char>(abi::kStdinEscape)) {
            out += byte;
        }
    }
}

std::string kernel_command_line(const std::vector<std::string>& arguments) {
    std::string line;
    for (const std::string& argument : arguments) {
        if (argument == "--") {
            fail("--kernel-arg --: what follows TARGET are the program's arguments");
        }
        if (!line.empty()) {
            line += ' ';
        }
        const bool plain =
            !argument.empty() && argument.find_first_of(" \t\n\"\\") == std::string::npos;
        if (plain) {
            line += argument;
            continue;
        }
        line += '"';
        for (const char c : argument) {
            if (c == '"' || c == '\\') {
                line += '\\';
            }
            line += c;
        }
        line += '"';
    }
    if (line.size() > kMaxCommandLine) {
        fail("the kernel's command line is {} bytes long; at most {} are possible", line.size(),
             kMaxCommandLine);
    }
    return line;
}

std::vector<std::string> qemu_command(const MachineOptions& options) {
    const char* const program = std::getenv("KILN_QEMU");
    std::vector<std::string> command = {
        program != nullptr && program[0] != '\0' ? program : "qemu-system-x86_64"};
    const auto add = [&command](std::initializer_list<std::string> words) {
        command.insert(command.end(), words);
    };

    if (options.accelerator == Accelerator::kKvm) {
        add({"-accel", "kvm", "-cpu", "host"});
    } else {
        add({"-accel", "tcg", "-cpu", "max"});
    }
    if (options.machine == "microvm") {
        // Without the devices that the kernel has no use for, and without a BIOS that looks for
        // them.
        add({"-M", "microvm,acpi=off,pit=off,pic=off,x-option-roms=off,auto-kernel-cmdline=off"});
    } else {
        add({"-M", options.machine});
    }
    add({"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"});
    add({"-m", memory_argument(options.memory_bytes)});
    if (options.cpus != 1) {
        add({"-smp", std::to_string(options.cpus)});
    }
    if (!options.name.empty()) {
        add({"-name", options.name});
    }
    if (options.console_fd >= 0) {
        add({"-chardev", fmt::format("socket,id=console,fd={}", options.console_fd)});
    } else {
        add({"-chardev", "stdio,id=console"});
    }
    add({"-serial", "chardev:console"});
    if (options.end_record_fd >= 0) {
        add({"-chardev", fmt::format("socket,id=end,fd={}", options.end_record_fd)});
        add({"-device", fmt::format("isa-debugcon,iobase={:#x},chardev=end", abi::kEndRecordPort)});
    }
    add({"-device", fmt::format("isa-debug-exit,iobase={:#x},iosize=0x4", abi::kDebugExitPort)});
    add({"-kernel", options.kernel});
    if (const std::string line = kernel_command_line(options.kernel_arguments); !line.empty()) {
        add({"-append", line});
    }
    if (!options.initrd.empty()) {
        add({"-initrd", options.initrd});
    }
    return command;
}

RunResult judge_end(std::string_view end_record, int wait_status, std::string_view qemu_errors,
                    const std::string& program_name) {
    for (std::string_view rest = end_record; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const auto record = abi::parse_end_record(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (!record) {
            continue;
        }
        const int status = abi::end_status(*record);
        switch (record->kind) {
            case abi::EndKind::kExit:
            case abi::EndKind::kSignal: return {status, ""};
            case abi::EndKind::kPanic:
                return {status, fmt::format("the kernel panicked: {}", record->reason)};
            case abi::EndKind::kOutOfMemory:
                return {status, fmt::format("{}: out of memory: {}; -m gives more", program_name,
                                            record->reason)};
            case abi::EndKind::kError:
                return {status, fmt::format("{}: {}", program_name, record->reason)};
        }
    }
    std::string errors{qemu_errors};
    while (errors.ends_with('\n')) {
        errors.pop_back();
    }
    const std::string how = WIFSIGNALED(wait_status)
                                ? fmt::format("was killed by signal {}", WTERMSIG(wait_status))
                                : fmt::format("ended with status {}", WEXITSTATUS(wait_status));
    return {abi::kStatusToolError,
            fmt::format("the machine ended without saying why: QEMU {}{}", how,
                        errors.empty() ? "" : "; its last words:\n" + errors)};
}

RunResult run_machine(MachineOptions machine, const RunOptions& run, int inherited_fd) {
    Pair console = make_socket_pair();
    Pair end_record = make_socket_pair();
    Pair errors = make_pipe();
    machine.console_fd = console.theirs.get();
    machine.end_record_fd = end_record.theirs.get();
    const std::vector<std::string> command = qemu_command(machine);

    Signals signals;
    // A read from the terminal in the background gives an error instead of stopping us.
    auto* const old_ttin = ::signal(SIGTTIN, SIG_IGN);
    auto* const old_ttou = ::signal(SIGTTOU, SIG_IGN);
    RunResult result{};
    {
        Child child{start(command, signals.saved(),
                          {machine.console_fd, machine.end_record_fd, inherited_fd},
                          errors.theirs.get())};
        console.theirs.reset();
        end_record.theirs.reset();
        errors.theirs.reset();
        for (const int fd : {console.ours.get(), end_record.ours.get(), errors.ours.get()}) {
            set_nonblocking(fd);
        }
        const RawTerminal raw{run.input == ConsoleInput::kTerminal};
        result =
            Pump{run, signals, child, console.ours.get(), end_record.ours.get(), errors.ours.get()}
                .run();
    }
    ::signal(SIGTTIN, old_ttin);
    ::signal(SIGTTOU, old_ttou);
    return result;
}

}  // namespace kiln::tool
