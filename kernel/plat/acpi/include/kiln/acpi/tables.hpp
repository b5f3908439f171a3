// The few facts that we take from ACPI tables (ACPI specification 6.5). The tables come from firmware or a
// hypervisor and are not trusted: every length is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kiln::acpi {

struct IoApic {
    std::uint64_t address = 0;
    std::uint32_t first_gsi = 0;
};

/// How an ISA interrupt arrives: on which global interrupt, active low or high, by level or edge.
struct IsaRoute {
    std::uint32_t gsi = 0;
    bool active_low = false;
    bool level = false;
};

inline constexpr std::size_t kMaxIoApics = 4;
inline constexpr std::size_t kIsaLines = 16;

struct Facts {
    IoApic io_apics[kMaxIoApics];
    std::size_t io_apic_count = 0;
    IsaRoute isa[kIsaLines];         ///< identity where the table says nothing
    std::uint16_t pm1a_control = 0;  ///< port; 0: none
    std::uint16_t pm1b_control = 0;
    std::uint16_t pm_timer_port = 0;
    std::uint64_t sleep_control =
        0;  ///< hardware-reduced ACPI: address of the sleep control register; 0: none
    bool sleep_control_is_port = false;
    bool has_s5 = false;
    std::uint8_t s5_type_a = 0;  ///< SLP_TYP values of \_S5
    std::uint8_t s5_type_b = 0;
    std::uint16_t reset_port = 0;  ///< 0: none
    std::uint8_t reset_value = 0;
};

/// Gives the `length` bytes at physical address `at`, or null.
using Map = const std::byte* (*)(std::uint64_t at, std::uint64_t length, void* cookie);

/// Walks from the RSDP at `rsdp`. Facts that no valid table states keep their defaults. False: no valid RSDP.
bool read_tables(std::uint64_t rsdp, Map map, void* cookie, Facts* out);

}  // namespace kiln::acpi
