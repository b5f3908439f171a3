// In host tests there is no console to tell on.
#include "fatal_signal.hpp"

namespace kiln::posix {

void tell_fatal_signal(Task&, const SignalInfo&, const hal::TrapFrame&) {}
void install_symbolizer() {}

}  // namespace kiln::posix
