// The page that the kernel writes and the vDSO reads. Shared by both; plain types only.
#pragma once

#include <cstdint>

namespace kiln::loader {

struct Vvar {
    std::uint32_t sequence;  ///< odd while the kernel writes
    std::uint32_t cpu_count;
    std::uint64_t base_cycles;
    std::uint64_t monotonic_base_ns;
    std::uint64_t realtime_offset_ns;
    std::uint32_t mult;
    std::uint32_t shift;
};

}  // namespace kiln::loader
