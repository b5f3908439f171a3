// Allocations that fail on purpose, so that tests walk the error paths. Compiled in on the host, and in the guest
// when CONFIG_FAILURE_INJECTION is set; else it costs nothing.
#pragma once

#include <atomic>
#include <cstdint>

#include <config/failure_injection.hpp>

namespace kiln::mem {

#ifdef KILN_HOST
inline constexpr bool kInjectFailures = true;
#else
inline constexpr bool kInjectFailures = config::failure_injection;
#endif

namespace detail {
extern std::atomic<std::uint32_t> inject_every;
bool injected_slow();
}  // namespace detail

/// True when this allocation is to fail.
inline bool failure_injected() {
    if constexpr (kInjectFailures) {
        return detail::inject_every.load(std::memory_order_relaxed) != 0 && detail::injected_slow();
    }
    return false;
}

}  // namespace kiln::mem
