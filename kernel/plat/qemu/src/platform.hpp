// Between the sources of this folder.
#pragma once

namespace kiln::plat {

/// Finds the console; callable before anything else is set up.
void init_console();
/// Takes the first readings of the counters; the frequency is worked out when somebody asks.
void start_clock();

}  // namespace kiln::plat
