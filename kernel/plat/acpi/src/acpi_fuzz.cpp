// The whole input is the machine's memory from address 0; the RSDP is at the offset that its first two bytes tell.
#include <cstring>
#include <span>

#include <kiln/acpi/tables.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kiln;
    std::uint16_t rsdp = 0;
    if (size >= sizeof(rsdp)) std::memcpy(&rsdp, data, sizeof(rsdp));
    std::span<const std::uint8_t> memory(data, size);
    acpi::Facts facts;
    acpi::read_tables(
        rsdp,
        [](std::uint64_t at, std::uint64_t length, void* cookie) -> const std::byte* {
            const auto& m = *static_cast<std::span<const std::uint8_t>*>(cookie);
            if (at > m.size() || length > m.size() - at) return nullptr;
            return reinterpret_cast<const std::byte*>(m.data()) + at;
        },
        &memory, &facts);
    if (facts.io_apic_count > acpi::kMaxIoApics) __builtin_trap();
    return 0;
}
