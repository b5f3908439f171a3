// The input is physical memory from address 0; its first byte picks the protocol, the next two where the information lies.
#include <cstring>

#include <kiln/boot_protocol/boot_protocol.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kiln;
    if (size < 3) return 0;
    std::uint16_t info;
    std::memcpy(&info, data + 1, sizeof(info));
    const std::span<const std::byte> memory(reinterpret_cast<const std::byte*>(data), size);
    boot_protocol::BootData out;
    const char* error = nullptr;
    switch (data[0] % 3) {
        case 0: error = boot_protocol::parse_pvh(memory, info, &out); break;
        case 1: error = boot_protocol::parse_linux(memory, info, &out); break;
        default: error = boot_protocol::parse_multiboot2(memory, info, &out); break;
    }
    if (error != nullptr) return 0;
    // What is promised of an accepted input.
    const auto& line = out.command_line;
    if (line.begin > size || line.length > size - line.begin) __builtin_trap();
    if (out.initrd.length != 0 &&
        !out.ram.contains(out.initrd.begin / 4096 * 4096, out.initrd.begin + out.initrd.length))
        __builtin_trap();
    std::uint64_t last = 0;
    for (const hal::MemoryRange& r : out.ram.ranges()) {
        if (r.begin.value <= last || r.end <= r.begin) __builtin_trap();
        last = r.end.value;
    }
    return 0;
}
