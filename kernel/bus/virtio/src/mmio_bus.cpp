// Where a machine's virtio-mmio devices are.
#include <string_view>

#include <kiln/base/option.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/log/log.hpp>
#include <kiln/mem/kernel_map.hpp>
#include <kiln/virtio/mmio_device.hpp>

#include "parse_mmio.hpp"

namespace kiln::virtio {
namespace {

// QEMU's microvm without ACPI (include/hw/i386/microvm.h: VIRTIO_MMIO_BASE, VIRTIO_IRQ_BASE, VIRTIO_NUM_TRANSPORTS).
constexpr std::uint64_t kMicrovmBase = 0xfeb00000;
constexpr std::uint32_t kMicrovmFirstLine = 5;
constexpr std::uint32_t kMicrovmDevices = 8;
constexpr std::uint64_t kRegisterBytes = 0x200;

constexpr std::size_t kMaxNamed = 16;
constinit MmioPlace named[kMaxNamed];
constinit std::size_t named_count = 0;

bool add_named(std::string_view value) {
    if (named_count == kMaxNamed || !parse_mmio_place(value, &named[named_count])) return false;
    ++named_count;
    return true;
}
KILN_OPTION(virtio_mmio, "virtio_mmio.device", add_named);

void visit_place(MmioPlace place, void (*visit)(MmioDevice, std::uint32_t)) {
    auto registers = mem::map_device({place.base}, place.size);
    if (!registers.ok()) {
        log::error("virtio", "no memory to map the device at {:x}", place.base);
        return;
    }
    auto device = MmioDevice::probe(registers.value());
    if (device.ok()) {
        visit(device.value(), place.line);
    } else {
        mem::unmap_device(registers.value(), place.size);
    }
}

}  // namespace

void for_each_mmio_device(void (*visit)(MmioDevice device, std::uint32_t line)) {
    for (std::size_t i = 0; i < named_count; ++i) visit_place(named[i], visit);
    // With PCI, something else may be at the microvm's addresses.
    if (named_count != 0 || hal::has_pci()) return;
    for (std::uint32_t i = 0; i < kMicrovmDevices; ++i)
        visit_place({kMicrovmBase + i * kRegisterBytes, kRegisterBytes, kMicrovmFirstLine + i},
                    visit);
}

}  // namespace kiln::virtio
