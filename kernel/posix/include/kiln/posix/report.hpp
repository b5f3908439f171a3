// What a program asked for and does not get, named once in the log.
#pragma once

#include <cstdint>
#include <string_view>

namespace kiln::posix {

/// `what` is a literal as "mmap flags"; each pair of it and `value` is reported once.
void report_unsupported(const char* what, std::uint64_t value);
void report_missing_syscall(std::uint32_t number, std::string_view name);

}  // namespace kiln::posix
