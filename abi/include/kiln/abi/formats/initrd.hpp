// The root image ("initrd"): a sequence of parts, all optional, in this order:
//   1. an EROFS image, uncompressed, block size 4096: the root file system, mapped in place;
//   2. any number of cpio "newc" archives, unpacked into the writable layer above the root;
//   3. one launch record (launch.hpp).
// Each part starts at a multiple of kInitrdPartAlignment from the start and is recognised by its
// magic; the bytes between parts are zero. The same bytes travel as an initrd of the boot protocol
// or inside the kernel's ELF (image_note.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kiln::abi {

inline constexpr std::size_t kInitrdPartAlignment = 4096;

// EROFS superblock, Linux fs/erofs/erofs_fs.h: EROFS_SUPER_OFFSET, EROFS_SUPER_MAGIC_V1 (little
// endian). The part's length is struct erofs_super_block's `blocks` << `blkszbits`.
inline constexpr std::size_t kErofsSuperOffset = 1024;
inline constexpr std::uint32_t kErofsMagic = 0xE0F5E1E2;
inline constexpr std::size_t kErofsBlockSizeBitsOffset = kErofsSuperOffset + 12;  // u8 blkszbits
inline constexpr std::size_t kErofsBlocksOffset = kErofsSuperOffset + 36;         // u32 blocks

// cpio "newc", Linux Documentation/driver-api/early-userspace/buffer-format.rst.
inline constexpr std::string_view kCpioMagic = "070701";

}  // namespace kiln::abi
