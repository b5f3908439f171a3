// The root file system that a machine boots with, and its console as the program's standard streams.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::fs {

/// Mounts the parts of an initrd (abi/formats/initrd.hpp): EROFS below and ramfs above (overlay), or a ramfs
/// alone; cpio parts unpacked into it; /dev, /proc, /sys, /dev/shm, /tmp. `initrd` stays reserved for ever and is mapped
/// in place; it may be empty. Returns the bytes of the launch record part (empty: there is none).
/// Hostile or cut-short parts: EIO, EINVAL, ENOMEM, with a static sentence in `*reason`.
Result<std::span<const std::byte>> mount_boot_root(std::span<const std::byte> initrd,
                                                   PhysAddr initrd_phys, const char** reason);

/// How the console serves the program's standard streams; from the launch record's flags
/// (abi/formats/launch.hpp explains each).
struct ConsoleMode {
    bool stdin_escaped = false;    ///< input is a pipe's bytes with an escaped end
    bool stdin_terminal = false;   ///< fd 0 is a terminal
    bool stdout_terminal = false;  ///< fds 1 and 2 are
    std::uint16_t rows = 0;        ///< 0: unknown
    std::uint16_t columns = 0;
};
/// Opens the console as fds 0, 1 and 2; as on Linux one open file where all three are the same
/// terminal.
Result<std::array<Ref<vfs::File>, 3>> open_console(const ConsoleMode& mode);

}  // namespace kiln::fs
