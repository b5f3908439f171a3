// Making inodes.
#pragma once

#include <kiln/fs/ramfs.hpp>

namespace kiln::fs {

/// Any type but symlink, by the type in `mode`. `links`: 0 for a file without a name.
Result<Ref<vfs::Inode>> make_ram_inode(RamFs& fs, std::uint32_t mode, std::uint64_t rdev,
                                       std::uint32_t uid, std::uint32_t gid, std::uint32_t links);
Result<Ref<vfs::Inode>> make_ram_symlink(RamFs& fs, std::string_view target, std::uint32_t uid,
                                         std::uint32_t gid);

}  // namespace kiln::fs
