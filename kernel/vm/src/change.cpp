// mremap(2), madvise(2), mincore(2), msync(2).
#include <algorithm>

#include <kiln/mem/pages.hpp>
#include <kiln/vm/address_space.hpp>
#include <kiln/vm/anonymous_object.hpp>

#include "page_tables.hpp"
#include "zero_page.hpp"

namespace kiln::vm {
namespace {

constexpr std::uint32_t kMremapMayMove = 1;
constexpr std::uint32_t kMremapFixed = 2;
constexpr std::uint32_t kMremapDontUnmap = 4;

// uapi/asm-generic/mman-common.h
enum Advice : int {
    kNormal = 0,
    kRandom = 1,
    kSequential = 2,
    kWillNeed = 3,
    kDontNeed = 4,
    kFree = 8,
    kRemove = 9,
    kDontFork = 10,
    kDoFork = 11,
    kHugePage = 14,
    kNoHugePage = 15,
    kDontDump = 16,
    kDoDump = 17,
    kWipeOnFork = 18,
    kKeepOnFork = 19,
    kCold = 20,
    kPageOut = 21,
    kPopulateRead = 22,
    kPopulateWrite = 23,
    kDontNeedLocked = 24,
};

// Those that Linux would refuse without the option behind them (MERGEABLE: KSM; COLLAPSE; HWPOISON) are refused here, too.
bool is_known_advice(int advice) {
    return (advice >= kNormal && advice <= kDontNeed) || (advice >= kFree && advice <= kDoFork) ||
           (advice >= kHugePage && advice <= kDontNeedLocked);
}

constexpr int kMsAsync = 1;
constexpr int kMsInvalidate = 2;
constexpr int kMsSync = 4;

constexpr std::uint64_t kTableBytes = std::uint64_t{2} << 20;  // what one page of entries maps

}  // namespace

// ---- mremap ---------------------------------------------------------------------------------------------------

// Moves what is mapped in [from, from+length) to `to`, where nothing is mapped. ENOMEM: nothing was moved.
Result<void> AddressSpace::move_pages(Vma& vma, std::uintptr_t from, std::uintptr_t to,
                                      std::uint64_t length) {
    sync::SpinGuard guard(page_table_lock_);
    // First the tables, which may fail: an entry in each, for the zero page and without rights.
    std::uintptr_t made = to;
    Result<void> result;
    while (made < to + length) {
        result = hal::map_page(root_, {made}, zero_page(), rights_of(kProtNone));
        if (!result.ok()) break;
        made = align_down(made, kTableBytes) + kTableBytes;
    }
    if (result.ok()) {
        struct Move {
            AddressSpace* space;
            std::uintptr_t distance;
        } move = {this, to - from};
        hal::unmap_range(
            root_, {from}, length,
            [](VirtAddr at, const hal::PageEntry& entry, void* cookie) {
                const auto* m = static_cast<const Move*>(cookie);
                hal::map_page(m->space->root_, at + m->distance, entry.page, entry.flags).value();
            },
            &move)
            .value();
        flush(from, length);
        // An entry without rights remembers its page being writable, and query does not tell: set all anew.
        hal::protect_range(root_, {to}, length, rights_of(vma.prot), true).value();
    }
    // Away with those of the first step that nothing replaced. Zero pages that were moved here go, too: they come back
    // with the next access.
    for (std::uintptr_t at = to; at < std::min(made, to + length);
         at = align_down(at, kTableBytes) + kTableBytes) {
        hal::PageEntry entry;
        if (hal::query_page(root_, {at}, &entry) && is_zero_page(entry.page))
            hal::unmap_range(root_, {at}, kPageSize, nullptr, nullptr).value();
    }
    return result;
}

Result<VirtAddr> AddressSpace::move_mapping(Vma& vma, std::uintptr_t from, std::uint64_t old_length,
                                            std::uint64_t new_length, std::uintptr_t to,
                                            bool keep_old, RemovedVmas& removed) {
    Owned<Vma> moved = TRY(mem::make_owned<Vma>());
    moved->begin = to;
    moved->end = to + new_length;
    moved->prot = vma.prot;
    moved->max_prot = vma.max_prot;
    moved->sharing = vma.sharing;
    moved->is_stack = false;
    moved->is_dont_fork = vma.is_dont_fork;
    moved->is_wipe_on_fork = vma.is_wipe_on_fork;
    moved->is_contiguous = vma.is_contiguous;
    moved->object_base = vma.object_base;
    moved->object = vma.object;
    moved->offset = vma.object ? vma.offset_of(from) : 0;
    moved->label = vma.label;
    moved->space = this;
    // What unmapping a middle part needs is made sure of first: after the pages moved there is no way back.
    Vma* old = &vma;
    if (!keep_old && old_length != 0) old = TRY(isolate(vma, from, from + old_length));
    // In the object's list before the pages come: a truncation meanwhile finds them in one place or the other.
    vmas_.insert(*moved.get());
    Vma& added = *moved.release();
    const std::uint64_t carried = std::min(old_length, new_length);
    if (carried != 0) {
        const Result<void> result = move_pages(vma, from, to, carried);
        if (!result.ok()) {
            vmas_.remove(added, removed);
            return result.error();
        }
    }
    if (!keep_old && old_length != 0) remove_vma(*old, removed);
    vmas_.merge(added, removed);
    hint_.store(nullptr, std::memory_order_relaxed);
    return VirtAddr{to};
}

Result<VirtAddr> AddressSpace::remap(VirtAddr old_address, std::uint64_t old_length,
                                     std::uint64_t new_length, std::uint32_t flags,
                                     VirtAddr new_address) {
    const std::uintptr_t from = old_address.value;
    const std::uintptr_t to = new_address.value;
    // "EINVAL": unaligned old_address; unknown flags; FIXED or DONTUNMAP without MAYMOVE; DONTUNMAP that resizes;
    // new_size zero; new_address unaligned, beyond the end, or overlapping the old range.
    if ((flags & ~(kMremapMayMove | kMremapFixed | kMremapDontUnmap)) != 0) return Errno::kEINVAL;
    if ((flags & (kMremapFixed | kMremapDontUnmap)) != 0 && (flags & kMremapMayMove) == 0)
        return Errno::kEINVAL;
    if ((flags & kMremapDontUnmap) != 0 && old_length != new_length) return Errno::kEINVAL;
    if (!is_aligned(from, kPageSize)) return Errno::kEINVAL;
    if (old_length > hal::kUserEnd || new_length > hal::kUserEnd) return Errno::kEINVAL;
    old_length = page_up(old_length);
    new_length = page_up(new_length);
    if (new_length == 0) return Errno::kEINVAL;
    const bool is_fixed = (flags & kMremapFixed) != 0;
    const bool keep_old = (flags & kMremapDontUnmap) != 0;
    if (is_fixed) {
        if (!is_aligned(to, kPageSize) || new_length > hal::kUserEnd ||
            to > hal::kUserEnd - new_length)
            return Errno::kEINVAL;
        if (to < from + old_length && from < to + new_length) return Errno::kEINVAL;
        if (to < hal::kUserBegin) return Errno::kEPERM;
    }

    RemovedVmas removed;
    sched::WriteGuard guard(lock_);
    hint_.store(nullptr, std::memory_order_relaxed);
    Vma* vma = vmas_.find(from);
    // "EFAULT  Some address in the range old_address to old_address+old_size is an invalid virtual memory address".
    if (!vma) return Errno::kEFAULT;
    // vma_to_resize(): old_size 0 duplicates, which makes sense for shared mappings only.
    if (old_length == 0 && vma->sharing == Sharing::kPrivate) return Errno::kEINVAL;

    if (is_fixed) {
        TRY(unmap_locked(to, to + new_length, removed));
        vma = vmas_.find(from);
    }
    if (old_length > new_length && !keep_old) {
        TRY(unmap_locked(from + new_length, from + old_length, removed));
        old_length = new_length;
        if (!is_fixed) return old_address;
        vma = vmas_.find(from);
    }
    if (!vma || old_length > vma->end - from) return Errno::kEFAULT;
    if (old_length == new_length && !is_fixed && !keep_old) return old_address;
    std::uint64_t end_offset;
    if (vma->object && !checked_add(vma->offset_of(from), new_length, &end_offset))
        return Errno::kEINVAL;
    const bool is_data =
        vma->sharing == Sharing::kPrivate && (vma->prot & kProtWrite) && !vma->is_stack;
    TRY(check_limits(keep_old || old_length == 0 ? new_length : new_length - old_length, is_data));

    // In place, if this is the mapping's end and there is room behind.
    const std::uint64_t growth = new_length - old_length;
    if (!is_fixed && !keep_old && old_length != 0 && vma->end == from + old_length &&
        growth <= hal::kUserEnd - vma->end && vmas_.is_available(vma->end, vma->end + growth)) {
        vmas_.set_end(*vma, vma->end + growth);
        vmas_.merge(*vma, removed);
        return old_address;
    }
    // "ENOMEM  The memory area cannot be expanded at the current virtual address, and MREMAP_MAYMOVE is not set".
    if ((flags & kMremapMayMove) == 0) return Errno::kENOMEM;
    std::uintptr_t target = to;
    if (!is_fixed) {
        MapRequest request;
        // DONTUNMAP: new_address is a hint.
        request.address = keep_old ? new_address : VirtAddr{0};
        target = TRY(place(request, new_length));
    }
    return move_mapping(*vma, from, old_length, new_length, target, keep_old, removed);
}

// ---- madvise --------------------------------------------------------------------------------------------------

Result<void> AddressSpace::advise_vma(Vma& vma, std::uintptr_t begin, std::uintptr_t end,
                                      int advice, RemovedVmas& removed) {
    switch (advice) {
        case kFree:
            // "EINVAL  … MADV_FREE … on file-backed or shared mappings." The contents may go at any time: they go now.
            if (vma.object) return Errno::kEINVAL;
            [[fallthrough]];
        case kDontNeed:
        case kDontNeedLocked: zap(vma, begin, end); return {};
        case kWipeOnFork:
            // "EINVAL  … only private anonymous".
            if (vma.object) return Errno::kEINVAL;
            [[fallthrough]];
        case kKeepOnFork:
        case kDontFork:
        case kDoFork: {
            Vma* part = TRY(isolate(vma, begin, end));
            if (advice == kDontFork || advice == kDoFork) {
                part->is_dont_fork = advice == kDontFork;
            } else {
                part->is_wipe_on_fork = advice == kWipeOnFork;
            }
            vmas_.merge(*part, removed);
            return {};
        }
        default:
            return {};  // hints about access patterns, huge pages, core dumps and swap: nothing to do
    }
}

Result<void> AddressSpace::advise(VirtAddr address, std::uint64_t length, int advice) {
    // do_madvise(): "EINVAL  advice is invalid", "addr is not page-aligned or length is negative"; length 0 is success.
    if (!is_known_advice(advice)) return Errno::kEINVAL;
    if (!is_aligned(address.value, kPageSize)) return Errno::kEINVAL;
    const std::uint64_t rounded = page_up(length);
    if (length != 0 && rounded == 0) return Errno::kEINVAL;
    std::uintptr_t end;
    if (!checked_add(address.value, rounded, &end)) return Errno::kEINVAL;
    if (rounded == 0) return {};

    if (advice == kPopulateRead || advice == kPopulateWrite) {
        // "ENOMEM  Addresses in the specified range are not currently mapped", "EINVAL" without the right,
        // "EFAULT" when a page can't be had.
        {
            sched::ReadGuard guard(lock_);
            for (std::uintptr_t at = address.value; at < end;) {
                const Vma* vma = vmas_.find(at);
                if (!vma) return Errno::kENOMEM;
                if (vma->prot == kProtNone ||
                    (advice == kPopulateWrite && (vma->prot & kProtWrite) == 0))
                    return Errno::kEINVAL;
                at = vma->end;
            }
        }
        return populate(address.value, end,
                        advice == kPopulateWrite ? hal::Access::kWrite : hal::Access::kRead);
    }

    RemovedVmas removed;
    Result<void> result;
    struct Hole {
        Ref<MemoryObject> object;
        std::uint64_t offset;
        std::uint64_t length;
    };
    Hole hole{};
    {
        sched::WriteGuard guard(lock_);
        // "ENOMEM  Addresses in the specified range are not currently mapped": what is mapped is done all the same.
        std::uintptr_t at = address.value;
        while (at < end) {
            Vma* vma = vmas_.first_ending_above(at);
            if (!vma || vma->begin >= end) return Errno::kENOMEM;
            if (vma->begin > at) {
                result = Errno::kENOMEM;
                at = vma->begin;
            }
            const std::uintptr_t part_end = std::min(vma->end, end);
            if (advice == kRemove) {
                // madvise_remove(): "EINVAL" unless it is a shared, writable mapping of an object that can have holes.
                if (!vma->object || vma->sharing != Sharing::kShared) return Errno::kEINVAL;
                if ((vma->prot & kProtWrite) == 0) return Errno::kEACCES;
                if (part_end < end) return Errno::kEOPNOTSUPP;  // of several objects at once
                hole = {vma->object, vma->offset_of(at), part_end - at};
            } else {
                TRY(advise_vma(*vma, at, part_end, advice, removed));
            }
            at = part_end;
        }
    }
    // The object unmaps the range itself, and takes the locks of mappings for it.
    if (hole.object) TRY(hole.object->remove_range(hole.offset, hole.length));
    return result;
}

// ---- mincore, msync -------------------------------------------------------------------------------------------

Result<void> AddressSpace::resident(VirtAddr address, std::uint64_t length, std::uint8_t* vec) {
    // mincore: "EINVAL  addr is not a multiple of the page size"; "ENOMEM  length is greater than (TASK_SIZE - addr)"
    // or unmapped memory.
    if (!is_aligned(address.value, kPageSize)) return Errno::kEINVAL;
    if (address.value > hal::kUserEnd || length > hal::kUserEnd - address.value)
        return Errno::kENOMEM;
    const std::uintptr_t end = page_up(address.value + length);
    sched::ReadGuard guard(lock_);
    for (std::uintptr_t at = address.value; at < end;) {
        const Vma* vma = vmas_.find(at);
        if (!vma) return Errno::kENOMEM;
        sync::SpinGuard pages(page_table_lock_);
        for (; at < std::min(vma->end, end); at += kPageSize) {
            hal::PageEntry entry;
            const bool is_in_image = vma->is_contiguous && vma->offset_of(at) < vma->object->size();
            *vec++ = is_in_image || hal::query_page(root_, {at}, &entry) ? 1 : 0;
        }
    }
    return {};
}

Result<void> AddressSpace::sync(VirtAddr address, std::uint64_t length, int flags) {
    // msync: "EINVAL  addr is not a multiple of PAGESIZE; or any bit other than … is set; or both MS_SYNC and MS_ASYNC".
    if ((flags & ~(kMsAsync | kMsInvalidate | kMsSync)) != 0 ||
        (flags & (kMsAsync | kMsSync)) == (kMsAsync | kMsSync))
        return Errno::kEINVAL;
    if (!is_aligned(address.value, kPageSize)) return Errno::kEINVAL;
    std::uintptr_t end;
    if (!checked_add(address.value, page_up(length), &end) || (length != 0 && page_up(length) == 0))
        return Errno::kENOMEM;
    std::uintptr_t at = address.value;
    bool has_hole = false;
    while (at < end) {
        Ref<MemoryObject> object;
        std::uint64_t offset = 0;
        std::uintptr_t part_end;
        {
            sched::ReadGuard guard(lock_);
            const Vma* vma = vmas_.first_ending_above(at);
            // "ENOMEM  The indicated memory (or part of it) was not mapped": the mapped parts are written all the same.
            if (!vma || vma->begin >= end) return Errno::kENOMEM;
            if (vma->begin > at) {
                has_hole = true;
                at = vma->begin;
            }
            part_end = std::min(vma->end, end);
            if (vma->sharing == Sharing::kShared && (flags & kMsSync) != 0) object = vma->object;
            offset = vma->offset_of(at);
        }
        if (object) TRY(object->sync(offset, part_end - at));
        at = part_end;
    }
    if (has_hole) return Errno::kENOMEM;
    return {};
}

}  // namespace kiln::vm
