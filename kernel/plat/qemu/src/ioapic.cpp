// IOAPIC: lines to vectors (Intel 82093AA data sheet). Its entries are masked after reset.
#include <kiln/arch/cpu.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>

#include "acpi_tables.hpp"

namespace kiln {
namespace {

constexpr std::uint32_t kSelect = 0x00;
constexpr std::uint32_t kWindow = 0x10;
constexpr std::uint32_t kVersionRegister = 1;
constexpr std::uint32_t kFirstEntryRegister = 0x10;
constexpr std::uint32_t kActiveLow = 1u << 13;
constexpr std::uint32_t kLevel = 1u << 15;
constexpr std::uint32_t kDestinationShift = 24;

/// The two registers are used one after the other: the caller keeps interrupts off.
std::uint32_t read(volatile std::byte* at, std::uint32_t reg) {
    arch::mmio_write32(at + kSelect, reg);
    return arch::mmio_read32(at + kWindow);
}
void write(volatile std::byte* at, std::uint32_t reg, std::uint32_t value) {
    arch::mmio_write32(at + kSelect, reg);
    arch::mmio_write32(at + kWindow, value);
}

}  // namespace

void hal::interrupt_route(std::uint32_t line, std::uint32_t vector) {
    const acpi::Facts& facts = plat::acpi();
    // Beyond ISA's lines are PCI's: level, active low.
    acpi::IsaRoute route{.gsi = line, .active_low = true, .level = true};
    if (line < acpi::kIsaLines) route = facts.isa[line];
    for (std::size_t i = 0; i < facts.io_apic_count; ++i) {
        const acpi::IoApic& io_apic = facts.io_apics[i];
        if (route.gsi < io_apic.first_gsi) continue;
        auto* at = static_cast<volatile std::byte*>(arch::map_device({io_apic.address}, kPageSize));
        KILN_ASSERT(at != nullptr);
        const IrqState state = irq_save();
        const std::uint32_t last = read(at, kVersionRegister) >> 16 & 0xff;
        const std::uint32_t index = route.gsi - io_apic.first_gsi;
        if (index <= last) {
            const std::uint32_t low =
                vector | (route.active_low ? kActiveLow : 0) | (route.level ? kLevel : 0);
            write(at, kFirstEntryRegister + 2 * index + 1, cpu_local().hw_id << kDestinationShift);
            write(at, kFirstEntryRegister + 2 * index, low);
            irq_restore(state);
            return;
        }
        irq_restore(state);
    }
    panicf("interrupt line {}: no interrupt controller has it", line);
}

}  // namespace kiln
