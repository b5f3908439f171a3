#include <kiln/fs/console.hpp>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/tty/console.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::fs {

Result<std::array<Ref<vfs::File>, 3>> open_console(const ConsoleMode& mode) {
    tty::set_input_mode(mode.stdin_escaped ? tty::InputMode::kEscaped : tty::InputMode::kTerminal);
    tty::set_window_size(mode.rows, mode.columns);
    std::array<Ref<vfs::File>, 3> streams;
    Ref<vfs::File> terminal;
    if (mode.stdin_terminal || mode.stdout_terminal) {
        terminal = TRY(vfs::open(vfs::kernel_context(), "/dev/console",
                                 mode.stdin_terminal ? abi::kO_RDWR : abi::kO_WRONLY, 0));
    }
    if (mode.stdin_terminal) {
        streams[0] = terminal;
    } else if (mode.stdin_escaped) {
        streams[0] = TRY(tty::open_pipe_input());
    } else {
        // Neither: whoever types on the console types on a terminal that is not told of.
        streams[0] = TRY(vfs::open(vfs::kernel_context(), "/dev/console", abi::kO_RDONLY, 0));
    }
    streams[1] = mode.stdout_terminal ? terminal : TRY(tty::open_pipe_output());
    streams[2] = streams[1];
    return streams;
}

}  // namespace kiln::fs
