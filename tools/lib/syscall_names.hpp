// Names of the system calls of x86-64.
#pragma once

#include <cstdint>
#include <string>

namespace kiln::tool {

// "read", or "system call 999" for a number without a name.
std::string syscall_name(std::uint32_t number);

}  // namespace kiln::tool
