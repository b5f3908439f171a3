// The table as the dispatcher and the decoder see it.
#pragma once

#include <cstdint>

#include <kiln/hal/trap.hpp>
#include <kiln/syscalls/syscalls.hpp>

namespace kiln::syscalls {

struct SyscallText {
    const char* name;       ///< null: no such number
    const char* arguments;  ///< decoder letters, see table.def
};

/// Runs the call of `frame`; returns its result as the application gets it, −errno included.
std::int64_t run_syscall(hal::TrapFrame& frame);
const SyscallText& syscall_text(std::uint32_t number);
/// False for rows of level none.
bool has_handler(std::uint32_t number);

/// Runs and writes a decoded line.
void traced_dispatch(hal::TrapFrame& frame);
/// strace=1 was on the command line.
bool is_tracing_wanted();

}  // namespace kiln::syscalls
