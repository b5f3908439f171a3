// Mapping and unmapping. Each errno names its rule in mmap(2), munmap(2), mprotect(2), brk(2).
#include <kiln/vm/address_space.hpp>

#include <algorithm>

#include <kiln/hal/smp.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/vm/anonymous_object.hpp>

#include "page_tables.hpp"
#include "zero_page.hpp"

namespace kiln::vm {
namespace {

constexpr std::size_t kMaxMappings = 65530;  // Linux: DEFAULT_MAX_MAP_COUNT
constexpr const char* kHeapLabel = "[heap]";

bool is_data(const Vma& vma) {
    return vma.sharing == Sharing::kPrivate && (vma.prot & kProtWrite) && !vma.is_stack;
}

MappingInfo describe(const Vma& vma) {
    return {.begin = {vma.begin},
            .end = {vma.end},
            .prot = vma.prot,
            .sharing = vma.sharing,
            .object = vma.object.get(),
            .offset = vma.offset,
            .label = vma.label};
}

}  // namespace

Result<Ref<AddressSpace>> AddressSpace::create() {
    const PhysAddr root = TRY(hal::create_page_table_root());
    Result<Ref<AddressSpace>> space = mem::make_ref<AddressSpace>(root);
    if (!space.ok()) hal::destroy_page_table_root(root);
    return space;
}

AddressSpace::~AddressSpace() {
    // Out of the objects' lists before the tables go: a truncation on another CPU would look into them.
    RemovedVmas removed;
    while (Vma* vma = vmas_.first()) remove_vma(*vma, removed);
    // CPUs that run a kernel thread now may still have these tables loaded.
    const auto leave = [](void* argument) {
        const hal::IrqState irqs = hal::irq_save();
        const hal::ThreadContext* running = hal::current_context();
        if (!running || running->page_table_root != *static_cast<const std::uint64_t*>(argument)) {
            const std::uint64_t root = running ? running->page_table_root : 0;
            hal::load_page_table_root(root ? PhysAddr{root} : hal::kernel_page_table_root());
        }
        hal::irq_restore(irqs);
    };
    std::uint64_t root = root_.value;
    leave(&root);
    if (hal::cpu_count() > 1) hal::cpu_call(other_cpus(), leave, &root);
    hal::destroy_page_table_root(root_);
}

// ---- limits ---------------------------------------------------------------------------------------------------

std::uint64_t AddressSpace::data_bytes() const {
    std::uint64_t bytes = 0;
    for (Vma* vma = vmas_.first(); vma; vma = VmaSet::next(*vma)) {
        if (is_data(*vma)) bytes += vma->length();
    }
    return bytes;
}

Result<void> AddressSpace::check_limits(std::uint64_t new_bytes, bool is_data_mapping) const {
    // mmap: "ENOMEM  The process's maximum number of mappings would have been exceeded."
    if (vmas_.count() >= kMaxMappings) return Errno::kENOMEM;
    // "ENOMEM  … RLIMIT_AS / RLIMIT_DATA would be exceeded."
    const std::uint64_t mapped = vmas_.mapped_bytes();
    if (mapped > limits_.address_space || new_bytes > limits_.address_space - mapped)
        return Errno::kENOMEM;
    if (is_data_mapping && limits_.data != UINT64_MAX) {
        const std::uint64_t data = data_bytes();
        if (data > limits_.data || new_bytes > limits_.data - data) return Errno::kENOMEM;
    }
    return {};
}

void AddressSpace::set_limits(const Limits& limits) {
    sched::WriteGuard guard(lock_);
    limits_ = limits;
}

void AddressSpace::set_mmap_base(VirtAddr base) {
    sched::WriteGuard guard(lock_);
    mmap_base_ = std::clamp(page_down(base.value), hal::kUserBegin + kPageSize, hal::kUserEnd);
}

// ---- map ------------------------------------------------------------------------------------------------------

Result<std::uintptr_t> AddressSpace::place(const MapRequest& request, std::uint64_t length) {
    const std::uintptr_t address = request.address.value;
    if (request.placement != Placement::kHint) {
        // "EINVAL  We don't like addr … (e.g., not aligned on a page boundary)."
        if (!is_aligned(address, kPageSize)) return Errno::kEINVAL;
        // arch_get_unmapped_area(): beyond TASK_SIZE.
        if (length > hal::kUserEnd || address > hal::kUserEnd - length) return Errno::kENOMEM;
        // security_mmap_addr(): below vm.mmap_min_addr.
        if (address < hal::kUserBegin) return Errno::kEPERM;
        // "EEXIST  MAP_FIXED_NOREPLACE was specified, and the range … clashes with an existing mapping."
        if (request.placement == Placement::kFixedNoReplace &&
            !vmas_.is_free(address, address + length))
            return Errno::kEEXIST;
        return address;
    }
    const std::uintptr_t hint = page_down(address);
    if (hint >= hal::kUserBegin && length <= hal::kUserEnd && hint <= hal::kUserEnd - length &&
        vmas_.is_available(hint, hint + length))
        return hint;
    std::uintptr_t found = vmas_.find_gap(length, hal::kUserBegin, mmap_base_);
    if (found == 0) found = vmas_.find_gap(length, hal::kUserBegin, hal::kUserEnd);
    // "ENOMEM  No memory is available."
    if (found == 0) return Errno::kENOMEM;
    return found;
}

Result<VirtAddr> AddressSpace::map(const MapRequest& request) {
    // "EINVAL  (since Linux 2.6.12) length was 0."
    if (request.length == 0) return Errno::kEINVAL;
    const std::uint64_t length = page_up(request.length);
    // do_mmap(): the rounded length overflowed; "EOVERFLOW" when offset + length does.
    if (length == 0 || length > hal::kUserEnd) return Errno::kENOMEM;
    if (!is_aligned(request.offset, kPageSize)) return Errno::kEINVAL;
    std::uint64_t end_offset;
    if (!checked_add(request.offset, length, &end_offset)) return Errno::kEOVERFLOW;

    Owned<Vma> vma = TRY(mem::make_owned<Vma>());
    vma->prot = request.prot;
    vma->max_prot = request.max_prot;
    vma->sharing = request.sharing;
    vma->object = request.object;
    vma->offset = request.object ? request.offset : 0;
    vma->label = request.label;
    vma->is_stack = request.stack;
    vma->space = this;
    if (!vma->object && vma->sharing == Sharing::kShared)
        vma->object = TRY(AnonymousObject::create(length));
    if (vma->object) vma->is_contiguous = vma->object->contiguous(&vma->object_base);

    RemovedVmas removed;
    std::uintptr_t begin;
    {
        sched::WriteGuard guard(lock_);
        TRY(check_limits(length, is_data(*vma)));
        begin = TRY(place(request, length));
        if (request.placement == Placement::kFixedReplace)
            TRY(unmap_locked(begin, begin + length, removed));
        vma->begin = begin;
        vma->end = begin + length;
        Vma& added = *vma.release();
        vmas_.insert(added);
        vmas_.merge(added, removed);
        hint_.store(nullptr, std::memory_order_relaxed);
    }
    // Errors are those of later accesses: "no error if the mapping cannot be populated".
    if (request.populate && request.prot != kProtNone) {
        const bool write = (request.prot & kProtWrite) != 0 && request.sharing == Sharing::kPrivate;
        (void)populate(begin, begin + length, write ? hal::Access::kWrite : hal::Access::kRead);
    }
    return VirtAddr{begin};
}

// ---- unmap ----------------------------------------------------------------------------------------------------

void AddressSpace::remove_vma(Vma& vma, RemovedVmas& removed) {
    zap(vma, vma.begin, vma.end);
    vmas_.remove(vma, removed);
}

Result<void> AddressSpace::unmap_locked(std::uintptr_t begin, std::uintptr_t end,
                                        RemovedVmas& removed) {
    Vma* vma = vmas_.first_ending_above(begin);
    if (!vma || vma->begin >= end) return {};
    hint_.store(nullptr, std::memory_order_relaxed);
    if (vma->begin < begin && vma->end > end) {
        // A hole in the middle: the only case that needs memory, and it comes before any change.
        // "ENOMEM  The process's maximum number of mappings would have been exceeded. … for munmap(), when unmapping a
        //  region in the middle of an existing mapping."
        if (vmas_.count() >= kMaxMappings) return Errno::kENOMEM;
        Owned<Vma> upper = TRY(mem::make_owned<Vma>());
        zap(*vma, begin, end);
        vmas_.split(*vma, end, *upper.release());
        vmas_.set_end(*vma, begin);
        return {};
    }
    while (vma && vma->begin < end) {
        Vma* next = VmaSet::next(*vma);
        if (vma->begin < begin) {
            zap(*vma, begin, vma->end);
            vmas_.set_end(*vma, begin);
        } else if (vma->end > end) {
            zap(*vma, vma->begin, end);
            vmas_.set_begin(*vma, end);
        } else {
            remove_vma(*vma, removed);
        }
        vma = next;
    }
    return {};
}

Result<void> AddressSpace::unmap(VirtAddr address, std::uint64_t length) {
    // munmap: "EINVAL" for an unaligned address, length 0, or a range beyond TASK_SIZE.
    if (!is_aligned(address.value, kPageSize) || length == 0 || length > hal::kUserEnd)
        return Errno::kEINVAL;
    length = page_up(length);
    if (length > hal::kUserEnd || address.value > hal::kUserEnd - length) return Errno::kEINVAL;
    RemovedVmas removed;
    sched::WriteGuard guard(lock_);
    return unmap_locked(address.value, address.value + length, removed);
}

// ---- protect --------------------------------------------------------------------------------------------------

// Makes [begin, end) of `vma` a mapping of its own. ENOMEM leaves at most a split behind, which changes nothing.
Result<Vma*> AddressSpace::isolate(Vma& vma, std::uintptr_t begin, std::uintptr_t end) {
    Vma* result = &vma;
    hint_.store(nullptr, std::memory_order_relaxed);
    if (begin > vma.begin) {
        if (vmas_.count() >= kMaxMappings) return Errno::kENOMEM;
        Owned<Vma> upper = TRY(mem::make_owned<Vma>());
        result = upper.release();
        vmas_.split(vma, begin, *result);
    }
    if (end < result->end) {
        if (vmas_.count() >= kMaxMappings) return Errno::kENOMEM;
        Owned<Vma> upper = TRY(mem::make_owned<Vma>());
        vmas_.split(*result, end, *upper.release());
    }
    return result;
}

Result<void> AddressSpace::protect_vma(Vma& vma, std::uintptr_t begin, std::uintptr_t end,
                                       std::uint32_t prot, RemovedVmas& removed) {
    if (vma.prot == prot) return {};
    // "EACCES  The memory cannot be given the specified access."
    if ((prot & ~vma.max_prot) != 0) return Errno::kEACCES;
    const bool becomes_data =
        !is_data(vma) && vma.sharing == Sharing::kPrivate && (prot & kProtWrite) && !vma.is_stack;
    if (becomes_data && limits_.data != UINT64_MAX) {
        const std::uint64_t data = data_bytes();
        if (data > limits_.data || end - begin > limits_.data - data) return Errno::kENOMEM;
    }
    Vma* part = TRY(isolate(vma, begin, end));
    part->prot = prot;
    {
        sync::SpinGuard guard(page_table_lock_);
        // Read-only pages stay so: they may be shared with others, or their object wants to know of the first write.
        // Only 4 KiB leaves are mapped, so none has to be split and it can't fail.
        hal::protect_range(root_, {begin}, end - begin, rights_of(prot), true).value();
        flush(begin, end - begin);
    }
    vmas_.merge(*part, removed);
    return {};
}

Result<void> AddressSpace::protect(VirtAddr address, std::uint64_t length, std::uint32_t prot) {
    const bool grows_down = (prot & kProtGrowsDown) != 0;
    const bool grows_up = (prot & kProtGrowsUp) != 0;
    prot &= ~(kProtGrowsDown | kProtGrowsUp);
    // do_mprotect_pkey(): "EINVAL  Both PROT_GROWSUP and PROT_GROWSDOWN"; then alignment; then length 0 is success;
    // then "ENOMEM" for overflow; then unknown protection bits.
    if (grows_down && grows_up) return Errno::kEINVAL;
    if (!is_aligned(address.value, kPageSize)) return Errno::kEINVAL;
    if (length == 0) return {};
    length = page_up(length);
    std::uintptr_t end;
    if (length == 0 || !checked_add(address.value, length, &end)) return Errno::kENOMEM;
    if ((prot & ~(kProtRead | kProtWrite | kProtExec)) != 0) return Errno::kEINVAL;

    RemovedVmas removed;
    sched::WriteGuard guard(lock_);
    std::uintptr_t at = address.value;
    Vma* vma = vmas_.first_ending_above(at);
    if (!vma) return Errno::kENOMEM;
    if (grows_down) {
        if (vma->begin >= end) return Errno::kENOMEM;
        // "EINVAL  PROT_GROWSDOWN … on a mapping that is not a stack."
        if (!vma->is_stack) return Errno::kEINVAL;
        at = vma->begin;
    } else if (grows_up) {
        return Errno::kEINVAL;
    }
    hint_.store(nullptr, std::memory_order_relaxed);
    // What comes before a hole or an error is changed, as on Linux.
    while (at < end) {
        vma = vmas_.find(at);
        // "ENOMEM  Addresses in the range … specify one or more pages that are not mapped."
        if (!vma) return Errno::kENOMEM;
        const std::uintptr_t part_end = std::min(vma->end, end);
        TRY(protect_vma(*vma, at, part_end, prot, removed));
        at = part_end;
    }
    return {};
}

// ---- brk ------------------------------------------------------------------------------------------------------

void AddressSpace::init_break(VirtAddr begin) {
    sched::WriteGuard guard(lock_);
    break_begin_ = begin.value;
    break_end_ = begin.value;
}

VirtAddr AddressSpace::set_break(VirtAddr wanted) {
    RemovedVmas removed;
    sched::WriteGuard guard(lock_);
    const VirtAddr current = {break_end_};
    if (wanted.value < break_begin_ || wanted.value > hal::kUserEnd) return current;
    const std::uintptr_t old_end = page_up(break_end_);
    const std::uintptr_t new_end = page_up(wanted.value);
    if (new_end < old_end) {
        if (!unmap_locked(new_end, old_end, removed).ok()) return current;
    } else if (new_end > old_end) {
        // brk: "ENOMEM" if it exceeds RLIMIT_DATA or meets an existing mapping; the system call answers with the old end.
        if (limits_.data != UINT64_MAX && wanted.value - break_begin_ > limits_.data)
            return current;
        if (!vmas_.is_available(old_end, new_end) || !check_limits(new_end - old_end, false).ok())
            return current;
        Result<Owned<Vma>> vma = mem::make_owned<Vma>();
        if (!vma.ok()) return current;
        Vma& added = *vma.value().release();
        added.begin = old_end;
        added.end = new_end;
        added.prot = kProtRead | kProtWrite;
        added.max_prot = kProtRead | kProtWrite | kProtExec;
        added.label = kHeapLabel;
        added.space = this;
        vmas_.insert(added);
        vmas_.merge(added, removed);
        hint_.store(nullptr, std::memory_order_relaxed);
    }
    break_end_ = wanted.value;
    return wanted;
}

// ---- looking --------------------------------------------------------------------------------------------------

void AddressSpace::for_each_mapping(bool (*visit)(const MappingInfo&, void*), void* cookie) {
    sched::ReadGuard guard(lock_);
    for (Vma* vma = vmas_.first(); vma; vma = VmaSet::next(*vma)) {
        if (!visit(describe(*vma), cookie)) return;
    }
}

bool AddressSpace::find_mapping(VirtAddr address, MappingInfo* out) {
    sched::ReadGuard guard(lock_);
    const Vma* vma = vmas_.find(address.value);
    if (vma) *out = describe(*vma);
    return vma != nullptr;
}

AddressSpace::Stats AddressSpace::stats() const {
    sched::ReadGuard guard(lock_);
    sync::SpinGuard pages(page_table_lock_);
    return {.mapped_bytes = vmas_.mapped_bytes(),
            .resident_pages = resident_pages_,
            .peak_resident_pages = peak_resident_pages_,
            .minor_faults = minor_faults_.load(std::memory_order_relaxed)};
}

}  // namespace kiln::vm
