// What an address space does to its page tables: taking pages away and telling all CPUs before they are given to others.
#include "page_tables.hpp"

#include <kiln/hal/smp.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/vm/address_space.hpp>

#include "zero_page.hpp"

namespace kiln::vm {

std::uint64_t other_cpus() {
    const std::uint32_t count = hal::cpu_count();
    const std::uint64_t all = count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    return all & ~(std::uint64_t{1} << hal::cpu_id());
}

// Called with preemption off (page_table_lock_), interrupts on. All CPUs are told, whether or not they run this space:
// which of them still has it loaded is known to the context switch alone.
void AddressSpace::flush(std::uintptr_t begin, std::uint64_t length) {
    struct Range {
        std::uintptr_t begin;
        std::uint64_t length;
    };
    hal::flush_tlb_range({begin}, length);
    if (hal::cpu_count() == 1) [[likely]]
        return;
    Range range = {begin, length};
    hal::cpu_call(
        other_cpus(),
        [](void* argument) {
            const auto* r = static_cast<const Range*>(argument);
            hal::flush_tlb_range({r->begin}, r->length);
        },
        &range);
}

void AddressSpace::count_resident(std::int64_t pages) {
    resident_pages_ += static_cast<std::uint64_t>(pages);
    if (resident_pages_ > peak_resident_pages_) peak_resident_pages_ = resident_pages_;
}

namespace {

// Pages taken out of page tables: freed only when no TLB knows them any more.
struct Gather {
    static constexpr std::size_t kBatch = 128;

    // Leaves `pages` as it is: zeroing it would cost more than most calls.
    Gather(const Vma& v, AddressSpace& s, void (*f)(Gather&)) : vma(&v), flush(f), space(&s) {}

    const Vma* vma;
    void (*flush)(Gather& gather);
    AddressSpace* space;
    std::uintptr_t begin = 0;  // of what was taken out since the last flush
    std::uintptr_t end = 0;
    std::int64_t removed = 0;
    std::size_t count = 0;
    PhysAddr pages[kBatch];

    void add(std::uintptr_t address, PhysAddr page) {
        if (begin == end) begin = address;
        end = address + kPageSize;
        if (is_zero_page(page)) return;
        removed++;
        // Pages of the boot image are pinned: nothing to count.
        if (vma->is_contiguous && page == vma->contiguous_page(address)) return;
        pages[count++] = page;
        if (count == kBatch) finish();
    }
    void finish() {
        if (begin != end) flush(*this);
        begin = end = 0;
        for (std::size_t i = 0; i < count; i++) mem::unref_page(pages[i]);
        count = 0;
    }
};

}  // namespace

void AddressSpace::zap(const Vma& vma, std::uintptr_t begin, std::uintptr_t end,
                       PrivateCopies copies) {
    Gather gather(vma, *this, [](Gather& g) { g.space->flush(g.begin, g.end - g.begin); });
    sync::SpinGuard guard(page_table_lock_);
    if (copies == PrivateCopies::kKeep && vma.sharing == Sharing::kPrivate) {
        // A copy is a page that nobody else holds; there is no quicker way to tell, and holes are rare.
        for (std::uintptr_t at = begin; at < end; at += kPageSize) {
            hal::PageEntry entry;
            if (!hal::query_page(root_, {at}, &entry)) continue;
            if (!is_zero_page(entry.page) && mem::page_refs(entry.page) == 1) continue;
            hal::unmap_range(root_, {at}, kPageSize, nullptr, nullptr).value();
            gather.add(at, entry.page);
        }
    } else {
        // Only 4 KiB leaves are mapped: none has to be split, so it can't fail.
        hal::unmap_range(
            root_, {begin}, end - begin,
            [](VirtAddr at, const hal::PageEntry& entry, void* cookie) {
                static_cast<Gather*>(cookie)->add(at.value, entry.page);
            },
            &gather)
            .value();
    }
    gather.finish();
    count_resident(-gather.removed);
}

void MemoryObject::unmap_range(std::uint64_t offset, std::uint64_t length, PrivateCopies copies) {
    // Faults under way notice, and ask for their page again.
    unmap_count_.fetch_add(1, std::memory_order_acq_rel);
    const std::uint64_t end = offset + length < offset ? UINT64_MAX : offset + length;
    sync::SpinGuard guard(mappings_lock_);
    for (MappingLink& link : mappings_) {
        const Vma& vma = static_cast<const Vma&>(link);
        const std::uint64_t first = std::max(offset, vma.offset);
        const std::uint64_t last = std::min(end, vma.offset + vma.length());
        if (first < last)
            vma.space->zap(vma, vma.begin + (first - vma.offset), vma.begin + (last - vma.offset),
                           copies);
    }
}

}  // namespace kiln::vm
