// /etc/ld.so.cache of glibc (sysdeps/generic/dl-cache.h): the format "glibc-ld.so.cache1.1", also
// where it follows an old "ld.so-1.7.0" table in the same file. The bytes may be hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::tool {

struct LdCacheEntry {
    std::string name;  // "libc.so.6"
    std::string path;  // "/lib/x86_64-linux-gnu/libc.so.6"
    std::int32_t flags;
    std::uint32_t os_version;
    std::uint64_t hwcap;  // not 0: a variant for some processors
};

// FLAG_ELF_LIBC6 | FLAG_X8664_LIB64
inline constexpr std::int32_t kLdCacheX8664 = 0x0303;

// The entries in the file's order (glibc searches by bisection: the order matters). A malformed
// file gives what could be read up to the fault, possibly nothing.
std::vector<LdCacheEntry> parse_ld_cache(std::span<const std::byte> bytes);

// A cache of the given entries, which must be in the order of a valid cache.
std::string write_ld_cache(const std::vector<LdCacheEntry>& entries);

}  // namespace kiln::tool
