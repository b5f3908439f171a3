// kiln::panic() in the guest: says what happened and where, and ends the machine.
#include <atomic>

#include <kiln/abi/formats/end_record.hpp>
#include <kiln/base/option.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/debug/backtrace.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/hal/trap.hpp>

namespace {

/// How often panic() was entered: a panic inside of it says less each time.
constinit std::atomic<unsigned> depth{0};

/// panic=halt: for a debugger that looks at the machine as it is.
constinit bool halt_on_panic = false;

bool apply_option(std::string_view value) {
    halt_on_panic = value == "halt";
    return halt_on_panic || value == "exit";
}
KILN_OPTION(panic, "panic", apply_option);

}  // namespace

void kiln::panic(std::string_view reason) {
    hal::irq_disable();
    const unsigned level = depth.fetch_add(1);
    char line[abi::kEndRecordMaxLine];
    if (level < 2) {
        hal::console_write(level == 0 ? "\nkernel panic: " : "\npanic in panic: ");
        hal::console_write(reason);
        hal::console_write("\n");
    }
    if (level == 0) {
        if (const hal::TrapFrame* frame = hal::fatal_frame()) {
            debug::print_frame(*frame);
        } else {
            // From the caller on: its address, its frame.
            debug::print_backtrace(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)),
                                   *static_cast<std::uintptr_t*>(__builtin_frame_address(0)));
        }
    }
    if (level >= 3 || halt_on_panic) hal::halt_forever();
    const std::size_t n =
        abi::format_end_record({.kind = abi::EndKind::kPanic, .value = 0, .reason = reason}, line);
    hal::power_off({line, n}, abi::kStatusPanic);
}
