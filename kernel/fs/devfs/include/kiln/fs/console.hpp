// The console as a program's standard streams.
#pragma once

#include <array>
#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::fs {

/// How the console serves the program's standard streams; from the launch record's flags
/// (abi/formats/launch.hpp explains each).
struct ConsoleMode {
    bool stdin_escaped = false;    ///< input is a pipe's bytes with an escaped end
    bool stdin_terminal = false;   ///< fd 0 is a terminal
    bool stdout_terminal = false;  ///< fds 1 and 2 are
    std::uint16_t rows = 0;        ///< 0: unknown
    std::uint16_t columns = 0;
};
/// Opens the console as fds 0, 1 and 2, after /dev is mounted; as on Linux one open file where all
/// three are the same terminal. ENOMEM, or what opening /dev/console gives.
Result<std::array<Ref<vfs::File>, 3>> open_console(const ConsoleMode& mode);

}  // namespace kiln::fs
