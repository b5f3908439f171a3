// Mappings that the kernel makes for itself: guarded stacks, device registers. They live from hal::kKernelDynamicBase on,
// in every address space.
#pragma once

#include <cstddef>

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>

namespace kiln::mem {

/// Size of a thread's kernel stack.
inline constexpr std::size_t kKernelStackSize = 16_KiB;

/// A stack of `size` bytes (a multiple of 4 KiB); the page below it is not mapped, so an overflow faults. Returns its
/// lowest address: the stack pointer starts at that + size. Its contents are undefined. ENOMEM. Stacks of
/// kKernelStackSize are kept for reuse, so that threads are cheap to make.
Result<void*> allocate_stack(std::size_t size = kKernelStackSize);
/// `base` and `size` as they were; the stack is not in use on any CPU. Interrupts enabled.
void free_stack(void* base, std::size_t size = kKernelStackSize);
/// True when `address` lies in the guard page of a stack made here: the kernel ran out of stack.
bool is_stack_guard(std::uintptr_t address);

/// Maps `size` bytes of device registers at `at` (need not be aligned), uncached. ENOMEM; EINVAL for size 0.
Result<void*> map_device(PhysAddr at, std::size_t size);
/// `address` and `size` as map_device() had and gave them.
void unmap_device(void* address, std::size_t size);

}  // namespace kiln::mem
