// How the machine ends.
#pragma once

#include <kiln/abi/formats/end_record.hpp>

namespace kiln::init {

/// Says why, and ends the machine.
[[noreturn]] void end_machine(const abi::EndRecord& record);

}  // namespace kiln::init
