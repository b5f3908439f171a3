// Linux system calls: the dispatcher and its table.
#pragma once

#include <cstdint>
#include <string_view>

#include <kiln/hal/trap.hpp>

namespace kiln::syscalls {

/// One past the highest number with a row (table.def).
inline constexpr std::uint32_t kSyscallCount = 451;

/// "openat", or "" for a number that Linux does not have.
std::string_view syscall_name(std::uint32_t number);

}  // namespace kiln::syscalls
