// The virtual machine: its QEMU command, and running it with our terminal or pipes as its console.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kiln::tool {

enum class Accelerator : std::uint8_t { kTcg, kKvm };

struct MachineOptions {
    Accelerator accelerator = Accelerator::kTcg;
    std::string machine = "microvm";  // or "q35"
    std::uint64_t memory_bytes = 0;
    unsigned cpus = 1;
    std::string kernel;
    std::string initrd;  // empty: none
    std::vector<std::string> kernel_arguments;
    std::string name;        // for the process list; empty: none
    int console_fd = -1;     // sockets inherited by QEMU; -1: QEMU's own stdin and stdout
    int end_record_fd = -1;  // -1: no debug port
};

// The program is $KILN_QEMU, else qemu-system-x86_64. Throws Error where the kernel's command line
// gets too long.
std::vector<std::string> qemu_command(const MachineOptions& options);

// Kernel arguments as one line: words quoted as the kernel reads them.
std::string kernel_command_line(const std::vector<std::string>& arguments);

enum class ConsoleInput : std::uint8_t {
    kTerminal,  // our stdin is a terminal in raw mode; bytes pass as they are
    kPipe,      // bytes are escaped and the end is passed on (kLaunchStdinEscaped)
};

struct RunOptions {
    ConsoleInput input = ConsoleInput::kPipe;
    std::optional<double> timeout_s;
    std::string program_name;  // for messages
};

inline constexpr int kStatusTimeout = 124;  // as timeout(1)

struct RunResult {
    int status;
    std::string message;  // a sentence for stderr; empty where the program simply ended
};

// Starts QEMU with `machine` (the two fds are filled in), passes stdin and stdout through, and
// waits for the end. SIGINT, SIGTERM, SIGHUP and SIGQUIT end the machine; a second one kills it at
// once. QEMU is gone when this returns or throws, and dies with this process whatever ends it.
// `inherited_fd` (the initrd's, or -1) stays open in QEMU.
RunResult run_machine(MachineOptions machine, const RunOptions& run, int inherited_fd);

// Our stdin's escape for the guest: DLE doubled. Appends to `out`.
void escape_input(std::string_view bytes, std::string& out);

// What QEMU's end and the guest's end record amount to. `end_record` is all that came from the
// debug port.
RunResult judge_end(std::string_view end_record, int wait_status, std::string_view qemu_errors,
                    const std::string& program_name);

}  // namespace kiln::tool
