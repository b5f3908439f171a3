// A split virtqueue (VIRTIO 1.2, 2.7). What the device writes is not trusted: it can spoil its own answers, but never makes
// us touch memory that is not the queue's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>

namespace kiln::virtio {

/// Not synchronised: its owner locks.
class Virtqueue {
public:
    static constexpr std::uint16_t kMaxSize = 64;
    /// Memory of a queue of kMaxSize: descriptors and available ring in the first page, the used ring at the start of the
    /// second, which is where both the old (page-aligned) and the new interface can have it.
    static constexpr std::size_t kMemoryBytes = 2 * kPageSize;

    /// `memory`: kMemoryBytes, zeroed, page-aligned, physically contiguous from `phys`. `size`: a power of two up to
    /// kMaxSize. EINVAL.
    Result<void> init(void* memory, PhysAddr phys, std::uint16_t size);

    std::uint16_t size() const { return size_; }
    PhysAddr descriptors() const { return phys_; }
    PhysAddr available() const { return {phys_.value + size_ * kDescriptorBytes}; }
    PhysAddr used() const { return {phys_.value + kPageSize}; }

    /// Gives one buffer to the device; `token` comes back with it. EAGAIN: the queue is full.
    Result<void> add(PhysAddr buffer, std::uint32_t length, bool device_writes, void* token);

    struct Completion {
        void* token;
        std::uint32_t length;  ///< bytes that the device says it wrote, at most the buffer's length
    };
    /// The next buffer that the device is done with; false when there is none (more). Answers that make no sense are
    /// counted and skipped.
    bool take(Completion* out);
    std::uint32_t bad_answers() const { return bad_answers_; }

private:
    static constexpr std::size_t kDescriptorBytes = 16;
    struct Descriptor {
        std::uint64_t address;
        std::uint32_t length;
        std::uint16_t flags;
        std::uint16_t next;
    };
    static_assert(sizeof(Descriptor) == kDescriptorBytes);
    struct UsedElement {
        std::uint32_t id;
        std::uint32_t length;
    };
    struct InFlight {
        void* token = nullptr;
        std::uint32_t length = 0;
        bool busy = false;
    };

    PhysAddr phys_{};
    std::uint16_t size_ = 0;
    Descriptor* descriptors_ = nullptr;
    volatile std::uint16_t* available_ = nullptr;  ///< flags, index, ring[size]
    volatile std::uint16_t* used_ = nullptr;       ///< flags, index, then UsedElement[size]
    std::uint16_t next_available_ = 0;
    std::uint16_t next_used_ = 0;
    std::uint32_t bad_answers_ = 0;
    InFlight in_flight_[kMaxSize];  ///< ours alone: the device sees only the descriptors
};

}  // namespace kiln::virtio
