// From six registers to a typed handler and from its Result to −errno.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <kiln/base/result.hpp>
#include <kiln/hal/trap.hpp>

namespace kiln::syscalls {

template <typename T>
constexpr T argument_from(std::uint64_t raw) {
    if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(raw);
    } else {
        static_assert(std::is_constructible_v<T, std::uintptr_t>, "handlers take integers and UserPtr");
        return T(raw);
    }
}

inline std::int64_t to_register(const Result<std::int64_t>& result) {
    return result.ok() ? result.value() : -static_cast<std::int64_t>(result.error());
}

template <typename... Args, std::size_t... Is>
inline std::int64_t call(Result<std::int64_t> (*handler)(Args...), const hal::TrapFrame& frame,
                         std::index_sequence<Is...>) {
    return to_register(handler(argument_from<Args>(hal::syscall_argument(frame, Is))...));
}

template <typename... Args>
constexpr std::size_t arity(Result<std::int64_t> (*)(Args...)) {
    return sizeof...(Args);
}

/// What stands in the table for `kHandler`.
template <auto kHandler>
std::int64_t adapt(hal::TrapFrame& frame) {
    return call(kHandler, frame, std::make_index_sequence<arity(kHandler)>());
}

}  // namespace kiln::syscalls
