// Tracing of system calls on the console (kernel argument strace=1).
#include <atomic>
#include <cstdint>

#include <kiln/base/option.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/posix/process.hpp>

#include "decode.hpp"
#include "table.hpp"

namespace kiln::syscalls {
namespace {

constexpr std::size_t kLineMax = 400;

void write_line(const Line& line) {
    hal::console_write(line.view());
    hal::console_write("\n");
}

/// Calls that do not come back, or come back with other registers: shown when they begin.
bool shown_at_entry(std::string_view name) {
    return name == "exit" || name == "exit_group" || name == "rt_sigreturn" || name == "execve" ||
           name == "execveat";
}

}  // namespace

void traced_dispatch(hal::TrapFrame& frame) {
    const auto number = static_cast<std::uint32_t>(hal::syscall_number(frame));
    const SyscallText& text = syscall_text(number);
    const std::string_view name = text.name ? text.name : "syscall?";
    std::uint64_t arguments[6];
    for (unsigned i = 0; i < 6; i++) arguments[i] = hal::syscall_argument(frame, i);

    char buffer[kLineMax];
    Line line(buffer);
    line.format("[{}] ", posix::Task::current().tid());
    const bool at_entry = shown_at_entry(name);
    if (at_entry) {
        decode_call(line, name, text.arguments, arguments, 0);
        write_line(line);
    }
    const std::int64_t result = run_syscall(frame);
    hal::set_syscall_result(frame, result);
    if (at_entry) return;
    decode_call(line, name, text.arguments, arguments, result);
    decode_result(line, name, result);
    write_line(line);
}

namespace {

constinit std::atomic<bool> g_wanted{false};

bool apply_option(std::string_view value) {
    if (value != "0" && value != "1") return false;
    g_wanted = value == "1";
    return true;
}

}  // namespace

bool is_tracing_wanted() { return g_wanted; }

KILN_OPTION(strace, "strace", apply_option);

}  // namespace kiln::syscalls
