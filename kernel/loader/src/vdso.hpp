// The vDSO: code of the kernel's that the application calls to read the clock without entering it.
#pragma once

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>
#include <kiln/vm/address_space.hpp>

namespace kiln::loader {

/// Maps data page and code near the mmap base; returns the address of the code's ELF header.
Result<VirtAddr> map_vdso(vm::AddressSpace& space);

}  // namespace kiln::loader
