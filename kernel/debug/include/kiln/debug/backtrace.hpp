// Saying where code is: backtraces with function names, on the console. For panics and fatal faults of applications.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <kiln/hal/trap.hpp>

namespace kiln::debug {

/// Writes the name for an address of the application ("main+0x12 (/bin/x)") into `out`; returns its length, 0 when it
/// knows none. Must neither sleep nor fault nor take locks: it is called in panics, too.
using ApplicationSymbolizer = std::size_t (*)(std::uintptr_t ip, std::span<char> out);
void set_application_symbolizer(ApplicationSymbolizer symbolizer);

/// Prints one line per call frame, from (`ip`, `fp`) outwards, across from the kernel to the application.
/// Never faults. Any context.
void print_backtrace(std::uintptr_t ip, std::uintptr_t fp);

/// Prints all registers of `frame`, then the backtrace that starts there.
void print_frame(const hal::TrapFrame& frame);

}  // namespace kiln::debug
