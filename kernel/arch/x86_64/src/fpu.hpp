#pragma once

#include <kiln/arch/cpu.hpp>

namespace kiln::arch {

/// Enables all vector state that both the CPU and we know how to save.
void init_fpu(const CpuFeatures& features);

}  // namespace kiln::arch
