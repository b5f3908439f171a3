// Init calls: what a library does once at boot, without init knowing its name.
#pragma once

#include <cstdint>
#include <string_view>

#include <kiln/base/registry.hpp>

namespace kiln {

/// When a call runs. Within a level the order is undefined: what needs an order has two levels.
enum class InitLevel : std::uint8_t {
    kCore,     ///< memory, clock and scheduler work; one thread, interrupts on
    kDevice,   ///< buses and drivers
    kService,  ///< what sits on devices: file system types, clocks of the vDSO, control channel
};
inline constexpr unsigned kInitLevels = 3;

struct InitCall {
    InitLevel level;
    std::string_view name;
    void (*run)();
};

}  // namespace kiln

/// `KILN_INIT_CALL(virtio_console, kiln::InitLevel::kDevice, probe);`
#define KILN_INIT_CALL(ident, level_value, run_fn)                            \
    KILN_REGISTER(::kiln::InitCall, kiln_init_calls) kiln_init_call_##ident { \
        level_value, #ident, run_fn                                           \
    }
