// One virtio device behind the MMIO transport (VIRTIO 1.2, 4.2), in its present form (version 2) and the legacy one
// (version 1), which QEMU's microvm has by default.
#pragma once

#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/virtio/virtqueue.hpp>

namespace kiln::virtio {

inline constexpr std::uint32_t kDeviceConsole = 3;

class MmioDevice {
public:
    /// Registers of a device at `registers` (0x200 bytes, mapped for good). ENODEV: there is none, or of an unknown
    /// version, or an empty slot.
    static Result<MmioDevice> probe(volatile void* registers);

    std::uint32_t device_id() const { return device_id_; }

    /// Resets it and agrees on the features: VERSION_1 (if not legacy) and what both want of `wanted`. EIO: the device does
    /// not accept them. Then setup_queue() for each queue, then start().
    Result<void> begin(std::uint64_t wanted);
    /// Lets the device know `queue`, with memory from `queue_memory` (Virtqueue::kMemoryBytes, zeroed, contiguous).
    /// ENODEV: the device has no such queue.
    Result<void> setup_queue(std::uint32_t index, Virtqueue* queue, void* queue_memory,
                             PhysAddr phys);
    void start();
    /// Gives up: the device will not be used.
    void fail();

    void notify(std::uint32_t queue_index) { write(kQueueNotify, queue_index); }
    /// Acknowledges the device's interrupt: true when it was its.
    bool acknowledge_interrupt();

private:
    enum Register : std::uint32_t {
        kMagic = 0x000,
        kVersion = 0x004,
        kDeviceId = 0x008,
        kDeviceFeatures = 0x010,
        kDeviceFeaturesSelect = 0x014,
        kDriverFeatures = 0x020,
        kDriverFeaturesSelect = 0x024,
        kGuestPageSize = 0x028,  // legacy
        kQueueSelect = 0x030,
        kQueueSizeMax = 0x034,
        kQueueSize = 0x038,
        kQueueAlign = 0x03c,       // legacy
        kQueuePageNumber = 0x040,  // legacy
        kQueueReady = 0x044,
        kQueueNotify = 0x050,
        kInterruptStatus = 0x060,
        kInterruptAcknowledge = 0x064,
        kStatus = 0x070,
        kQueueDescriptors = 0x080,
        kQueueDriver = 0x090,
        kQueueDevice = 0x0a0,
    };
    std::uint32_t read(Register reg) const;
    void write(Register reg, std::uint32_t value);
    void write_address(Register low, PhysAddr address);
    void add_status(std::uint32_t bits) { write(kStatus, read(kStatus) | bits); }

    volatile std::uint8_t* registers_ = nullptr;
    std::uint32_t device_id_ = 0;
    bool is_legacy_ = false;
};

/// Calls `visit` for each device that the machine has behind this transport (mapped, not yet reset) with the interrupt line it
/// uses: those named on the kernel command line (virtio_mmio.device=SIZE@BASE:IRQ, as Linux has it), else, on a
/// machine without PCI, those at the places of QEMU's microvm.
void for_each_mmio_device(void (*visit)(MmioDevice device, std::uint32_t line));

}  // namespace kiln::virtio
