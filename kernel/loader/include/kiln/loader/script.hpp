// `#!` lines (execve(2), "Interpreter scripts"; Linux fs/binfmt_script.c).
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <kiln/base/result.hpp>

namespace kiln::loader {

/// Linux reads so much of a file to recognise its format (BINPRM_BUF_SIZE).
inline constexpr std::size_t kScriptLineMax = 256;
/// Interpreters that are scripts themselves, at most.
inline constexpr unsigned kMaxScriptDepth = 5;

struct ScriptLine {
    std::string_view interpreter;
    std::string_view argument;  ///< everything after the first blank, trimmed; empty: none
};

/// True when the file begins with "#!".
bool is_script(std::span<const std::byte> head);

/// `head` is the file's first kScriptLineMax bytes (fewer only at the end of the file). ENOEXEC: no
/// interpreter, or its name is cut off.
Result<ScriptLine> parse_script_line(std::span<const std::byte> head);

}  // namespace kiln::loader
