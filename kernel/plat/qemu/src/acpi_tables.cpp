#include "acpi_tables.hpp"

#include <kiln/arch/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>

namespace kiln::plat {
namespace {

/// Where a PC's first IOAPIC is when nothing tells (Intel 82093AA data sheet; QEMU's microvm without ACPI).
constexpr std::uint64_t kDefaultIoApic = 0xfec00000;

// A PC's BIOS leaves the RSDP at a multiple of 16 in the upper part of the first MiB (ACPI 6.5, 5.2.5.1).
constexpr std::uint64_t kBiosBegin = 0xe0000;
constexpr std::uint64_t kBiosEnd = 0x100000;

constinit acpi::Facts facts{};
bool is_read = false;

const std::byte* map(std::uint64_t at, std::uint64_t length, void*) {
    return arch::map_firmware({at}, length);
}

std::uint64_t find_rsdp() {
    if (hal::boot_info().rsdp != 0) return hal::boot_info().rsdp;
    // A PVH loader has looked already: QEMU's leaves 0 when there is none.
    if (std::string_view(hal::boot_info().protocol) == "pvh") return 0;
    const std::byte* bios = arch::map_firmware({kBiosBegin}, kBiosEnd - kBiosBegin);
    for (std::uint64_t offset = 0; bios != nullptr && offset < kBiosEnd - kBiosBegin;
         offset += 16) {
        if (__builtin_memcmp(bios + offset, "RSD PTR ", 8) == 0) return kBiosBegin + offset;
    }
    return 0;
}

}  // namespace

const acpi::Facts& acpi() {
    if (!is_read) {
        is_read = true;
        const std::uint64_t rsdp = find_rsdp();
        static_cast<void>(acpi::read_tables(rsdp, map, nullptr, &facts));
        if (facts.io_apic_count == 0)
            facts.io_apics[facts.io_apic_count++] = {.address = kDefaultIoApic, .first_gsi = 0};
    }
    return facts;
}

}  // namespace kiln::plat
