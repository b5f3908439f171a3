// How the machine ends.
#include <kiln/abi/formats/end_record.hpp>
#include <kiln/arch/cpu.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>

#include "acpi_tables.hpp"
#include "platform.hpp"

namespace kiln {
namespace {

// Keyboard controller (8042) command "pulse the reset line", and the reset control register of PC chipsets.
constexpr std::uint16_t kKeyboardCommand = 0x64;
constexpr std::uint8_t kPulseReset = 0xfe;
constexpr std::uint16_t kResetControl = 0xcf9;
constexpr std::uint8_t kHardReset = 0x06;

/// SLP_EN and SLP_TYP of PM1 control (ACPI 6.5, 4.8.3.2.1) and of the sleep control register (4.8.3.7).
constexpr std::uint16_t kPm1SleepEnable = 1u << 13;
constexpr unsigned kPm1SleepTypeShift = 10;
constexpr std::uint8_t kSleepEnable = 1u << 5;
constexpr unsigned kSleepTypeShift = 2;

std::uint16_t pm1_value(std::uint8_t type) {
    return static_cast<std::uint16_t>(kPm1SleepEnable | type << kPm1SleepTypeShift);
}

/// ACPI's soft-off; returns where the machine has none.
void acpi_off() {
    const acpi::Facts& facts = plat::acpi();
    if (facts.has_s5 && facts.pm1a_control != 0) {
        arch::out16(facts.pm1a_control, pm1_value(facts.s5_type_a));
        if (facts.pm1b_control != 0) arch::out16(facts.pm1b_control, pm1_value(facts.s5_type_b));
    }
    if (facts.has_s5 && facts.sleep_control != 0) {
        const auto value =
            static_cast<std::uint8_t>(kSleepEnable | facts.s5_type_a << kSleepTypeShift);
        if (facts.sleep_control_is_port) {
            arch::out8(static_cast<std::uint16_t>(facts.sleep_control), value);
        } else if (volatile void* at = arch::map_device({facts.sleep_control}, 1); at != nullptr) {
            *static_cast<volatile std::uint8_t*>(at) = value;
        }
    }
    if (facts.reset_port != 0) arch::out8(facts.reset_port, facts.reset_value);
}

}  // namespace

void plat::debug_port_write(std::string_view bytes) {
    if (arch::in8(abi::kEndRecordPort) == abi::kEndRecordPortPresent)
        arch::out_bytes(abi::kEndRecordPort, bytes.data(), bytes.size());
}

void hal::power_off(std::string_view end_record, std::uint8_t status) {
    irq_disable();
    plat::debug_port_write(end_record);
    arch::out32(abi::kDebugExitPort, abi::debug_exit_value(status));
    // Still here: no debug exit device.
    acpi_off();
    arch::out8(kKeyboardCommand, kPulseReset);
    arch::out8(kResetControl, kHardReset);
    arch::triple_fault();
}

}  // namespace kiln
