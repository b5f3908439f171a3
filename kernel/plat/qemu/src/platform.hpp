// Between the sources of this folder.
#pragma once

#include <string_view>

namespace kiln::plat {

/// Finds the console; callable before anything else is set up.
void init_console();
/// Writes to QEMU's debug port, where there is one.
void debug_port_write(std::string_view bytes);
/// Takes the first readings of the counters; the frequency is worked out when somebody asks.
void start_clock();

}  // namespace kiln::plat
