// What is behind <kiln/mem/kernel_map.hpp>, over any page table root, for tests.
//
// Addresses are given out upwards and never run out in practice (512 GiB); those of stacks are used again. Lock:
// lock_ (kKernelMap) guards the kernel's page tables in this range; page allocation nests inside it. TLB flushes on
// other CPUs happen outside of it, before pages or addresses are given away again.
#pragma once

#include <array>
#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/mem/vector.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::mem {

class KernelMapper {
public:
    constexpr KernelMapper() = default;
    KILN_NON_COPYABLE(KernelMapper);

    Result<std::uintptr_t> allocate_stack(std::size_t size);
    void free_stack(std::uintptr_t base, std::size_t size);
    bool is_stack_guard(std::uintptr_t address);
    Result<std::uintptr_t> map_device(PhysAddr at, std::size_t size);
    void unmap_device(std::uintptr_t address, std::size_t size);
    /// Unmaps the stacks kept for reuse; returns pages freed.
    std::uint64_t trim();

private:
    static constexpr std::size_t kCachedStacks = 16;

    Result<std::uintptr_t> reserve(std::size_t size, std::size_t alignment);
    void release_stack(std::uintptr_t base, std::size_t size);

    sync::SpinLock lock_{sync::LockRank::kKernelMap};
    std::uintptr_t next_ = hal::kKernelDynamicBase;
    std::array<std::uintptr_t, kCachedStacks> cached_{};  ///< mapped stacks of kKernelStackSize
    std::size_t cached_count_ = 0;
    Vector<std::uintptr_t> free_slots_;  ///< unmapped places for such stacks
};

}  // namespace kiln::mem
