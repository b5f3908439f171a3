// Formatting into a caller's buffer: no heap, no exceptions, small code.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include <kiln/base/types.hpp>

namespace kiln {

/// One type-erased argument.
struct FormatArg {
    enum class Kind : std::uint8_t { kUnsigned, kSigned, kString, kChar, kBool, kPointer };
    Kind kind;
    union {
        std::uint64_t u;
        std::int64_t i;
        std::string_view s;
    };

    constexpr FormatArg(Kind k, std::uint64_t value) : kind(k), u(value) {}
    explicit constexpr FormatArg(std::int64_t value) : kind(Kind::kSigned), i(value) {}
    explicit constexpr FormatArg(std::string_view value) : kind(Kind::kString), s(value) {}

    template <typename T>
    static constexpr FormatArg of(const T& v) {
        if constexpr (std::same_as<T, bool>) {
            return {Kind::kBool, v};
        } else if constexpr (std::same_as<T, char>) {
            return {Kind::kChar, static_cast<unsigned char>(v)};
        } else if constexpr (std::same_as<T, PhysAddr> || std::same_as<T, VirtAddr>) {
            return {Kind::kPointer, v.value};
        } else if constexpr (std::is_enum_v<T>) {
            return of(static_cast<std::underlying_type_t<T>>(v));
        } else if constexpr (std::signed_integral<T>) {
            return FormatArg(std::int64_t{v});
        } else if constexpr (std::unsigned_integral<T>) {
            return {Kind::kUnsigned, v};
        } else if constexpr (std::is_convertible_v<T, std::string_view>) {
            return FormatArg(std::string_view(v));
        } else {
            static_assert(std::is_pointer_v<T>, "type can't be formatted");
            return {Kind::kPointer, reinterpret_cast<std::uint64_t>(v)};
        }
    }
};

/// Writes `format` with `{}` replaced by the arguments in turn; `{:x}` hexadecimal, `{:08x}` zero
/// padded, `{:10}` padded right-aligned (strings: left-aligned), `{{` a brace. What does not fit is
/// cut off. Returns the number of characters written (no terminating NUL).
std::size_t vformat_to(std::span<char> out, std::string_view format,
                       std::span<const FormatArg> args);

template <typename... Args>
std::size_t format_to(std::span<char> out, std::string_view format, const Args&... args) {
    if constexpr (sizeof...(Args) == 0) {
        return vformat_to(out, format, {});
    } else {
        const FormatArg list[] = {FormatArg::of(args)...};
        return vformat_to(out, format, list);
    }
}

/// panic() with a formatted reason.
template <typename... Args>
[[noreturn]] void panicf(std::string_view format, const Args&... args);

}  // namespace kiln

#include <kiln/base/panic.hpp>

template <typename... Args>
[[noreturn]] void kiln::panicf(std::string_view format, const Args&... args) {
    char text[256];
    const std::size_t n = format_to(text, format, args...);
    panic(std::string_view(text, n));
}
