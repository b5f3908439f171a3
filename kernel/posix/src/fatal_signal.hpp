// How a signal that ends the application is told on the console.
#pragma once

#include <kiln/hal/trap.hpp>
#include <kiln/posix/signal.hpp>

namespace kiln::posix {

/// A fault: registers and a backtrace with names. Called by the dying task. Other signals: a line in the log.
void tell_fatal_signal(Task& task, const SignalInfo& info, const hal::TrapFrame& frame);
void install_symbolizer();
/// signal_delivery.cpp: faults and the return to the application.
void install_trap_handlers();

}  // namespace kiln::posix
