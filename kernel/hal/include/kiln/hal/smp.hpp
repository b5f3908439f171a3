// Other processors: starting them, interrupting them. With one CPU these are trivial.
#pragma once

#include <cstdint>

namespace kiln::hal {

/// CPUs that run kernel code now (ids 0 … n-1).
std::uint32_t cpu_count();
/// Makes the CPUs in `mask` (bit = cpu_id) run `fn(argument)` in interrupt context; with `wait`
/// returns when all have. Never called with interrupts disabled.
void cpu_call(std::uint64_t mask, void (*fn)(void*), void* argument);
/// Makes `cpu` look at need_resched soon.
void cpu_kick(std::uint32_t cpu);

}  // namespace kiln::hal
