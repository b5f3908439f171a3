// Starting the Linux program that the image was made for.
#pragma once

#include <span>

namespace kiln::init {

/// Mounts the root, reads the launch record (or argv from `words`, the rest of the command line) and
/// starts the program as process 1. What fails ends the machine with a sentence.
void start_linux_program(std::span<char> words);

}  // namespace kiln::init
