// Four-level page tables (Intel SDM vol. 3A, chapter 4), through the direct map. Pure code: the host's unit tests run it.
// The caller guards a root against concurrent changes and flushes the TLB.
#include <algorithm>

#include <kiln/arch/page_table.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/paging.hpp>

namespace kiln {
namespace {

using namespace arch;  // entry bits

constexpr unsigned kTopLevel = 4;
constexpr unsigned kIndexBits = 9;

// The only top-level entries that the upper half ever has; see ensure_dynamic_area().
constexpr std::size_t kDirectMapIndex = (hal::kDirectMapBase >> kPml4Shift) % kPteCount;
constexpr std::size_t kDynamicIndex = (hal::kKernelDynamicBase >> kPml4Shift) % kPteCount;
constexpr std::size_t kImageIndex = (hal::kKernelImageBase >> kPml4Shift) % kPteCount;
static_assert(((hal::kKernelDynamicEnd - 1) >> kPml4Shift) % kPteCount == kDynamicIndex);

hal::PageTableAllocator page_allocator{nullptr, nullptr};
unsigned direct_map_entries = 1;
bool has_large_1g = false;

constexpr unsigned level_shift(unsigned level) { return kPageShift + kIndexBits * (level - 1); }
constexpr std::uint64_t level_size(unsigned level) {
    return std::uint64_t{1} << level_shift(level);
}
constexpr std::size_t index_at(std::uintptr_t va, unsigned level) {
    return (va >> level_shift(level)) % kPteCount;
}

std::uint64_t* table_at(std::uint64_t entry_or_root) {
    return static_cast<std::uint64_t*>(hal::phys_to_virt({entry_or_root & kPteAddress}));
}

bool is_mapped(std::uint64_t entry) { return (entry & (kPtePresent | kPteNoRights)) != 0; }
bool is_leaf(std::uint64_t entry, unsigned level) {
    return level == 1 || (entry & kPteLarge) != 0 || (entry & kPtePresent) == 0;
}

/// The low bits and NX of a leaf; `level` > 1: a large page.
std::uint64_t leaf_bits(std::uint32_t flags, unsigned level) {
    std::uint64_t bits = kPteAccessed;
    if ((flags & (hal::kMapRead | hal::kMapWrite | hal::kMapExecute)) != 0) {
        bits |= kPtePresent;
        if ((flags & hal::kMapGlobal) != 0) bits |= kPteGlobal;
    } else {
        bits |= kPteNoRights;
    }
    if ((flags & hal::kMapWrite) != 0) bits |= kPteWrite;
    if ((flags & hal::kMapExecute) == 0) bits |= kPteNoExecute;
    if ((flags & hal::kMapUser) != 0) bits |= kPteUser;
    if ((flags & hal::kMapUncached) != 0) bits |= kPteCacheDisable | kPteWriteThrough;
    if (level > 1) bits |= kPteLarge;
    return bits;
}

std::uint32_t flags_of(std::uint64_t entry) {
    std::uint32_t flags = 0;
    if ((entry & kPteUser) != 0) flags |= hal::kMapUser;
    if ((entry & kPteCacheDisable) != 0) flags |= hal::kMapUncached;
    if ((entry & kPtePresent) == 0) return flags;
    flags |= hal::kMapRead;
    if ((entry & kPteWrite) != 0) flags |= hal::kMapWrite;
    if ((entry & kPteNoExecute) == 0) flags |= hal::kMapExecute;
    if ((entry & kPteGlobal) != 0) flags |= hal::kMapGlobal;
    return flags;
}

Result<PhysAddr> allocate_table() {
    if (page_allocator.allocate == nullptr) return Errno::kENOMEM;
    return page_allocator.allocate();
}

/// Rights are decided by the leaves; tables of the lower half let all through.
std::uint64_t table_entry(PhysAddr table, std::uintptr_t va) {
    const std::uint64_t user = va < hal::kUserEnd ? kPteUser : 0;
    return table.value | kPtePresent | kPteWrite | kPteAccessed | user;
}

/// Replaces a large leaf by a table of leaves one level down, with the same rights.
Result<void> split(std::uint64_t* entry, std::uintptr_t va, unsigned level) {
    const PhysAddr table = TRY(allocate_table());
    const std::uint64_t old = *entry;
    const unsigned child = level - 1;
    const std::uint64_t bits = (old & ~kPteAddress & ~kPteLarge) | (child > 1 ? kPteLarge : 0);
    const std::uint64_t base = old & kPteAddress & ~(level_size(level) - 1);
    std::uint64_t* entries = table_at(table.value);
    for (std::size_t i = 0; i < kPteCount; ++i) entries[i] = (base + i * level_size(child)) | bits;
    *entry = table_entry(table, va);
    return {};
}

/// The 4 KiB entry for `va`, or null when a table on the way is missing or a large page is mapped: the way of nearly all
/// calls, without decisions.
inline std::uint64_t* find_entry(PhysAddr root, std::uintptr_t va) {
    std::uint64_t* table = table_at(root.value);
#pragma GCC unroll 3
    for (unsigned level = kTopLevel; level > 1; --level) {
        const std::uint64_t entry = table[index_at(va, level)];
        if ((entry & (kPtePresent | kPteLarge)) != kPtePresent) return nullptr;
        table = table_at(entry);
    }
    return &table[index_at(va, 1)];
}

/// The entry for `va` at `level`; makes tables and splits large pages on the way.
[[gnu::noinline]] Result<std::uint64_t*> make_entry(PhysAddr root, std::uintptr_t va,
                                                    unsigned level) {
    std::uint64_t* table = table_at(root.value);
    for (unsigned at = kTopLevel;; --at) {
        std::uint64_t* entry = &table[index_at(va, at)];
        if (at == level) return entry;
        if (!is_mapped(*entry)) {
            const PhysAddr page = TRY(allocate_table());
            *entry = table_entry(page, va);
        } else if (is_leaf(*entry, at)) {
            TRY(split(entry, va, at));
        }
        table = table_at(*entry);
    }
}

/// The same for a 4 KiB page.
inline Result<std::uint64_t*> make_page_entry(PhysAddr root, std::uintptr_t va) {
    std::uint64_t* entry = find_entry(root, va);
    if (entry != nullptr) [[likely]]
        return entry;
    return make_entry(root, va, 1);
}

/// Frees a table and those below it.
void free_tables(std::uint64_t entry, unsigned level) {
    std::uint64_t* table = table_at(entry);
    if (level > 1) {
        for (std::size_t i = 0; i < kPteCount; ++i) {
            if (is_mapped(table[i]) && !is_leaf(table[i], level)) free_tables(table[i], level - 1);
        }
    }
    page_allocator.free({entry & kPteAddress});
}

bool is_page_range(VirtAddr va, std::uint64_t length) {
    return is_aligned(va.value, kPageSize) && is_aligned(length, kPageSize);
}

hal::PageEntry describe_page(std::uint64_t entry) {
    return {.page = {entry & kPteAddress},
            .flags = flags_of(entry),
            .accessed = (entry & kPteAccessed) != 0,
            .dirty = (entry & kPteDirty) != 0,
            .size = kPageSize};
}
hal::PageEntry describe(std::uint64_t entry, std::uintptr_t va, unsigned level) {
    const std::uint64_t offset = va & (level_size(level) - 1) & ~(kPageSize - 1);
    return {.page = {(entry & kPteAddress & ~(level_size(level) - 1)) + offset},
            .flags = flags_of(entry),
            .accessed = (entry & kPteAccessed) != 0,
            .dirty = (entry & kPteDirty) != 0,
            .size = level_size(level)};
}

/// Calls `change(entry, va, level)` for each mapped leaf of the range, with leaves that the range cuts split before.
template <typename Change>
Result<void> for_each_leaf(std::uint64_t* table, unsigned level, std::uintptr_t begin,
                           std::uintptr_t last, Change& change) {
    std::uintptr_t va = begin;
    for (std::size_t i = index_at(begin, level); i <= index_at(last, level); ++i) {
        std::uint64_t* entry = &table[i];
        const std::uintptr_t entry_last = va | (level_size(level) - 1);
        if (is_mapped(*entry)) {
            const bool whole = is_aligned(va, level_size(level)) && entry_last <= last;
            if (is_leaf(*entry, level) && !whole) TRY(split(entry, va, level));
            if (is_leaf(*entry, level)) {
                change(entry, va, level);
            } else {
                TRY(for_each_leaf(table_at(*entry), level - 1, va, std::min(entry_last, last),
                                  change));
            }
        }
        va = entry_last + 1;
    }
    return {};
}

/// New roots copy the kernel's top-level entries, so the dynamic area's table exists before the first of them.
Result<void> ensure_dynamic_area() {
    std::uint64_t& entry = table_at(hal::kernel_page_table_root().value)[kDynamicIndex];
    if (entry == 0) {
        const PhysAddr page = TRY(allocate_table());
        entry = table_entry(page, hal::kKernelDynamicBase);
    }
    return {};
}

}  // namespace

void arch::set_kernel_tables(unsigned entries, bool large_1g) {
    direct_map_entries = entries;
    has_large_1g = large_1g;
}

namespace hal {

void set_page_table_allocator(const PageTableAllocator& allocator) { page_allocator = allocator; }

Result<PhysAddr> create_page_table_root() {
    TRY(ensure_dynamic_area());
    const PhysAddr root = TRY(allocate_table());
    const std::uint64_t* from = table_at(kernel_page_table_root().value);
    std::uint64_t* to = table_at(root.value);
    for (std::size_t i = 0; i < direct_map_entries; ++i)
        to[kDirectMapIndex + i] = from[kDirectMapIndex + i];
    to[kDynamicIndex] = from[kDynamicIndex];
    to[kImageIndex] = from[kImageIndex];
    return root;
}

void destroy_page_table_root(PhysAddr root) {
    std::uint64_t* top = table_at(root.value);
    for (std::size_t i = 0; i < kDirectMapIndex; ++i) {
        if (is_mapped(top[i])) free_tables(top[i], kTopLevel - 1);
    }
    page_allocator.free(root);
}

Result<void> map_page(PhysAddr root, VirtAddr va, PhysAddr pa, std::uint32_t flags) {
    std::uint64_t* entry = TRY(make_page_entry(root, va.value));
    *entry = (pa.value & kPteAddress) | leaf_bits(flags, 1);
    return {};
}

Result<void> map_range(PhysAddr root, VirtAddr va, PhysAddr pa, std::uint64_t length,
                       std::uint32_t flags) {
    KILN_ASSERT(is_page_range(va, length) && is_aligned(pa.value, kPageSize));
    while (length != 0) {
        unsigned level = has_large_1g ? 3 : 2;
        while (level > 1 &&
               (!is_aligned(va.value | pa.value, level_size(level)) || length < level_size(level)))
            --level;
        std::uint64_t* entry = TRY(make_entry(root, va.value, level));
        while (is_mapped(*entry) && !is_leaf(*entry, level)) {
            // A table is here already. It stays, since nothing could be freed before a flush.
            entry = TRY(make_entry(root, va.value, --level));
        }
        // Then the neighbours in the same table, without walking again.
        const std::uint64_t size = level_size(level);
        const std::uint64_t wanted = length >> level_shift(level);
        const std::size_t room = kPteCount - index_at(va.value, level);
        std::size_t count = wanted < room ? wanted : room;
        if (level > 1) {
            std::size_t free = 1;
            while (free < count && (!is_mapped(entry[free]) || is_leaf(entry[free], level))) ++free;
            count = free;
        }
        std::uint64_t value = pa.value | leaf_bits(flags, level);
        for (const std::uint64_t* const end = entry + count; entry != end; ++entry) {
            *entry = value;
            value += size;
        }
        va = va + count * size;
        pa = pa + count * size;
        length -= count * size;
    }
    return {};
}

Result<std::uint64_t> fill_range(PhysAddr root, VirtAddr va, PhysAddr pa, std::uint64_t length,
                                 std::uint32_t flags) {
    KILN_ASSERT(is_page_range(va, length) && is_aligned(pa.value, kPageSize));
    const std::uint64_t bits = leaf_bits(flags, 1);
    std::uint64_t filled = 0;
    while (length != 0) {
        std::uint64_t* entry = TRY(make_page_entry(root, va.value));
        const std::uint64_t in_table =
            std::min<std::uint64_t>(length >> kPageShift, kPteCount - index_at(va.value, 1));
        for (std::uint64_t i = 0; i < in_table; ++i) {
            if (is_mapped(entry[i])) continue;
            entry[i] = (pa.value + (i << kPageShift)) | bits;
            ++filled;
        }
        va = va + (in_table << kPageShift);
        pa = pa + (in_table << kPageShift);
        length -= in_table << kPageShift;
    }
    return filled;
}

bool query_page(PhysAddr root, VirtAddr va, PageEntry* out) {
    if (const std::uint64_t* entry = find_entry(root, va.value); entry != nullptr) [[likely]] {
        if (!is_mapped(*entry)) return false;
        *out = describe_page(*entry);
        return true;
    }
    const std::uint64_t* table = table_at(root.value);
    for (unsigned level = kTopLevel;; --level) {
        const std::uint64_t entry = table[index_at(va.value, level)];
        if (!is_mapped(entry)) return false;
        if (is_leaf(entry, level)) {
            *out = describe(entry, va.value, level);
            return true;
        }
        table = table_at(entry);
    }
}

Result<void> unmap_range(PhysAddr root, VirtAddr va, std::uint64_t length,
                         void (*visit)(VirtAddr va, const PageEntry& entry, void* cookie),
                         void* cookie) {
    KILN_ASSERT(is_page_range(va, length));
    if (length == 0) return {};
    auto change = [&](std::uint64_t* entry, std::uintptr_t at, unsigned level) {
        const std::uint64_t old = *entry;
        *entry = 0;
        if (visit == nullptr) return;
        if (level == 1) {
            visit({at}, describe_page(old), cookie);
            return;
        }
        for (std::uint64_t offset = 0; offset < level_size(level); offset += kPageSize)
            visit({at + offset}, describe(old, at + offset, level), cookie);
    };
    return for_each_leaf(table_at(root.value), kTopLevel, va.value, va.value + (length - 1),
                         change);
}

Result<void> protect_range(PhysAddr root, VirtAddr va, std::uint64_t length, std::uint32_t flags,
                           bool keep_readonly) {
    KILN_ASSERT(is_page_range(va, length));
    if (length == 0) return {};
    auto change = [&](std::uint64_t* entry, std::uintptr_t, unsigned level) {
        const std::uint64_t old = *entry;
        std::uint64_t bits = leaf_bits(flags, level) | (old & kPteDirty);
        // Without any right, the write bit is not looked at and remembers whether the page was read-only.
        if ((bits & kPtePresent) == 0) bits |= old & kPteWrite;
        if (keep_readonly && (old & kPteWrite) == 0) bits &= ~kPteWrite;
        *entry = (old & kPteAddress) | bits;
    };
    return for_each_leaf(table_at(root.value), kTopLevel, va.value, va.value + (length - 1),
                         change);
}

}  // namespace hal
}  // namespace kiln
