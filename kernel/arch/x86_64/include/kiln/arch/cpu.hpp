// x86-64: what the platform and boot code need of the processor. Layers above use hal/.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/types.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>

namespace kiln::arch {

/// What CPUID says, as far as somebody asks; read once by init_cpu().
struct CpuFeatures {
    std::uint32_t max_leaf;
    std::uint32_t leaf1_ecx;
    std::uint32_t leaf1_edx;
    std::uint32_t leaf7_ebx;
    std::uint32_t leaf7_ecx;
    bool nx;
    bool pages_1g;
};
const CpuFeatures& cpu_features();

// Bits of CpuFeatures::leaf1_ecx (Intel SDM vol. 2, CPUID).
inline constexpr std::uint32_t kLeaf1X2apic = 1u << 21;
inline constexpr std::uint32_t kLeaf1TscDeadline = 1u << 24;
inline constexpr std::uint32_t kLeaf1Xsave = 1u << 26;
inline constexpr std::uint32_t kLeaf1Rdrand = 1u << 30;
inline constexpr std::uint32_t kLeaf1Hypervisor = 1u << 31;

/// Replaces the early page tables: `ram` in the direct map (never executable; the kernel's text and
/// read-only data not writable there either), the image with the rights of its segments, nothing at low
/// addresses. Pages for tables come from the image, then from `ram` outside of `reserved`: those are returned and in
/// use from now on. `outside`: a page range that is no RAM but stays readable in the direct map (the command line,
/// where QEMU's microvm puts it). Called once, after init_cpu().
hal::MemoryRange init_paging(std::span<const hal::MemoryRange> ram,
                             std::span<const hal::MemoryRange> reserved, hal::MemoryRange outside);

/// Bytes of physical memory that can be read through the direct map before init_paging().
std::uint64_t early_direct_map_bytes();

/// Sets up descriptor tables, control registers and the system call entry of this CPU.
void init_cpu();

/// The kernel's view of device registers (uncached) outside of RAM; stays mapped for ever. Slots of 2 MiB, shared by
/// neighbours: for a few platform devices. Null when the slots are used up.
volatile void* map_device(PhysAddr phys, std::uint64_t bytes);
/// The same for firmware tables, which may lie in RAM or outside. Null as above or when the range wraps.
const std::byte* map_firmware(PhysAddr phys, std::uint64_t bytes);

/// Physical range of the kernel image with its zeroed data.
PhysAddr image_begin();
PhysAddr image_end();
/// Part of the image that is free memory after init_paging().
PhysAddr early_tables_begin();
PhysAddr early_tables_end();

/// Resets the machine by a fault that cannot be delivered.
[[noreturn]] void triple_fault();

}  // namespace kiln::arch
