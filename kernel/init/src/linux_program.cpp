#include "linux_program.hpp"

#include <kiln/abi/formats/end_record.hpp>
#include <kiln/abi/formats/launch.hpp>
#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/base/format.hpp>
#include <kiln/fs/boot_root.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/init/command_line.hpp>
#include <kiln/init/main.hpp>
#include <kiln/loader/program.hpp>
#include <kiln/log/log.hpp>
#include <kiln/mem/vector.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/tty/console.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::init {
namespace {

constexpr std::string_view kDefaultEnvironment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=linux"};

/// What to start, from the launch record or the command line.
struct Program {
    std::string_view path;
    std::string_view working_directory = "/";
    std::string_view hostname;
    mem::Vector<std::string_view> argv;
    mem::Vector<std::string_view> envp;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t flags = 0;  ///< of the launch record
    std::uint16_t rows = 0;
    std::uint16_t columns = 0;
};

template <typename... Args>
[[noreturn]] void fail(int status, std::string_view format, const Args&... args) {
    char text[256];
    const std::size_t n = format_to(text, format, args...);
    log::error("init", "{}", std::string_view(text, n));
    end_machine({abi::EndKind::kError, status, {text, n}});
}

/// 127 not found, 126 found and not executable, as a shell's; 125: the machine's own failure.
int status_of(Errno error) {
    switch (error) {
        case Errno::kENOENT:
        case Errno::kENOTDIR: return abi::kStatusNotFound;
        case Errno::kENOMEM:
        case Errno::kEIO: return abi::kStatusToolError;
        default: return abi::kStatusNotExecutable;
    }
}

Result<void> read_launch_record(std::span<const std::byte> bytes, Program& program) {
    const abi::LaunchParse parsed = abi::parse_launch(bytes);
    if (parsed.error) fail(abi::kStatusToolError, "{}", abi::to_string(*parsed.error));
    const abi::LaunchView& view = parsed.view;
    program.path = view.path;
    program.working_directory = view.working_directory;
    program.hostname = view.hostname;
    program.uid = view.header.uid;
    program.gid = view.header.gid;
    program.flags = view.header.flags;
    program.rows = view.header.tty_rows;
    program.columns = view.header.tty_columns;
    if (program.flags & ~abi::kLaunchKnownFlags)
        log::warn("init", "launch record: unknown flags {:x}",
                  program.flags & ~abi::kLaunchKnownFlags);
    auto argv = view.argv();
    while (const auto s = argv.next()) TRY(program.argv.push_back(*s));
    auto env = view.env();
    while (const auto s = env.next()) TRY(program.envp.push_back(*s));
    return {};
}

Result<void> read_words(std::span<char> words, Program& program) {
    WordReader reader(words);
    for (std::string_view word; reader.next(&word);) TRY(program.argv.push_back(word));
    if (program.argv.is_empty())
        fail(abi::kStatusToolError,
             "nothing to start: no launch record, and no `-- PROGRAM ARGS` on the command line");
    program.path = program.argv[0];
    program.flags = abi::kLaunchStdinTerminal | abi::kLaunchStdoutTerminal;
    for (std::string_view s : kDefaultEnvironment) TRY(program.envp.push_back(s));
    return {};
}

/// wait(2)'s encoding into the end record.
void program_ended(int wait_status) {
    const int signal = wait_status & 0x7f;
    if (signal != 0) end_machine({abi::EndKind::kSignal, signal, {}});
    end_machine({abi::EndKind::kExit, (wait_status >> 8) & 0xff, {}});
}

/// Without a terminal and without an escaped pipe there is no input: /dev/null.
Result<Ref<vfs::File>> open_input(const Program& program) {
    if (program.flags & abi::kLaunchStdinEscaped) return tty::open_pipe_input();
    return vfs::open(vfs::kernel_context(), "/dev/null", abi::kO_RDWR, 0);
}

/// fds 0, 1 and 2: a terminal's one open file where they are one, as on Linux, else a pipe's ends.
Result<void> open_streams(posix::Process& process, const Program& program) {
    const bool input_terminal = (program.flags & abi::kLaunchStdinTerminal) != 0;
    const bool output_terminal = (program.flags & abi::kLaunchStdoutTerminal) != 0;
    tty::set_input_mode((program.flags & abi::kLaunchStdinEscaped) ? tty::InputMode::kEscaped
                                                                   : tty::InputMode::kTerminal);
    tty::set_window_size(program.rows, program.columns);
    Ref<vfs::File> terminal;
    if (input_terminal || output_terminal) terminal = TRY(tty::open_terminal(abi::kO_RDWR));
    const Ref<vfs::File> output = output_terminal ? terminal : TRY(tty::open_pipe_output());
    Ref<vfs::File> input = terminal;
    if (!input_terminal) input = TRY(open_input(program));
    for (const Ref<vfs::File>& file : {input, output, output}) {
        (void)TRY(process.files().install(file, false, 0, process.limit(posix::kLimitFiles).soft));
    }
    return {};
}

Result<void> prepare_process(posix::Process& process, const Program& program) {
    if (!program.hostname.empty()) posix::set_hostname(program.hostname);
    process.set_credentials(posix::Credentials::for_user(program.uid, program.gid));
    auto cwd = vfs::lookup(process.lookup_context(), program.working_directory,
                           vfs::kLookupFollow | vfs::kLookupDirectory);
    if (!cwd.ok())
        fail(abi::kStatusToolError, "working directory {}: not a directory of the image",
             program.working_directory);
    process.set_cwd(std::move(cwd).value());
    return open_streams(process, program);
}

/// What execve(2) calls, too.
Result<hal::TrapFrame> load(posix::Process& process, const posix::ExecArguments& arguments) {
    loader::FailureText failure;
    auto frame =
        loader::load_program(process, {arguments.path, arguments.argv, arguments.envp}, failure);
    if (!frame.ok()) log::info("loader", "{}", failure.view());
    return frame;
}

Result<void> start(std::span<char> words) {
    const char* reason = "";
    auto launch =
        fs::mount_boot_root(hal::boot_info().initrd, hal::boot_info().initrd_phys, &reason);
    if (!launch.ok()) fail(abi::kStatusToolError, "root image: {}", reason);
    Program program;
    if (!launch->empty()) {
        TRY(read_launch_record(*launch, program));
    } else {
        TRY(read_words(words, program));
    }
    posix::set_exit_hook(program_ended);
    posix::set_program_loader(load);
    Ref<posix::Process> process = TRY(posix::Process::create());
    TRY(prepare_process(*process, program));
    loader::FailureText failure;
    auto frame = loader::load_program(
        *process, {program.path, program.argv.span(), program.envp.span()}, failure);
    if (!frame.ok()) fail(status_of(frame.error()), "{}", failure.view());
    const std::size_t slash = program.path.rfind('/');
    TRY(process->start_main_task(
        *frame, slash == std::string_view::npos ? program.path : program.path.substr(slash + 1)));
    // The process lives on through its tasks.
    return {};
}

}  // namespace

void start_linux_program(std::span<char> words) {
    const Result<void> result = start(words);
    if (!result.ok())
        fail(abi::kStatusToolError, "not enough memory to start the program (error {})",
             result.error());
}

}  // namespace kiln::init
