// Tracing of system calls on the console (kernel argument strace=1).
#include <cstdint>

#include <config/syscall_trace.hpp>

#include <kiln/hal/platform.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/posix/report.hpp>

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

void enable_tracing() {
    if constexpr (config::syscall_trace) {
        hal::set_syscall_handler(traced_dispatch);
    } else {
        posix::report_unsupported("strace: this kernel has no CONFIG_SYSCALL_TRACE", 1);
    }
}

}  // namespace kiln::syscalls
