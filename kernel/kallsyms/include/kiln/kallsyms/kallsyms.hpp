// Names of the kernel's own functions, from the table that the build puts into the image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kiln::kallsyms {

/// Longest name that find() gives; longer ones were cut by the build.
inline constexpr std::size_t kMaxName = 200;

struct Function {
    std::string_view
        name;  ///< without `kiln::`, parameters and template arguments; in the caller's buffer
    std::uintptr_t begin;  ///< its first instruction
    std::size_t offset;    ///< of the address asked for from `begin`, in bytes
};

/// The function that `address` lies in; nothing when it lies in none, or the image has no table.
/// `buffer` receives the name (cut to its size). Takes no lock, allocates nothing: callable in any context,
/// in a panic too.
std::optional<Function> find(std::uintptr_t address, std::span<char> buffer);

}  // namespace kiln::kallsyms
