// Page faults: finding the page, copy-on-write, growth of stacks.
//
// A fault holds lock_ shared, so mappings stay as they are; page tables change under page_table_lock_ only. Pages are
// allocated and filled before that lock is taken, and what was found under it before is looked at again.
#include <algorithm>
#include <cstring>

#include <kiln/hal/cpu.hpp>
#include <kiln/hal/smp.hpp>
#include <kiln/log/log.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/vm/address_space.hpp>

#include "page_tables.hpp"
#include "zero_page.hpp"

namespace kiln::vm {
namespace {

// asm-generic/siginfo.h and signal.h
constexpr std::uint8_t kSigBus = 7;
constexpr std::uint8_t kSigKill = 9;
constexpr std::uint8_t kSigSegv = 11;
constexpr std::int32_t kSegvMapErr = 1;
constexpr std::int32_t kSegvAccErr = 2;
constexpr std::int32_t kBusAdrErr = 2;

// Pages mapped by one fault in a contiguous object, as an aligned window: 256 KiB. One entry costs about four
// instructions, a fault some hundreds.
constexpr std::uint64_t kFaultAroundBytes = 64 * kPageSize;

PhysAddr shared_zero_page;

bool is_allowed(const Vma& vma, hal::Access access) {
    switch (access) {
        case hal::Access::kWrite: return (vma.prot & kProtWrite) != 0;
        case hal::Access::kExecute: return (vma.prot & kProtExec) != 0;
        default: return vma.prot != kProtNone;
    }
}

std::uint32_t readonly_rights(const Vma& vma) {
    return rights_of(vma.prot & ~kProtWrite) | hal::kMapRead;
}

void drop(PhysAddr page) {
    if (!is_zero_page(page)) mem::unref_page(page);
}

void report_out_of_memory(std::uintptr_t address) {
    const mem::PageStats stats = mem::page_stats();
    log::error("vm",
               "out of memory: thread {} asked for a page of 4 KiB at {}; {} of {} KiB are free",
               sched::Thread::current().name(), VirtAddr{address}, stats.free * 4, stats.total * 4);
}

}  // namespace

PhysAddr zero_page() { return shared_zero_page; }

// Maps `fresh`, a page of our own, where nothing is mapped; frees it if another thread was faster.
AddressSpace::Outcome AddressSpace::install(std::uintptr_t page, PhysAddr fresh,
                                            std::uint32_t rights) {
    Outcome outcome = Outcome::kDone;
    {
        sync::SpinGuard guard(page_table_lock_);
        const Result<std::uint64_t> filled =
            hal::fill_range(root_, {page}, fresh, kPageSize, rights);
        if (filled.ok() && filled.value() != 0) [[likely]] {
            count_resident(1);
            return Outcome::kDone;
        }
        outcome = filled.ok() ? Outcome::kRetry : Outcome::kNoMemory;
    }
    mem::unref_page(fresh);
    return outcome;
}

// A write to a page of a private mapping that is mapped read-only: taken over if nobody else has it, else copied.
AddressSpace::Outcome AddressSpace::write_to_private(Vma& vma, std::uintptr_t page) {
    PhysAddr old;
    bool
        is_counted;  // the mapping holds a reference; not for the zero page and pages of the boot image
    {
        sync::SpinGuard guard(page_table_lock_);
        hal::PageEntry entry;
        if (!hal::query_page(root_, {page}, &entry)) return Outcome::kRetry;
        if ((entry.flags & hal::kMapWrite) != 0) return Outcome::kDone;
        old = entry.page;
        is_counted = !is_zero_page(old) && !(vma.is_contiguous && old == vma.contiguous_page(page));
        if (is_counted) {
            if (mem::page_refs(old) == 1) {
                // The table exists: it can't fail.
                hal::map_page(root_, {page}, old, rights_of(vma.prot)).value();
                flush(page, kPageSize);
                return Outcome::kDone;
            }
            // Truncation may take the page out of this mapping while it is copied.
            mem::ref_page(old);
        }
    }
    const bool from_zero = is_zero_page(old);
    const Result<PhysAddr> fresh =
        mem::allocate_page(from_zero ? std::uint32_t{mem::kPageZeroed} : 0u);
    if (fresh.ok() && !from_zero)
        std::memcpy(hal::phys_to_virt(fresh.value()), hal::phys_to_virt(old), kPageSize);
    Outcome outcome = Outcome::kNoMemory;
    bool is_replaced = false;
    if (fresh.ok()) {
        sync::SpinGuard guard(page_table_lock_);
        hal::PageEntry entry;
        outcome = Outcome::kDone;
        if (!hal::query_page(root_, {page}, &entry) || entry.page != old ||
            (entry.flags & hal::kMapWrite) != 0) {
            outcome = Outcome::kRetry;
        } else {
            hal::map_page(root_, {page}, fresh.value(), rights_of(vma.prot)).value();
            flush(page, kPageSize);
            if (from_zero) count_resident(1);
            is_replaced = true;
        }
    }
    if (fresh.ok() && !is_replaced) mem::unref_page(fresh.value());
    if (is_counted) {
        mem::unref_page(old);
        if (is_replaced) mem::unref_page(old);  // the mapping's own
    }
    return outcome;
}

AddressSpace::Outcome AddressSpace::fault_anonymous(Vma& vma, std::uintptr_t page,
                                                    hal::Access access) {
    if (access != hal::Access::kWrite) {
        sync::SpinGuard guard(page_table_lock_);
        const Result<std::uint64_t> filled =
            hal::fill_range(root_, {page}, shared_zero_page, kPageSize, readonly_rights(vma));
        return filled.ok() ? Outcome::kDone : Outcome::kNoMemory;
    }
    const Result<PhysAddr> fresh = mem::allocate_page(mem::kPageZeroed);
    if (!fresh.ok()) return Outcome::kNoMemory;
    return install(page, fresh.value(), rights_of(vma.prot));
}

// In place: the pages are where the boot loader put them, and never change.
AddressSpace::Outcome AddressSpace::fault_contiguous(Vma& vma, std::uintptr_t page,
                                                     hal::Access access) {
    const std::uint64_t size = page_up(vma.object->size());
    if (vma.offset_of(page) >= size) return Outcome::kBusError;
    if (access == hal::Access::kWrite) {
        const Result<PhysAddr> fresh = mem::allocate_page();
        if (!fresh.ok()) return Outcome::kNoMemory;
        std::memcpy(hal::phys_to_virt(fresh.value()), hal::phys_to_virt(vma.contiguous_page(page)),
                    kPageSize);
        return install(page, fresh.value(), rights_of(vma.prot));
    }
    const std::uintptr_t begin =
        std::max<std::uintptr_t>(vma.begin, align_down(page, kFaultAroundBytes));
    const std::uintptr_t in_object = size - vma.offset;
    const std::uintptr_t end = std::min(
        {vma.end, align_down(page, kFaultAroundBytes) + kFaultAroundBytes, vma.begin + in_object});
    sync::SpinGuard guard(page_table_lock_);
    const Result<std::uint64_t> filled = hal::fill_range(root_, {begin}, vma.contiguous_page(begin),
                                                         end - begin, readonly_rights(vma));
    if (!filled.ok()) return Outcome::kNoMemory;
    count_resident(static_cast<std::int64_t>(filled.value()));
    return Outcome::kDone;
}

AddressSpace::Outcome AddressSpace::fault_object(Vma& vma, std::uintptr_t page,
                                                 hal::Access access) {
    const std::uint64_t offset = vma.offset_of(page);
    const std::uint32_t before = vma.object->unmap_count_.load(std::memory_order_acquire);
    const bool is_shared_write = vma.sharing == Sharing::kShared && access == hal::Access::kWrite;
    Result<ObjectPage> found = vma.object->get_page(
        offset >> kPageShift, is_shared_write ? hal::Access::kWrite : hal::Access::kRead);
    if (!found.ok())
        return found.error() == Errno::kENOMEM ? Outcome::kNoMemory : Outcome::kBusError;
    PhysAddr mapped = found.value().page;
    std::uint32_t rights = readonly_rights(vma);
    if (vma.sharing == Sharing::kPrivate && access == hal::Access::kWrite) {
        const Result<PhysAddr> copy = mem::allocate_page();
        if (copy.ok())
            std::memcpy(hal::phys_to_virt(copy.value()), hal::phys_to_virt(mapped), kPageSize);
        drop(mapped);
        if (!copy.ok()) return Outcome::kNoMemory;
        mapped = copy.value();
        rights = rights_of(vma.prot);
    } else if (vma.sharing == Sharing::kShared && found.value().writable) {
        rights = rights_of(vma.prot);
    }

    Outcome outcome = Outcome::kRetry;
    PhysAddr replaced;
    {
        sync::SpinGuard guard(page_table_lock_);
        hal::PageEntry entry;
        const bool is_mapped = hal::query_page(root_, {page}, &entry);
        // A shared page that was only read becomes another one (a hole that was filled) or writable now.
        const bool may_map = !is_mapped || (is_shared_write && (entry.flags & hal::kMapWrite) == 0);
        if (may_map && vma.object->unmap_count_.load(std::memory_order_acquire) == before) {
            if (hal::map_page(root_, {page}, mapped, rights).ok()) {
                if (is_mapped) {
                    replaced = entry.page;
                    flush(page, kPageSize);
                }
                const bool was_counted = is_mapped && !is_zero_page(replaced);
                count_resident((is_zero_page(mapped) ? 0 : 1) - (was_counted ? 1 : 0));
                outcome = Outcome::kDone;
            } else {
                outcome = Outcome::kNoMemory;
            }
        }
    }
    if (outcome != Outcome::kDone) drop(mapped);
    if (replaced.value != 0) drop(replaced);
    return outcome;
}

AddressSpace::Outcome AddressSpace::fault_in(Vma& vma, std::uintptr_t page, hal::Access access,
                                             Mapped mapped) {
    if (!is_allowed(vma, access)) return Outcome::kAccessDenied;
    bool is_mapped = false;
    if (mapped != Mapped::kNo) {
        sync::SpinGuard guard(page_table_lock_);
        hal::PageEntry entry;
        is_mapped = hal::query_page(root_, {page}, &entry);
        if (is_mapped && (access != hal::Access::kWrite || (entry.flags & hal::kMapWrite) != 0)) {
            // Resolved by another thread meanwhile, or this CPU still knew an older entry.
            hal::flush_tlb_page({page});
            return Outcome::kDone;
        }
    }
    if (is_mapped && vma.sharing == Sharing::kPrivate) return write_to_private(vma, page);
    if (!vma.object) return fault_anonymous(vma, page, access);
    if (vma.is_contiguous && (vma.sharing == Sharing::kPrivate || access != hal::Access::kWrite))
        return fault_contiguous(vma, page, access);
    return fault_object(vma, page, access);
}

// The mapping above `address` grows down to it if it is a stack, may be that large, and stays clear of what is below.
bool AddressSpace::grow_stack(std::uintptr_t address) {
    sched::WriteGuard guard(lock_);
    const std::uintptr_t page = page_down(address);
    Vma* vma = vmas_.first_ending_above(page);
    if (!vma) return false;
    if (vma->begin <= page) return true;  // another thread was faster
    if (!vma->is_stack || page < hal::kUserBegin) return false;
    if (vma->end - page > limits_.stack) return false;
    const Vma* below = VmaSet::prev(*vma);
    // Linux: a mapping without any rights serves as a guard itself.
    const std::uint64_t distance =
        below && below->prot != kProtNone && !below->is_stack ? VmaSet::kStackGuardGap : 0;
    if (below && (page < below->end || page - below->end < distance)) return false;
    if (!check_limits(vma->begin - page, false).ok()) return false;
    vmas_.set_begin(*vma, page);
    return true;
}

bool AddressSpace::resolve(VirtAddr address, hal::Access access, Mapped mapped,
                           FaultFailure* failure) {
    const std::uintptr_t page = page_down(address.value);
    if (page >= hal::kUserEnd) {
        *failure = {kSigSegv, kSegvMapErr};
        return false;
    }
    constexpr int kMaxReclaims = 4;
    int reclaims = 0;
    for (;;) {
        Outcome outcome;
        {
            sched::ReadGuard guard(lock_);
            Vma* vma = hint_.load(std::memory_order_relaxed);
            if (!vma || page < vma->begin || page >= vma->end) {
                vma = vmas_.find(page);
                if (vma) hint_.store(vma, std::memory_order_relaxed);
            }
            if (vma) {
                outcome = fault_in(*vma, page, access, mapped);
                mapped = Mapped::kUnknown;
                if (outcome == Outcome::kRetry) continue;  // another thread changed the entry
            } else {
                const Vma* above = vmas_.first_ending_above(page);
                if (!above || !above->is_stack) {
                    *failure = {kSigSegv, kSegvMapErr};
                    return false;
                }
                outcome = Outcome::kRetry;
            }
        }
        switch (outcome) {
            case Outcome::kDone: minor_faults_.fetch_add(1, std::memory_order_relaxed); return true;
            case Outcome::kRetry:
                if (grow_stack(address.value)) continue;
                *failure = {kSigSegv, kSegvMapErr};
                return false;
            case Outcome::kAccessDenied: *failure = {kSigSegv, kSegvAccErr}; return false;
            case Outcome::kBusError: *failure = {kSigBus, kBusAdrErr}; return false;
            case Outcome::kNoMemory:
                // A page for a table is taken under locks, so without reclaim.
                if (reclaims++ < kMaxReclaims && mem::reclaim(1) != 0) continue;
                if (!is_out_of_memory_reported_.exchange(true)) report_out_of_memory(address.value);
                *failure = {kSigKill, 0};
                return false;
        }
    }
}

Result<void> AddressSpace::populate(std::uintptr_t begin, std::uintptr_t end, hal::Access access) {
    for (std::uintptr_t page = begin; page < end; page += kPageSize) {
        {
            sync::SpinGuard guard(page_table_lock_);
            hal::PageEntry entry;
            const std::uint32_t right =
                access == hal::Access::kWrite ? hal::kMapWrite : hal::kMapRead;
            if (hal::query_page(root_, {page}, &entry) && (entry.flags & right) != 0) continue;
        }
        FaultFailure failure;
        if (handle_fault({page}, access, &failure)) continue;
        if (failure.signal == kSigKill) return Errno::kENOMEM;
        return Errno::kEFAULT;
    }
    return {};
}

// ---- the running thread's space -----------------------------------------------------------------------------------

void attach_address_space(sched::Thread& thread, AddressSpace* space) {
    thread.address_space = space;
    thread.set_page_table_root(space ? space->page_table_root().value : 0);
}

AddressSpace* current_address_space() {
    return static_cast<AddressSpace*>(sched::Thread::current().address_space);
}

void init() {
    shared_zero_page = mem::allocate_page(mem::kPageZeroed).value();
    hal::set_page_fault_handler([](const hal::Fault& fault, hal::TrapFrame&) {
        AddressSpace* space = current_address_space();
        // A fault that must not sleep is a failure at once.
        if (!space || !hal::irqs_enabled() || hal::cpu_local().preempt_count != 0) return false;
        FaultFailure failure;
        return space->handle_fault(fault, &failure);
    });
}

}  // namespace kiln::vm
