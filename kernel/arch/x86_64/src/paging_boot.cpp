// The kernel's own page tables, made once at boot from the memory map.
#include <cstring>

#include <kiln/arch/cpu.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/arch/page_table.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/paging.hpp>

#include "cpu_data.hpp"

extern "C" {
extern std::uint64_t kernel_pml4[512];
extern std::uint64_t kernel_pdpt_image[512];
extern std::uint64_t kernel_pd_image[512];
extern std::uint64_t early_pdpt[512];
extern char kernel_table_pool[], kernel_table_pool_end[];
extern char __early_start[], __early_end[];
extern char __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_end[],
    __image_end[];
extern char boot_stack_bottom[];
}

namespace kiln::arch {
namespace {

constexpr std::uint64_t kLargePage = 2_MiB;
constexpr std::uint64_t kHugePage = 1_GiB;
constexpr std::uint64_t kLoadPhys = 1_MiB;  // kernel.ld
constexpr std::size_t kImageTables = 8;     // as boot.S maps

/// Where device mappings live: the last slots of the GiB that the image is in.
constexpr std::size_t kDeviceSlots = 64;
constexpr std::size_t kFirstDeviceSlot = kPteCount - kDeviceSlots;
std::uint64_t device_slot_count = 0;

std::uint64_t image_phys(const void* symbol) {
    return reinterpret_cast<std::uint64_t>(symbol) - hal::kKernelImageBase;
}

/// Pages for tables: the image's own pool, then RAM that nothing else uses.
class BootPages {
public:
    /// Looks for a gap of `wanted` pages between the ranges in use: above the image if there is one, so that low memory
    /// stays whole.
    void init(std::span<const hal::MemoryRange> ram, std::span<const hal::MemoryRange> reserved,
              std::uint64_t wanted) {
        for (const std::uint64_t lowest : {image_end().value, std::uint64_t{0}}) {
            for (const hal::MemoryRange& r : ram) {
                if (find_gap(r.begin.value > lowest ? r.begin.value : lowest, r.end.value, reserved,
                             wanted))
                    return;
            }
        }
    }
    Result<PhysAddr> allocate() {
        if (pool_ != kernel_table_pool_end) {
            const PhysAddr page{image_phys(pool_)};
            pool_ += kPageSize;
            return page;
        }
        if (next_ == end_) panic("no memory for the kernel's page tables");
        const PhysAddr page{next_};
        next_ += kPageSize;
        std::memset(hal::phys_to_virt(page), 0, kPageSize);
        return page;
    }
    hal::MemoryRange taken() const { return {{begin_}, {next_}}; }

private:
    bool find_gap(std::uint64_t begin, std::uint64_t end,
                  std::span<const hal::MemoryRange> reserved, std::uint64_t wanted) {
        if (end > early_direct_map_bytes()) end = early_direct_map_bytes();
        for (const hal::MemoryRange& r : reserved) {
            if (r.end.value <= begin || r.begin.value >= end) continue;
            if (r.begin.value > begin && (r.begin.value - begin) / kPageSize >= wanted) break;
            begin = r.end.value;
        }
        if (begin >= end || (end - begin) / kPageSize < wanted) return false;
        begin_ = next_ = begin;
        end_ = begin + wanted * kPageSize;
        return true;
    }

