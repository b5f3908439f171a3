#pragma once

#include <cstdint>

#include <kiln/hal/paging.hpp>
#include <kiln/vm/address_space.hpp>

namespace kiln::vm {

/// A bit for each CPU but this one.
std::uint64_t other_cpus();

/// hal's rights for PROT_ bits. A mapping that can be written or executed can be read, too, as on Linux for x86 and arm64.
constexpr std::uint32_t rights_of(std::uint32_t prot) {
    std::uint32_t flags = hal::kMapUser;
    if (prot != kProtNone) flags |= hal::kMapRead;
    if ((prot & kProtWrite) != 0) flags |= hal::kMapWrite;
    if ((prot & kProtExec) != 0) flags |= hal::kMapExecute;
    return flags;
}

}  // namespace kiln::vm
