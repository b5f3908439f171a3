// Page tables. One set of operations for kernel mappings and application address spaces.
#pragma once

#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>

namespace kiln::hal {

/// Rights and kind of a mapping. kUser has an effect only with PRIVILEGE_USER; the kernel maps
/// application pages with it in both modes.
enum MapFlags : std::uint32_t {
    kMapRead = 1u << 0,
    kMapWrite = 1u << 1,
    kMapExecute = 1u << 2,
    kMapUser = 1u << 3,
    kMapUncached = 1u << 4,  ///< device memory
    kMapGlobal = 1u << 5,    ///< kernel half: survives a change of address space
};

// Layout (x86-64: 48-bit; arm64 uses the same split with TTBR0/TTBR1).
inline constexpr std::uintptr_t kUserBegin = 0x10000;
inline constexpr std::uintptr_t kUserEnd = 0x00007ffffffff000;
inline constexpr std::uintptr_t kDirectMapBase = 0xffff800000000000;
inline constexpr std::uintptr_t kKernelDynamicBase = 0xffffc00000000000;
inline constexpr std::uintptr_t kKernelDynamicEnd = 0xffffc08000000000;
inline constexpr std::uintptr_t kKernelImageBase = 0xffffffff80000000;

/// The kernel's view of physical memory (RAM only, writable, never executable).
#ifdef KILN_HOST
void* phys_to_virt(PhysAddr p);
PhysAddr virt_to_phys(const void* v);
#else
inline void* phys_to_virt(PhysAddr p) { return reinterpret_cast<void*>(kDirectMapBase + p.value); }
/// Only for addresses in the direct map.
inline PhysAddr virt_to_phys(const void* v) {
    return {reinterpret_cast<std::uintptr_t>(v) - kDirectMapBase};
}
#endif

/// Where page table pages come from and go to; registered by mem. Pages are zeroed. Null: no
/// memory.
struct PageTableAllocator {
    Result<PhysAddr> (*allocate)();
    void (*free)(PhysAddr page);
};
void set_page_table_allocator(const PageTableAllocator& allocator);

/// The root the kernel itself runs on before there is any application.
PhysAddr kernel_page_table_root();
/// A new root whose upper half is the kernel's.
Result<PhysAddr> create_page_table_root();
/// Frees all lower-half tables (not the pages they map) and the root; it is loaded nowhere.
void destroy_page_table_root(PhysAddr root);

/// Maps one 4 KiB page; replaces what was there (the caller flushes then). ENOMEM: no page for a
/// table.
Result<void> map_page(PhysAddr root, VirtAddr va, PhysAddr pa, std::uint32_t flags);
/// Maps [va, va+length) to contiguous physical memory, with large pages where alignment allows.
/// All multiples of 4 KiB.
Result<void> map_range(PhysAddr root, VirtAddr va, PhysAddr pa, std::uint64_t length,
                       std::uint32_t flags);

/// Maps those 4 KiB pages of the range that are not mapped yet to their place in the contiguous physical memory at
/// `pa`; returns how many. One walk for many pages: what fault-around needs.
Result<std::uint64_t> fill_range(PhysAddr root, VirtAddr va, PhysAddr pa, std::uint64_t length,
                                 std::uint32_t flags);

/// One present leaf entry.
struct PageEntry {
    PhysAddr page;        ///< of the 4 KiB page asked for, also inside a large page
    std::uint32_t flags;  ///< MapFlags
    bool accessed;
    bool dirty;
    std::uint64_t size;  ///< size of the leaf: 4 KiB, 2 MiB, 1 GiB
};
/// False when nothing is mapped at `va`.
bool query_page(PhysAddr root, VirtAddr va, PageEntry* out);
/// Removes the mappings in the range, calling `visit` for each 4 KiB page that was present.
/// Empty tables may be freed. Large leaves that the range cuts are split (ENOMEM if impossible).
Result<void> unmap_range(PhysAddr root, VirtAddr va, std::uint64_t length,
                         void (*visit)(VirtAddr va, const PageEntry& entry, void* cookie),
                         void* cookie);
/// Changes the rights of the present pages in the range to `flags`. With `keep_readonly`, pages
/// that are mapped read-only stay so (they are waiting for copy-on-write).
Result<void> protect_range(PhysAddr root, VirtAddr va, std::uint64_t length, std::uint32_t flags,
                           bool keep_readonly);

/// Local TLB. The remote half (shootdown by IPI) is vm's, through hal/smp.hpp.
void flush_tlb_page(VirtAddr va);
void flush_tlb_range(VirtAddr va, std::uint64_t length);
void flush_tlb_all();
void load_page_table_root(PhysAddr root);

}  // namespace kiln::hal