    char* pool_ = kernel_table_pool;
    std::uint64_t begin_ = 0;
    std::uint64_t next_ = 0;
    std::uint64_t end_ = 0;
};
constinit BootPages boot_pages;

void must(Result<void> result) { KILN_ASSERT(result.ok()); }

void map_direct(std::uint64_t begin, std::uint64_t end, std::uint32_t flags) {
    if (begin >= end) return;
    must(hal::map_range(hal::kernel_page_table_root(), {hal::kDirectMapBase + begin}, {begin},
                        end - begin, flags | hal::kMapGlobal));
}

/// RAM, read-only where the kernel's text and constants lie.
void map_ram(const hal::MemoryRange& r) {
    const std::uint64_t constant_end = image_phys(__rodata_end);
    const auto clamp = [&](std::uint64_t v) {
        return v < r.begin.value ? r.begin.value : v > r.end.value ? r.end.value : v;
    };
    map_direct(r.begin.value, clamp(kLoadPhys), hal::kMapRead | hal::kMapWrite);
    map_direct(clamp(kLoadPhys), clamp(constant_end), hal::kMapRead);
    map_direct(clamp(constant_end), r.end.value, hal::kMapRead | hal::kMapWrite);
}

/// Tables of 4 KiB pages for the image, one after the other, filled while the early tables are still in use.
void map_image() {
    std::uint64_t tables[kImageTables];
    const std::uint64_t end = image_end().value;
    const std::size_t count = (end + kLargePage - 1) / kLargePage;
    for (std::size_t i = 0; i < count; ++i) tables[i] = boot_pages.allocate().value().value;
    const auto map = [&](const void* from, const void* to, std::uint64_t bits) {
        const std::uint64_t stop = image_phys(to);
        for (std::uint64_t phys = image_phys(from); phys < stop;) {
            auto* entry =
                static_cast<std::uint64_t*>(hal::phys_to_virt({tables[phys / kLargePage]})) +
                phys / kPageSize % kPteCount;
            const std::uint64_t table_end = align_down(phys, kLargePage) + kLargePage;
            for (const std::uint64_t end_here = stop < table_end ? stop : table_end;
                 phys < end_here; phys += kPageSize)
                *entry++ = phys | bits;
        }
    };
    constexpr std::uint64_t kCommon = kPtePresent | kPteAccessed | kPteDirty | kPteGlobal;
    const auto* text_end =
        reinterpret_cast<const char*>(page_up(reinterpret_cast<std::uintptr_t>(__text_end)));
    map(__text_start, text_end, kCommon);
    map(__rodata_start, __rodata_end, kCommon | kPteNoExecute);
    map(boot_stack_bottom, __data_end, kCommon | kPteWrite | kPteNoExecute);
    const char* file_end = reinterpret_cast<const char*>(hal::kKernelImageBase + end);
    map(__data_end, file_end, kCommon | kPteNoExecute);
    for (std::size_t i = 0; i < kImageTables; ++i)
        kernel_pd_image[i] = i < count ? tables[i] | kPtePresent | kPteWrite | kPteAccessed : 0;
}

}  // namespace

PhysAddr image_begin() { return {kLoadPhys}; }
PhysAddr early_tables_begin() { return {image_phys(__early_start)}; }
PhysAddr early_tables_end() { return {image_phys(__early_end)}; }
PhysAddr image_end() { return {page_up(image_phys(__image_end))}; }

std::uint64_t early_direct_map_bytes() {
    // boot.S: four pages of 1 GiB, or a table of 2 MiB pages.
    return (early_pdpt[0] & kPteLarge) != 0 ? 4 * kHugePage : kHugePage;
}

hal::MemoryRange init_paging(std::span<const hal::MemoryRange> ram,
                             std::span<const hal::MemoryRange> reserved, hal::MemoryRange outside) {
    const bool pages_1g = early_direct_map_bytes() > kHugePage;
    const std::uint64_t ram_end = ram.empty() ? 0 : ram.back().end.value;
    // At worst a table per GiB, three where a range begins or ends, and the image's; what is not needed is not taken.
    boot_pages.init(ram, reserved, kImageTables + 2 * (ram_end / kHugePage + 1) + 3 * ram.size());
    constexpr std::uint64_t kTopEntryBytes = std::uint64_t{1} << kPml4Shift;
    set_kernel_tables(static_cast<unsigned>((ram_end + kTopEntryBytes - 1) / kTopEntryBytes),
                      pages_1g);
    hal::set_page_table_allocator({[] { return boot_pages.allocate(); }, nullptr});

    // The new tables are written through the early direct map, which stays in use until CR3 is loaded. Only the image's page
    // directory is shared: its large pages give way to tables that translate the same.
    constexpr std::uint64_t kTableBits = kPtePresent | kPteWrite | kPteAccessed;
    kernel_pml4[(hal::kKernelImageBase >> kPml4Shift) % kPteCount] =
        image_phys(kernel_pdpt_image) | kTableBits;
    for (const hal::MemoryRange& r : ram) map_ram(r);
    map_direct(outside.begin.value, outside.end.value, hal::kMapRead);
    map_image();
    this_cpu().loaded_root = hal::kernel_page_table_root().value;
    write_cr3(this_cpu().loaded_root);
    return boot_pages.taken();
}

volatile void* map_device(PhysAddr phys, std::uint64_t bytes) {
    const std::uint64_t first = align_down(phys.value, kLargePage);
    std::uint64_t end;
    if (bytes == 0 || !checked_add(phys.value, bytes, &end)) return nullptr;
    const std::uint64_t slots = (align_up(end, kLargePage) - first) / kLargePage;
    constexpr std::uint64_t kBits = kPtePresent | kPteWrite | kPteCacheDisable | kPteWriteThrough |
                                    kPteAccessed | kPteDirty | kPteLarge | kPteNoExecute;
    std::uint64_t slot = 0;
    while (slot < device_slot_count &&
           (kernel_pd_image[kFirstDeviceSlot + slot] & kPteAddress) != first)
        ++slot;
    if (slot + slots > device_slot_count) {
        slot = device_slot_count;
        if (slots > kDeviceSlots - slot) return nullptr;
        device_slot_count += slots;
    }
    for (std::uint64_t i = 0; i < slots; ++i)
        kernel_pd_image[kFirstDeviceSlot + slot + i] = (first + i * kLargePage) | kBits;
    return reinterpret_cast<volatile void*>(
        hal::kKernelImageBase + (kFirstDeviceSlot + slot) * kLargePage + (phys.value - first));
}

const std::byte* map_firmware(PhysAddr phys, std::uint64_t bytes) {
    for (const hal::MemoryRange& r : hal::boot_info().ram) {
        if (phys >= r.begin && phys < r.end && bytes <= r.end - phys)
            return static_cast<const std::byte*>(hal::phys_to_virt(phys));
    }
    return const_cast<const std::byte*>(static_cast<volatile std::byte*>(map_device(phys, bytes)));
}

}  // namespace kiln::arch

namespace kiln::hal {

PhysAddr kernel_page_table_root() {
    return {reinterpret_cast<std::uint64_t>(kernel_pml4) - kKernelImageBase};
}

}  // namespace kiln::hal
