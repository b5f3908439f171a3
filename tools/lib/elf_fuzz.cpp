// Fuzzes the ELF reader with everything the tool asks of it.
#include <elf.h>

#include "lib/elf.hpp"
#include "lib/error.hpp"
#include "lib/kernel_image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::byte> bytes{reinterpret_cast<const std::byte*>(data), size};
    try {
        const auto elf = kiln::tool::ElfFile::parse(bytes, EM_X86_64);
        elf.dynamic_symbols();
        elf.memory_bytes();
        elf.check_loadable();
    } catch (const kiln::tool::ElfError&) {
    }
    try {
        kiln::tool::embed_image({reinterpret_cast<const char*>(data), size}, 4096);
    } catch (const kiln::tool::Error&) {
    }
    return 0;
}
