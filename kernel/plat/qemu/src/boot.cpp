// From the entry code to the kernel's main function.
#include <kiln/arch/boot.h>
#include <config/boot_linux.hpp>
#include <config/boot_multiboot2.hpp>
#include <kiln/abi/formats/image_note.hpp>
#include <kiln/arch/cpu.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/boot_protocol/boot_protocol.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>

#include "apic.hpp"
#include "platform.hpp"

namespace kiln {
namespace {

// `kiln build` writes here, after linking: hence volatile.
[[gnu::section(".note.kiln"), gnu::used]] constinit const volatile abi::ImageNote image_note =
    abi::kEmptyImageNote;

constinit boot_protocol::BootData boot_data{};
constinit boot_protocol::RangeSet reserved{};
constinit hal::BootInfo info{};

void reserve(std::uint64_t begin, std::uint64_t length) {
    if (length != 0) reserved.add(page_down(begin), page_up(begin + length));
}

const char* parse(std::uint32_t protocol, std::uint64_t address) {
    const std::span<const std::byte> memory(static_cast<const std::byte*>(hal::phys_to_virt({0})),
                                            arch::early_direct_map_bytes());
    if (config::boot_linux && protocol == KILN_BOOT_LINUX) {
        info.protocol = "linux";
        return parse_linux(memory, address, &boot_data);
    }
    if (config::boot_multiboot2 && protocol == KILN_BOOT_MULTIBOOT2) {
        info.protocol = "multiboot2";
        return parse_multiboot2(memory, address, &boot_data);
    }
    info.protocol = "pvh";
    return parse_pvh(memory, address, &boot_data);
}

/// The root image inside the kernel's own file, when the boot protocol gave none.
void use_image_note() {
    const std::uint64_t begin = image_note.image_phys;
    const std::uint64_t length = image_note.image_bytes;
    if (boot_data.initrd.length != 0 || length == 0) return;
    std::uint64_t end;
    if (!checked_add(begin, length, &end) || !is_aligned(begin, abi::kImageAlignment) ||
        !boot_data.ram.contains(begin, end))
        panic(
            "the root image inside the kernel's file is not in RAM: the machine has too little "
            "memory for it");
    boot_data.initrd = {begin, length};
}

}  // namespace

const hal::BootInfo& hal::boot_info() { return info; }

}  // namespace kiln

extern "C" {

void kiln_main();

[[noreturn]] void kiln_boot(std::uint32_t protocol, std::uint64_t info_address) {
    using namespace kiln;
    arch::init_cpu();
    plat::init_apic();
    plat::start_clock();
    plat::disable_pic();
    const char* error = parse(protocol, info_address);
    plat::init_console();
    if (error != nullptr) panic(error);
    use_image_note();

    const std::uint64_t image_begin = arch::image_begin().value;
    reserve(image_begin, arch::image_end().value - image_begin);
    hal::MemoryRange outside{};
    const hal::MemoryRange command_line{
        {page_down(boot_data.command_line.begin)},
        {page_up(boot_data.command_line.begin + boot_data.command_line.length)}};
    if (boot_data.ram.contains(command_line.begin.value, command_line.end.value)) {
        reserve(boot_data.command_line.begin, boot_data.command_line.length);
    } else {
        outside = command_line;
    }
    reserve(boot_data.initrd.begin, boot_data.initrd.length);
    const hal::MemoryRange tables =
        arch::init_paging(boot_data.ram.ranges(), reserved.ranges(), outside);
    reserve(tables.begin.value, tables.end - tables.begin);
    reserved.remove(arch::early_tables_begin().value, arch::early_tables_end().value);

    info.ram = boot_data.ram.ranges();
    info.reserved = reserved.ranges();
    info.command_line = {
        static_cast<const char*>(hal::phys_to_virt({boot_data.command_line.begin})),
        boot_data.command_line.length};
    info.initrd_phys = {boot_data.initrd.begin};
    info.initrd = {static_cast<const std::byte*>(hal::phys_to_virt(info.initrd_phys)),
                   boot_data.initrd.length};
    info.rsdp = boot_data.rsdp;

    kiln_main();
    panic("kiln_main() returned");
}

}  // extern "C"
