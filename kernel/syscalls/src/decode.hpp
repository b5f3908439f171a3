// The decoder: one line of text per system call, as strace(1) writes it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/format.hpp>

namespace kiln::syscalls {

/// Text that ends silently where the buffer ends.
class Line {
public:
    explicit Line(std::span<char> buffer) : buffer_(buffer) {}
    void text(std::string_view s) {
        for (char c : s) character(c);
    }
    void character(char c) {
        if (size_ < buffer_.size()) buffer_[size_++] = c;
    }
    template <typename... Args>
    void format(std::string_view pattern, const Args&... args) {
        size_ += format_to(buffer_.subspan(size_), pattern, args...);
    }
    std::string_view view() const { return {buffer_.data(), size_}; }
    std::size_t size() const { return size_; }

private:
    std::span<char> buffer_;
    std::size_t size_ = 0;
};

/// What a decoder letter of table.def may need besides its own value.
struct DecodeContext {
    std::uint64_t next;   ///< the following argument (length of b)
    std::int64_t result;  ///< of the call (length of B)
};

/// Writes one argument. Reads application memory where the letter says so; a bad pointer is shown
/// as its address.
void decode_argument(Line& line, char letter, std::uint64_t value, const DecodeContext& context);
/// "= 3", "= -1 ENOENT (2)", "= 0x7f…" for calls that give addresses.
void decode_result(Line& line, std::string_view name, std::int64_t result);
/// "ENOENT", or "" for an unknown number.
std::string_view errno_name(int number);
/// name(arguments), without the result.
void decode_call(Line& line, std::string_view name, std::string_view letters,
                 const std::uint64_t (&arguments)[6], std::int64_t result);

}  // namespace kiln::syscalls
