#include <kiln/virtio/mmio_device.hpp>

namespace kiln::virtio {
namespace {

constexpr std::uint32_t kMagicValue = 0x74726976;  // "virt"
constexpr std::uint32_t kVersionLegacy = 1;
constexpr std::uint32_t kVersionCurrent = 2;

// Device status (VIRTIO 1.2, 2.1).
constexpr std::uint32_t kAcknowledge = 1;
constexpr std::uint32_t kDriver = 2;
constexpr std::uint32_t kDriverOk = 4;
constexpr std::uint32_t kFeaturesOk = 8;
constexpr std::uint32_t kFailed = 128;

constexpr std::uint64_t kFeatureVersion1 = std::uint64_t{1} << 32;

}  // namespace

std::uint32_t MmioDevice::read(Register reg) const {
    return *reinterpret_cast<const volatile std::uint32_t*>(registers_ + reg);
}
void MmioDevice::write(Register reg, std::uint32_t value) {
    *reinterpret_cast<volatile std::uint32_t*>(registers_ + reg) = value;
}
void MmioDevice::write_address(Register low, PhysAddr address) {
    write(low, static_cast<std::uint32_t>(address.value));
    write(static_cast<Register>(low + 4), static_cast<std::uint32_t>(address.value >> 32));
}

Result<MmioDevice> MmioDevice::probe(volatile void* registers) {
    MmioDevice device;
    device.registers_ = static_cast<volatile std::uint8_t*>(registers);
    if (device.read(kMagic) != kMagicValue) return Errno::kENODEV;
    const std::uint32_t version = device.read(kVersion);
    if (version != kVersionLegacy && version != kVersionCurrent) return Errno::kENODEV;
    device.is_legacy_ = version == kVersionLegacy;
    device.device_id_ = device.read(kDeviceId);
    if (device.device_id_ == 0) return Errno::kENODEV;
    return device;
}

Result<void> MmioDevice::begin(std::uint64_t wanted) {
    write(kStatus, 0);
    add_status(kAcknowledge);
    add_status(kDriver);
    write(kDeviceFeaturesSelect, 0);
    std::uint64_t offered = read(kDeviceFeatures);
    if (!is_legacy_) {
        write(kDeviceFeaturesSelect, 1);
        offered |= std::uint64_t{read(kDeviceFeatures)} << 32;
        wanted |= kFeatureVersion1;
    }
    const std::uint64_t accepted = offered & wanted;
    write(kDriverFeaturesSelect, 0);
    write(kDriverFeatures, static_cast<std::uint32_t>(accepted));
    if (is_legacy_) {
        write(kGuestPageSize, kPageSize);
        return {};
    }
    write(kDriverFeaturesSelect, 1);
    write(kDriverFeatures, static_cast<std::uint32_t>(accepted >> 32));
    add_status(kFeaturesOk);
    if ((accepted & kFeatureVersion1) == 0 || (read(kStatus) & kFeaturesOk) == 0)
        return Errno::kEIO;
    return {};
}

Result<void> MmioDevice::setup_queue(std::uint32_t index, Virtqueue* queue, void* queue_memory,
                                     PhysAddr phys) {
    write(kQueueSelect, index);
    const std::uint32_t largest = read(kQueueSizeMax);
    std::uint16_t size = Virtqueue::kMaxSize;
    while (size > largest) size /= 2;
    if (size == 0) return Errno::kENODEV;
    TRY(queue->init(queue_memory, phys, size));
    write(kQueueSize, size);
    if (is_legacy_) {
        write(kQueueAlign, kPageSize);
        write(kQueuePageNumber, static_cast<std::uint32_t>(phys.value / kPageSize));
        return {};
    }
    write_address(kQueueDescriptors, queue->descriptors());
    write_address(kQueueDriver, queue->available());
    write_address(kQueueDevice, queue->used());
    write(kQueueReady, 1);
    return {};
}

void MmioDevice::start() { add_status(kDriverOk); }
void MmioDevice::fail() { add_status(kFailed); }

bool MmioDevice::acknowledge_interrupt() {
    const std::uint32_t status = read(kInterruptStatus);
    if (status != 0) write(kInterruptAcknowledge, status);
    return status != 0;
}

}  // namespace kiln::virtio
