// Host tests run on x86-64 and look at the registers that the guest's CPU has.
#pragma once

#include "../../../../x86_64/include/kiln/arch/trap_frame.hpp"  // IWYU pragma: export
