// The machine's console as open files: a terminal, or the two ends of pipes to the tool outside.
#pragma once

#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::tty {

/// How input bytes are to be understood (abi/formats/launch.hpp). Before the first open.
enum class InputMode : std::uint8_t {
    kTerminal,  ///< typed: the line discipline works on them
    kEscaped,   ///< a pipe's contents with an escaped end
};
void set_input_mode(InputMode mode);
/// For TIOCGWINSZ; 0: unknown.
void set_window_size(std::uint16_t rows, std::uint16_t columns);

/// The console as a terminal, /dev/console.
Result<Ref<vfs::File>> open_terminal(std::uint32_t flags);
/// Input as a pipe. InputMode::kEscaped only.
Result<Ref<vfs::File>> open_pipe_input();
/// Output as a pipe: the bytes go out exactly as written.
Result<Ref<vfs::File>> open_pipe_output();

/// What delivers a signal typed on the terminal (SIGINT, SIGQUIT, SIGTSTP; SIGWINCH) to the process group
/// in its foreground. Called in interrupt context, without locks.
void set_signal_hook(void (*hook)(int signal, std::int32_t process_group));

}  // namespace kiln::tty
