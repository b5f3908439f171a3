// The tool's one exception: a sentence for the user and the exit status that goes with it.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <kiln/abi/formats/end_record.hpp>

namespace kiln::tool {

class Error : public std::runtime_error {
public:
    Error(int status, const std::string& message) : std::runtime_error{message}, status_{status} {}
    int status() const { return status_; }

private:
    int status_;
};

// The tool cannot do it (125).
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
    throw Error{abi::kStatusToolError, fmt::format(format, std::forward<Args>(args)...)};
}

// The program exists but cannot be run (126).
template <typename... Args>
[[noreturn]] void fail_not_executable(fmt::format_string<Args...> format, Args&&... args) {
    throw Error{abi::kStatusNotExecutable, fmt::format(format, std::forward<Args>(args)...)};
}

// The program, its interpreter or a library is not there (127).
template <typename... Args>
[[noreturn]] void fail_not_found(fmt::format_string<Args...> format, Args&&... args) {
    throw Error{abi::kStatusNotFound, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace kiln::tool
