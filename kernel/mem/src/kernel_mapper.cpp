#include "kernel_mapper.hpp"

#include <kiln/hal/smp.hpp>
#include <kiln/mem/kernel_map.hpp>
#include <kiln/mem/pages.hpp>

namespace kiln::mem {
namespace {

struct FlushRange {
    std::uintptr_t begin;
    std::size_t length;
};

// Kernel mappings may be in any CPU's TLB.
void flush_everywhere(std::uintptr_t begin, std::size_t length) {
    hal::flush_tlb_range({begin}, length);
    if (hal::cpu_count() == 1) return;
    FlushRange range = {begin, length};
    hal::preempt_disable();
    const std::uint64_t others =
        ((std::uint64_t{1} << hal::cpu_count()) - 1) & ~(std::uint64_t{1} << hal::cpu_id());
    hal::cpu_call(
        others,
        [](void* argument) {
            const auto* r = static_cast<FlushRange*>(argument);
            hal::flush_tlb_range({r->begin}, r->length);
        },
        &range);
    hal::preempt_enable();
}

constexpr std::uint32_t kStackRights = hal::kMapRead | hal::kMapWrite | hal::kMapGlobal;

}  // namespace

Result<std::uintptr_t> KernelMapper::reserve(std::size_t size, std::size_t alignment) {
    const std::uintptr_t begin = align_up(next_, alignment);
    if (size > hal::kKernelDynamicEnd - begin) return Errno::kENOMEM;
    next_ = begin + size;
    return begin;
}

Result<std::uintptr_t> KernelMapper::allocate_stack(std::size_t size) {
    KILN_ASSERT(size > 0 && is_aligned(size, kPageSize));
    std::uintptr_t guard = 0;
    {
        sync::SpinGuard lock(lock_);
        if (size == kKernelStackSize) {
            if (cached_count_ > 0) return cached_[--cached_count_];
            if (!free_slots_.is_empty()) {
                guard = free_slots_.back();
                free_slots_.pop_back();
            }
        }
        if (guard == 0) guard = TRY(reserve(kPageSize + size, kPageSize));
    }
    const std::uintptr_t base = guard + kPageSize;
    const PhysAddr root = hal::kernel_page_table_root();
    for (std::size_t done = 0; done < size; done += kPageSize) {
        Result<PhysAddr> page = allocate_page();
        Result<void> mapped = page.error();
        if (page.ok()) {
            sync::SpinGuard lock(lock_);
            mapped = hal::map_page(root, {base + done}, page.value(), kStackRights);
        }
        if (!mapped.ok()) {
            if (page.ok()) free_pages(page.value(), 0);
            release_stack(base, size);
            return Errno::kENOMEM;
        }
    }
    return base;
}

void KernelMapper::free_stack(std::uintptr_t base, std::size_t size) {
    if (size == kKernelStackSize) {
        sync::SpinGuard lock(lock_);
        if (cached_count_ < kCachedStacks) {
            cached_[cached_count_++] = base;
            return;
        }
    }
    release_stack(base, size);
}

void KernelMapper::release_stack(std::uintptr_t base, std::size_t size) {
    // The pages stay allocated until no CPU can reach them any more.
    constexpr std::size_t kBatch = 32;
    struct Collected {
        PhysAddr pages[kBatch];
        std::size_t count = 0;
    };
    for (std::size_t done = 0; done < size;) {
        const std::size_t part =
            size - done < kBatch * kPageSize ? size - done : kBatch * kPageSize;
        Collected collected;
        {
            sync::SpinGuard lock(lock_);
            // Single pages: there is no large leaf to split, so it can't fail.
            hal::unmap_range(
                hal::kernel_page_table_root(), {base + done}, part,
                [](VirtAddr, const hal::PageEntry& entry, void* cookie) {
                    auto* c = static_cast<Collected*>(cookie);
                    c->pages[c->count++] = entry.page;
                },
                &collected)
                .value();
        }
        flush_everywhere(base + done, part);
        for (std::size_t i = 0; i < collected.count; i++) free_pages(collected.pages[i], 0);
        done += part;
    }
    if (size == kKernelStackSize) {
        sync::SpinGuard lock(lock_);
        // Without memory to remember it the address range is lost, which is no more than that.
        (void)free_slots_.push_back(base - kPageSize);
    }
}

bool KernelMapper::is_stack_guard(std::uintptr_t address) {
    // Asked in a fault handler that is about to panic: no lock.
    if (address < hal::kKernelDynamicBase || address >= next_) return false;
    hal::PageEntry entry;
    const PhysAddr root = hal::kernel_page_table_root();
    return !hal::query_page(root, {page_down(address)}, &entry) &&
           hal::query_page(root, {page_down(address) + kPageSize}, &entry);
}

Result<std::uintptr_t> KernelMapper::map_device(PhysAddr at, std::size_t size) {
    if (size == 0) return Errno::kEINVAL;
    const std::uint64_t begin = page_down(at.value);
    const std::uint64_t length = page_up(at.value + size) - begin;
    sync::SpinGuard lock(lock_);
    const std::uintptr_t base = TRY(reserve(length, kPageSize));
    TRY(hal::map_range(hal::kernel_page_table_root(), {base}, {begin}, length,
                       hal::kMapRead | hal::kMapWrite | hal::kMapUncached | hal::kMapGlobal));
    return base + (at.value - begin);
}

void KernelMapper::unmap_device(std::uintptr_t address, std::size_t size) {
    const std::uintptr_t begin = page_down(address);
    const std::size_t length = page_up(address + size) - begin;
    {
        sync::SpinGuard lock(lock_);
        // The range is whole: no leaf reaches beyond it, so none needs splitting.
        hal::unmap_range(
            hal::kernel_page_table_root(), {begin}, length,
            [](VirtAddr, const hal::PageEntry&, void*) {}, nullptr)
            .value();
    }
    flush_everywhere(begin, length);
}

std::uint64_t KernelMapper::trim() {
    std::uint64_t freed = 0;
    for (;;) {
        std::uintptr_t base;
        {
            sync::SpinGuard lock(lock_);
            if (cached_count_ == 0) return freed;
            base = cached_[--cached_count_];
        }
        release_stack(base, kKernelStackSize);
        freed += kKernelStackSize / kPageSize;
    }
}

}  // namespace kiln::mem
