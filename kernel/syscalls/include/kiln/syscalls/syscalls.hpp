// Linux system calls: the dispatcher and its table.
#pragma once

#include <cstdint>
#include <string_view>

#include <kiln/hal/trap.hpp>

namespace kiln::syscalls {

/// One past the highest number with a row (table.def).
inline constexpr std::uint32_t kSyscallCount = 451;

/// Installs the dispatcher in the trap code. Once, at boot, before the first application starts.
void init();

/// From now on each call is written to the console, decoded as strace(1) does. Needs
/// CONFIG_SYSCALL_TRACE.
void enable_tracing();

/// "openat", or "" for a number that Linux does not have.
std::string_view syscall_name(std::uint32_t number);

}  // namespace kiln::syscalls
