#pragma once

#include <cstdint>

namespace kiln::arch {

/// Where to go on after a fault at `ip`, 0 when it has no entry in the exception table.
std::uintptr_t find_fixup(std::uintptr_t ip);

/// Between hal::user_access_nofault_begin() and _end().
bool user_faults_are_fatal();

}  // namespace kiln::arch
