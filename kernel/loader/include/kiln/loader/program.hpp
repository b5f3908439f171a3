// Loading programs: ELF and scripts into a process.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/result.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/posix/process.hpp>

namespace kiln::loader {

/// What execve(2) is given. All views stay valid during the call.
struct ProgramArguments {
    std::string_view path;
    std::span<const std::string_view> argv;
    std::span<const std::string_view> envp;
};

/// Loads a program (ELF, or script through its interpreter) into `process`, whose address space is
/// empty, and builds its stack. Returns the registers it starts with. Errors are execve(2)'s: ENOENT
/// (also: interpreter missing), EACCES, ENOEXEC, ELIBBAD, EINVAL, ENOMEM, E2BIG, ELOOP, EISDIR, EIO. `*reason` gets a static
/// sentence for the log and the end record.
Result<hal::TrapFrame> load_program(posix::Process& process, const ProgramArguments& arguments,
                                    const char** reason);

}  // namespace kiln::loader
