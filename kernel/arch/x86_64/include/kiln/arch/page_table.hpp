// What boot code and the page table implementation share. Others use hal/paging.hpp.
#pragma once

#include <cstdint>

#include <kiln/base/types.hpp>

namespace kiln::arch {

/// Page table entry bits (Intel SDM vol. 3A, 4.5, tables 4-15 to 4-20).
inline constexpr std::uint64_t kPtePresent = 1u << 0;
inline constexpr std::uint64_t kPteWrite = 1u << 1;
inline constexpr std::uint64_t kPteUser = 1u << 2;
inline constexpr std::uint64_t kPteWriteThrough = 1u << 3;
inline constexpr std::uint64_t kPteCacheDisable = 1u << 4;
inline constexpr std::uint64_t kPteAccessed = 1u << 5;
inline constexpr std::uint64_t kPteDirty = 1u << 6;
inline constexpr std::uint64_t kPteLarge = 1u << 7;
inline constexpr std::uint64_t kPteGlobal = 1u << 8;
inline constexpr std::uint64_t kPteNoExecute = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kPteAddress = 0x000ffffffffff000;
/// In an entry that is not present: the page is there, but nobody has any right to it.
inline constexpr std::uint64_t kPteNoRights = kPteGlobal;

inline constexpr std::size_t kPteCount = 512;
inline constexpr unsigned kPml4Shift = 39;

/// Says what the page table code must know of the tables that boot code made: how many top-level
/// entries the direct map takes, and whether the CPU has 1 GiB pages.
void set_kernel_tables(unsigned direct_map_entries, bool large_1g);

}  // namespace kiln::arch
