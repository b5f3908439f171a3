// kiln run: boots a program and is its console.
#include <memory>
#include <thread>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>

#include <kiln/abi/formats/launch.hpp>

#include "cli/command.hpp"
#include "lib/error.hpp"
#include "lib/kernel_image.hpp"
#include "lib/platform.hpp"
#include "lib/text.hpp"

namespace kiln::cli {
namespace {

using tool::fail;

struct RunCommand {
    ProgramOptions program;
    std::string memory;
    unsigned cpus = 1;
    std::string platform = "auto";
    std::string machine = "microvm";
    bool interactive = false;
    bool terminal = false;
    bool remove = false;
    bool dry_run = false;
    bool verbose = false;
    double timeout_s = 0;

    int run(const std::vector<std::string>& words) const;
};

// Both ends of the user's console are a terminal, and it is ours to use (we are not in the
// background).
bool has_terminal() {
    return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1 &&
           ::tcgetpgrp(STDIN_FILENO) == ::getpgrp();
}

// The initrd as a file that stays, for a command to be run later.
std::string keep_initrd(const tool::PreparedProgram& prepared, const tool::ImageStore& store) {
    tool::Fingerprint name;
    name.add(prepared.image.path.native());
    name.add(prepared.cpio);
    name.add(tool::encode_launch(prepared.launch));
    const std::filesystem::path dir = store.dir() / "dry-run";
    std::filesystem::create_directories(dir);
    const std::filesystem::path path = dir / (name.hex() + ".initrd");
    const std::filesystem::path partial = path.string() + "." + std::to_string(::getpid());
    const tool::UniqueFd fd{
        ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (!fd) {
        fail("cannot write {}: {}", partial.string(), tool::errno_text(errno));
    }
    tool::append_initrd(fd.get(), prepared, partial.string());
    std::filesystem::rename(partial, path);
    return path.string();
}

int RunCommand::run(const std::vector<std::string>& words) const {
    tool::ProgramRequest request = program.request(words, "run");
    const bool on_terminal = has_terminal();
    if (terminal && !on_terminal) {
        fail("-t: stdin and stdout are not a terminal; leave -t out");
    }
    if (cpus == 0 || cpus > 255) {
        fail("--cpus {}: give 1 to 255", cpus);
    }
    const tool::KernelImage kernel = tool::find_kernel(program.configuration, program.kernel);

    tool::ImageStore store{tool::ImageStore::default_dir()};
    tool::PreparedProgram prepared = tool::prepare_program(request, store);
    print_warnings(prepared.warnings);
    const char* const term = on_terminal ? std::getenv("TERM") : nullptr;
    prepared.launch.environment = tool::make_environment(
        request.name, request.uid, on_terminal ? (term != nullptr ? term : "xterm") : nullptr,
        request.environment);
    if (on_terminal) {
        prepared.launch.flags = abi::kLaunchStdinTerminal | abi::kLaunchStdoutTerminal;
        winsize size{};
        if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
            prepared.launch.tty_rows = size.ws_row;
            prepared.launch.tty_columns = size.ws_col;
        }
    } else {
        prepared.launch.flags = abi::kLaunchStdinEscaped;
    }

    tool::MachineOptions options;
    const std::uint64_t image_bytes = tool::initrd_bytes(prepared);
    options.memory_bytes = memory.empty() ? tool::default_memory(kernel.physical_end, image_bytes,
                                                                 prepared.memory_bytes)
                                          : tool::parse_size(memory, "-m");
    tool::check_memory(options.memory_bytes, kernel.physical_end, image_bytes,
                       prepared.memory_bytes);
    const std::uint64_t host_memory = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                                      static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    if (memory.empty() && options.memory_bytes > host_memory) {
        fail(
            "{}: larger than memory: it wants a machine of {}, this one has {}; -m says how much "
            "to give",
            request.target, tool::format_size(options.memory_bytes),
            tool::format_size(host_memory));
    }
    options.accelerator = tool::choose_accelerator(platform);
    options.machine = machine;
    options.cpus = cpus;
    options.kernel = kernel.path.string();
    options.kernel_arguments = program.kernel_arguments;
    options.name = program.name == "kiln" ? "" : program.name;

    if (verbose) {
        fmt::print(stderr, "kiln: image {} ({}{}), {} packages, memory {}\n",
                   prepared.image.path.string(), tool::format_size(prepared.image.bytes),
                   prepared.image.was_cached ? ", cached" : "", prepared.packages.size(),
                   tool::format_size(options.memory_bytes));
    }
    if (dry_run) {
        // QEMU's own stdio has no escapes: the command is for a person at a terminal.
        prepared.launch.flags = abi::kLaunchStdinTerminal | abi::kLaunchStdoutTerminal;
        options.initrd = keep_initrd(prepared, store);
        fmt::print("{}\n", tool::shell_join(tool::qemu_command(options)));
        return 0;
    }
    std::uint64_t bytes = 0;
    const tool::UniqueFd initrd = tool::assemble_initrd(prepared, store, bytes);
    options.initrd = fmt::format("/dev/fd/{}", initrd.get());

    tool::RunOptions run;
    run.input = on_terminal ? tool::ConsoleInput::kTerminal : tool::ConsoleInput::kPipe;
    run.program_name = request.target;
    if (timeout_s > 0) {
        run.timeout_s = timeout_s;
    }
    if (verbose) {
        fmt::print(stderr, "kiln: {}\n", tool::shell_join(tool::qemu_command(options)));
    }
    const tool::RunResult result = tool::run_machine(options, run, initrd.get());
    if (!result.message.empty()) {
        fmt::print(stderr, "kiln: {}\n", result.message);
    }
    return result.status;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
    auto command = std::make_shared<RunCommand>();
    CLI::App& run = *app.add_subcommand("run", "Boot a program as a virtual machine");
    take_program(run);
    command->program.add_to(run);
    run.add_option("-m,--memory", command->memory,
                   "memory of the machine, in MiB or with K, M, G (default: kernel + image + a "
                   "heap of 64 MiB and twice the image)")
        ->type_name("SIZE")
        ->group("Machine");
    run.add_option("--cpus", command->cpus, "number of processors (default 1)")
        ->type_name("N")
        ->group("Machine");
    run.add_option("--plat", command->platform,
                   "auto (default), qemu (QEMU's own translator) or kvm; `kiln doctor` tells what "
                   "auto takes")
        ->type_name("PLATFORM")
        ->check(CLI::IsMember({"auto", "qemu", "kvm"}))
        ->group("Machine");
    run.add_option("--machine", command->machine, "microvm (default) or q35")
        ->type_name("TYPE")
        ->check(CLI::IsMember({"microvm", "q35"}))
        ->group("Machine");
    run.add_option("--timeout", command->timeout_s,
                   "end the machine after this time, with status 124")
        ->type_name("SEC")
        ->check(CLI::PositiveNumber)
        ->group("Machine");
    run.add_flag("-i,--interactive", command->interactive,
                 "accepted as in docker; stdin is always passed on (</dev/null gives none)")
        ->group("Console");
    run.add_flag("-t,--tty", command->terminal,
                 "insist on a terminal; it is used anyway where stdin and stdout are one")
        ->group("Console");
    run.add_flag("--rm", command->remove, "accepted as in docker; nothing is ever left behind")
        ->group("Console");
    run.add_flag("--dry-run", command->dry_run, "print the QEMU command instead of running it")
        ->group("Console");
    run.add_flag("--verbose", command->verbose, "say on stderr what is done")->group("Console");
    run.footer(
        "\nTARGET is an ELF program, a script (#!), or a folder that holds a root file system; "
        "then the first of ARGS is the program in it.\n"
        "Everything after TARGET belongs to the program. A program of a Debian package brings that "
        "package's files and those it depends\n"
        "on, without documentation, manual pages and translations.\n"
        "\nCtrl-C ends the machine; a second one kills it at once. On a terminal all other keys go "
        "to the program.\n"
        "\nExit status: the program's own; 128+N when signal N killed it; 70 kernel panic; 124 "
        "--timeout; 125 the tool failed;\n"
        "126 TARGET cannot be executed; 127 TARGET, its interpreter or a library was not found; "
        "137 also when memory ran out.\n"
        "\nExamples:\n"
        "  kiln run ./hello\n"
        "  kiln run -m 256M python3 -c 'print(1)'\n"
        "  kiln run -v ./script.py:/script.py python3 /script.py\n"
        "  kiln run --rootfs ./alpine /bin/busybox ls -l /\n");
    run.callback([command, &run, &action] {
        action = [command, words = run.remaining()] { return command->run(words); };
    });
}

}  // namespace kiln::cli
