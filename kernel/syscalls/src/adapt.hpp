// From six registers to a typed handler.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <kiln/base/result.hpp>

namespace kiln::syscalls {

template <typename T>
constexpr T argument_from(std::uint64_t raw) {
    if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(raw);
    } else {
        static_assert(std::is_constructible_v<T, std::uintptr_t>,
                      "handlers take integers and UserPtr");
        return T(raw);
    }
}

/// Handlers as the dispatcher calls them: with all six registers.
using Handler = Result<std::int64_t> (*)(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                                         std::uint64_t, std::uint64_t);

template <typename... Args>
constexpr std::size_t arity(Result<std::int64_t> (*)(Args...)) {
    return sizeof...(Args);
}

template <typename... Args, std::size_t... Is>
inline Result<std::int64_t> call(Result<std::int64_t> (*handler)(Args...),
                                 const std::uint64_t (&registers)[6], std::index_sequence<Is...>) {
    return handler(argument_from<Args>(registers[Is])...);
}

/// What stands in the table for `kHandler`. The arguments lie in the right registers already, and so does the result: the
/// compiler makes a single jump of it.
template <auto kHandler>
Result<std::int64_t> adapt(std::uint64_t a0, std::uint64_t a1, std::uint64_t a2, std::uint64_t a3,
                           std::uint64_t a4, std::uint64_t a5) {
    const std::uint64_t registers[6] = {a0, a1, a2, a3, a4, a5};
    return call(kHandler, registers, std::make_index_sequence<arity(kHandler)>());
}

}  // namespace kiln::syscalls
