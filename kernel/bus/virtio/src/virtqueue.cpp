#include <kiln/virtio/virtqueue.hpp>

namespace kiln::virtio {
namespace {

constexpr std::uint16_t kDeviceWrites = 2;  // VIRTQ_DESC_F_WRITE
constexpr std::size_t kIndex = 1;
constexpr std::size_t kRing = 2;

}  // namespace

Result<void> Virtqueue::init(void* memory, PhysAddr phys, std::uint16_t size) {
    if (size == 0 || size > kMaxSize || (size & (size - 1)) != 0) return Errno::kEINVAL;
    auto* bytes = static_cast<std::byte*>(memory);
    phys_ = phys;
    size_ = size;
    descriptors_ = reinterpret_cast<Descriptor*>(bytes);
    available_ = reinterpret_cast<std::uint16_t*>(bytes + size * kDescriptorBytes);
    used_ = reinterpret_cast<std::uint16_t*>(bytes + kPageSize);
    return {};
}

Result<void> Virtqueue::add(PhysAddr buffer, std::uint32_t length, bool device_writes,
                            void* token) {
    std::uint16_t id = 0;
    while (id < size_ && in_flight_[id].busy) ++id;
    if (id == size_) return Errno::kEAGAIN;
    in_flight_[id] = {.token = token, .length = length, .busy = true};
    descriptors_[id] = {.address = buffer.value,
                        .length = length,
                        .flags = device_writes ? kDeviceWrites : std::uint16_t{0},
                        .next = 0};
    available_[kRing + next_available_ % size_] = id;
    ++next_available_;
    // The device sees the entry before the index that announces it.
    std::atomic_thread_fence(std::memory_order_release);
    available_[kIndex] = next_available_;
    return {};
}

bool Virtqueue::take(Completion* out) {
    while (used_[kIndex] != next_used_) {
        std::atomic_thread_fence(std::memory_order_acquire);
        const auto* elements = reinterpret_cast<const volatile UsedElement*>(used_ + kRing);
        const volatile UsedElement& element = elements[next_used_ % size_];
        // Read once: the device may change it meanwhile.
        const std::uint32_t id = element.id;
        const std::uint32_t length = element.length;
        ++next_used_;
        if (id >= size_ || !in_flight_[id].busy) {
            ++bad_answers_;
            continue;
        }
        in_flight_[id].busy = false;
        *out = {in_flight_[id].token,
                length < in_flight_[id].length ? length : in_flight_[id].length};
        return true;
    }
    return false;
}

}  // namespace kiln::virtio
