// How the machine ends.
#include <kiln/abi/formats/end_record.hpp>
#include <kiln/arch/cpu.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>

#include "platform.hpp"

namespace kiln {
namespace {

// Keyboard controller (8042) command "pulse the reset line", and the reset control register of PC chipsets.
constexpr std::uint16_t kKeyboardCommand = 0x64;
constexpr std::uint8_t kPulseReset = 0xfe;
constexpr std::uint16_t kResetControl = 0xcf9;
constexpr std::uint8_t kHardReset = 0x06;

}  // namespace

void plat::start_clock() {}

void hal::power_off(std::string_view end_record, std::uint8_t status) {
    irq_disable();
    if (arch::in8(abi::kEndRecordPort) == abi::kEndRecordPortPresent)
        arch::out_bytes(abi::kEndRecordPort, end_record.data(), end_record.size());
    arch::out32(abi::kDebugExitPort, abi::debug_exit_value(status));
    // Still here: no debug exit device.
    arch::out8(kKeyboardCommand, kPulseReset);
    arch::out8(kResetControl, kHardReset);
    arch::triple_fault();
}

}  // namespace kiln
