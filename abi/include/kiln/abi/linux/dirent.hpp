// getdents64(2) records (Linux include/linux/dirent.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace kiln::abi {

/// The fixed part; the NUL-terminated name follows d_type, the record is padded to 8 bytes.
struct Dirent64 {
    std::uint64_t d_ino;
    std::int64_t d_off;
    std::uint16_t d_reclen;
    std::uint8_t d_type;
};
inline constexpr std::size_t kDirent64NameOffset = 19;
static_assert(offsetof(Dirent64, d_type) == 18);

/// d_type of a mode (DT_DIR and so on are S_IFMT >> 12).
constexpr std::uint8_t dirent_type(std::uint32_t mode) {
    return static_cast<std::uint8_t>((mode >> 12) & 15);
}

}  // namespace kiln::abi
