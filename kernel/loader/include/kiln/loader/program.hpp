// Loading programs: ELF and scripts into a process.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <kiln/base/format.hpp>
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

/// Why a program can't be started, in words for the user: "its interpreter /lib/ld.so is missing".
class FailureText {
public:
    template <typename... Args>
    Errno set(Errno error, std::string_view format, const Args&... args) {
        length_ = format_to(text_, format, args...);
        return error;
    }
    std::string_view view() const { return {text_, length_}; }

private:
    char text_[224];
    std::size_t length_ = 0;
};

/// Loads a program (ELF, or a script through its interpreter) into `process`, whose address space
/// is empty, and builds its stack. Returns the registers it starts with; process.image() is filled.
/// Errors are execve(2)'s: ENOENT (also: an interpreter is missing), EACCES, ENOEXEC, ELIBBAD,
/// EINVAL, ENOMEM, E2BIG, ELOOP, EIO; `failure` gets a sentence. May sleep; runs in any thread.
Result<hal::TrapFrame> load_program(posix::Process& process, const ProgramArguments& arguments,
                                    FailureText& failure);

}  // namespace kiln::loader
