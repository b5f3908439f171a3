// The root file system that a machine boots with.
#pragma once

#include <cstddef>
#include <span>

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>

namespace kiln::fs {

/// Mounts the parts of an initrd (abi/formats/initrd.hpp): EROFS below and ramfs above (overlay), or a ramfs
/// alone; cpio parts unpacked into it; /dev, /proc, /sys, /dev/shm, /tmp. `initrd` stays reserved for ever and is mapped
/// in place; it may be empty. Returns the bytes of the launch record part (empty: there is none).
/// Hostile or cut-short parts: EIO, EINVAL, ENOMEM, with a static sentence in `*reason`.
Result<std::span<const std::byte>> mount_boot_root(std::span<const std::byte> initrd,
                                                   PhysAddr initrd_phys, const char** reason);

}  // namespace kiln::fs
