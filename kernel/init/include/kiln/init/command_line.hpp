// The kernel command line: words `key=value`, then after a word `--` the program's argv.
// A word ends at a blank; "…" keeps blanks; backslash makes the next character ordinary.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace kiln::init {

/// Takes words from a command line one by one, unquoting them in place of `buffer`.
class WordReader {
public:
    /// `buffer` is changed; words are views into it.
    explicit WordReader(std::span<char> buffer) : buffer_(buffer) {}
    /// False at the end.
    bool next(std::string_view* word);
    /// What has not been read yet.
    std::span<char> rest() const { return buffer_.subspan(at_); }

private:
    std::span<char> buffer_;
    std::size_t at_ = 0;
};

}  // namespace kiln::init
