// One page of zeros for all that was only read so far. It counts no references: compare before mem::ref_page().
#pragma once

#include <kiln/base/types.hpp>

namespace kiln::vm {

/// Made by vm::init().
PhysAddr zero_page();
inline bool is_zero_page(PhysAddr page) { return page == zero_page(); }

}  // namespace kiln::vm
