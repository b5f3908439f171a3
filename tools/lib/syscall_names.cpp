#include "lib/syscall_names.hpp"

#include <fmt/format.h>

namespace kiln::tool {

std::string syscall_name(std::uint32_t number) {
    switch (number) {
// Made by CMake from the C library's <asm/unistd_64.h>.
#define KILN_SYSCALL(number_, name_) \
    case number_:                    \
        return name_;
#include "syscall_names.inc"
#undef KILN_SYSCALL
        default: return fmt::format("system call {}", number);
    }
}

}  // namespace kiln::tool
