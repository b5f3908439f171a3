#include "page_allocator.hpp"

#include "failure_injection.hpp"

#include <algorithm>
#include <cstring>

#include <kiln/hal/cpu.hpp>

namespace kiln::mem {
namespace {

// A hole between RAM ranges up to this size is covered by frame records: cheaper than another region to search.
constexpr std::uint32_t kJoinHolePages = 256;
constexpr std::uint64_t kLastPage = UINT32_MAX - (1u << kMaxOrder);

}  // namespace

// ---- setting up -----------------------------------------------------------------------------------------------

void PageAllocator::add_ram(std::uint32_t begin, std::uint32_t end) {
    total_pages_ += end - begin;
    if (run_count_ == kMaxRuns) return;  // a memory map this ragged: do without the rest
    runs_[run_count_++] = {begin, end};
    if (region_count_ > 0) {
        Region& last = regions_[region_count_ - 1];
        if (begin - (last.begin + last.count) <= kJoinHolePages) {
            last.count = end - last.begin;
            return;
        }
    }
    if (region_count_ == kMaxRegions) {
        run_count_--;
        return;
    }
    regions_[region_count_++] = {begin, end - begin, nullptr};
}

void PageAllocator::remove_usable(std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t i = 0; i < run_count_; i++) {
        Run& run = runs_[i];
        if (end <= run.begin || run.end <= begin) continue;
        const Run below = {run.begin, begin};
        const Run above = {end, run.end};
        const bool keep_below = below.begin < below.end;
        const bool keep_above = above.begin < above.end;
        if (keep_below && keep_above) {
            run = below;
            if (run_count_ == kMaxRuns) continue;  // the upper part is lost
            std::copy_backward(runs_ + i + 1, runs_ + run_count_, runs_ + run_count_ + 1);
            runs_[++i] = above;
            run_count_++;
        } else if (keep_below || keep_above) {
            run = keep_below ? below : above;
        } else {
            std::copy(runs_ + i + 1, runs_ + run_count_, runs_ + i);
            run_count_--;
            i--;
        }
    }
}

// Takes the frame records of all regions from the first run that has room.
bool PageAllocator::carve_frames() {
    std::uint64_t frames = 0;
    for (std::uint32_t i = 0; i < region_count_; i++) frames += regions_[i].count;
    const std::uint64_t pages = page_up(frames * sizeof(PageFrame)) >> kPageShift;
    for (std::uint32_t i = 0; i < run_count_; i++) {
        if (runs_[i].end - runs_[i].begin < pages) continue;
        const std::uint32_t begin = runs_[i].begin;
        auto* records = static_cast<PageFrame*>(to_virt(begin));
        for (std::uint32_t r = 0; r < region_count_; r++) {
            regions_[r].frames = records;
            records += regions_[r].count;
        }
        remove_usable(begin, begin + static_cast<std::uint32_t>(pages));
        return true;
    }
    return false;
}

void PageAllocator::init(std::span<const hal::MemoryRange> ram,
                         std::span<const hal::MemoryRange> reserved,
                         [[maybe_unused]] std::byte* direct_map) {
#ifdef KILN_HOST
    direct_map_ = direct_map;
#endif
    for (const hal::MemoryRange& range : ram) {
        const std::uint64_t begin = page_up(range.begin.value) >> kPageShift;
        const std::uint64_t end = std::min(range.end.value >> kPageShift, kLastPage);
        if (begin < end)
            add_ram(static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end));
    }
    remove_usable(0, 1);
    for (const hal::MemoryRange& range : reserved) {
        const std::uint64_t begin = range.begin.value >> kPageShift;
        const std::uint64_t end = std::min(page_up(range.end.value) >> kPageShift, kLastPage);
        if (begin < end)
            remove_usable(static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end));
    }
    while (!carve_frames()) {
        if (region_count_ <= 1) panic("no room for the page frame records");
        // Too fragmented for all of it: leave the highest region out.
        const Region& dropped = regions_[--region_count_];
        remove_usable(dropped.begin, dropped.begin + dropped.count);
    }
    // The largest first: that is where frame() looks first.
    auto* largest =
        std::max_element(regions_, regions_ + region_count_,
                         [](const Region& a, const Region& b) { return a.count < b.count; });
    std::swap(regions_[0], *largest);
    for (std::uint32_t i = 0; i < run_count_; i++) usable_pages_ += runs_[i].end - runs_[i].begin;
    unopened_ = usable_pages_;
}

// ---- look-up --------------------------------------------------------------------------------------------------

PageAllocator::Region* PageAllocator::region_of(std::uint32_t page) {
    for (std::uint32_t i = 0; i < region_count_; i++) {
        if (page - regions_[i].begin < regions_[i].count) return &regions_[i];
    }
    return nullptr;
}

PageFrame* PageAllocator::other_frame(std::uint32_t page) {
    const Region* region = region_of(page);
    return region ? &region->frames[page - region->begin] : nullptr;
}

bool PageAllocator::is_usable(std::uint32_t page) const {
    for (std::uint32_t i = 0; i < run_count_; i++) {
        if (page < runs_[i].end) return page >= runs_[i].begin;
    }
    return false;
}

// ---- free lists -----------------------------------------------------------------------------------------------

void PageAllocator::push_free(std::uint32_t page, unsigned order) {
    PageFrame* f = frame(page);
    const std::uint32_t head = free_heads_[order];
    f->state = block_state(BlockKind::kFree, order);
    f->prev = kNoPage;
    f->next = head;
    if (head != kNoPage) frame(head)->prev = page;
    free_heads_[order] = page;
    nonempty_ |= 1u << order;
}

void PageAllocator::remove_free(PageFrame* f, unsigned order) {
    if (f->next != kNoPage) frame(f->next)->prev = f->prev;
    if (f->prev != kNoPage) {
        frame(f->prev)->next = f->next;
    } else {
        free_heads_[order] = f->next;
        if (f->next == kNoPage) nonempty_ &= ~(1u << order);
    }
}

bool PageAllocator::open_chunk() {
    while (open_run_ < run_count_ && runs_[open_run_].end <= open_end_) open_run_++;
    if (open_run_ == run_count_) return false;
    const std::uint32_t first = std::max(runs_[open_run_].begin, open_end_);
    const std::uint32_t chunk = first & ~(kChunkPages - 1);
    const std::uint32_t chunk_end = chunk + kChunkPages;
    open_end_ = chunk_end;

    const auto reserve = [this](std::uint32_t page, unsigned order) {
        PageFrame* f = frame(page);
        f->state = block_state(BlockKind::kReserved, order);
        f->refs.store(kReservedRefs, std::memory_order_relaxed);
    };
    for (std::uint32_t r = 0; r < region_count_; r++) {
        const Region& region = regions_[r];
        std::uint32_t at = std::max(chunk, region.begin);
        const std::uint32_t end = std::min(chunk_end, region.begin + region.count);
        for (std::uint32_t i = open_run_; at < end; i++) {
            const std::uint32_t begin = i < run_count_ ? std::clamp(runs_[i].begin, at, end) : end;
            const std::uint32_t stop = i < run_count_ ? std::clamp(runs_[i].end, begin, end) : end;
            for_each_block(at, begin, reserve);
            for_each_block(begin, stop,
                           [this](std::uint32_t page, unsigned order) { push_free(page, order); });
            free_listed_ += stop - begin;
            unopened_ -= stop - begin;
            at = stop;
        }
    }
    return true;
}

std::uint32_t PageAllocator::take_block(unsigned order) {
    std::uint32_t candidates = nonempty_ >> order << order;
    while (candidates == 0) {
        if (!open_chunk()) return kNoPage;
        candidates = nonempty_ >> order << order;
    }
    unsigned have = static_cast<unsigned>(std::countr_zero(candidates));
    const std::uint32_t page = free_heads_[have];
    PageFrame* f = frame(page);
    remove_free(f, have);
    while (have > order) {
        have--;
        push_free(page + (1u << have), have);
    }
    f->state = block_state(BlockKind::kAllocated, order);
    free_listed_ -= 1u << order;
    return page;
}

void PageAllocator::put_block(std::uint32_t page, unsigned order) {
    free_listed_ += 1u << order;
    while (order < kMaxOrder) {
        const std::uint32_t buddy = page ^ (1u << order);
        // Beyond the region there is no record; beyond the last chunk's end none was ever written.
        const Region* region = region_of(page);
        if (buddy - region->begin >= region->count) break;
        PageFrame* f = &region->frames[buddy - region->begin];
        if (f->state != block_state(BlockKind::kFree, order)) break;
        remove_free(f, order);
        page &= ~(1u << order);
        order++;
    }
    push_free(page, order);
}

// ---- allocation -----------------------------------------------------------------------------------------------

inline PhysAddr PageAllocator::finish(std::uint32_t page, unsigned order, std::uint32_t flags) {
    PageFrame* f = frame(page);
    f->state = block_state(BlockKind::kAllocated, order);
    f->refs.store(1, std::memory_order_relaxed);
    const PhysAddr address = {std::uint64_t{page} << kPageShift};
    if (flags & kPageZeroed) return zeroed(address, order);
    return address;
}

// Out of line, as all that is rare or long, so that the way of the single page saves no registers.
PhysAddr PageAllocator::zeroed(PhysAddr block, unsigned order) {
    std::memset(to_virt(static_cast<std::uint32_t>(block.value >> kPageShift)), 0,
                kPageSize << order);
    return block;
}

Result<PhysAddr> PageAllocator::allocate(unsigned order, std::uint32_t flags) {
    if (order == 0 && !failure_injected()) [[likely]] {
        const hal::IrqState irqs = hal::irq_save();
        CpuCache& cache = caches_[hal::cpu_id()];
        if (cache.count > 0) [[likely]] {
            const std::uint32_t page = cache.pages[--cache.count];
            hal::irq_restore(irqs);
            return finish(page, 0, flags);
        }
        hal::irq_restore(irqs);
        return allocate_refilling(flags);
    }
    return allocate_block(order, flags);
}

Result<PhysAddr> PageAllocator::allocate_refilling(std::uint32_t flags) {
    const hal::IrqState irqs = hal::irq_save();
    CpuCache& cache = caches_[hal::cpu_id()];
    if (cache.count == 0 && !refill(cache)) {
        hal::irq_restore(irqs);
        return allocate_slow(0, flags);
    }
    const std::uint32_t page = cache.pages[--cache.count];
    hal::irq_restore(irqs);
    return finish(page, 0, flags);
}

Result<PhysAddr> PageAllocator::allocate_block(unsigned order, std::uint32_t flags) {
    KILN_ASSERT(order <= kMaxOrder);
    // Single pages come here only when their failure was injected above.
    if (order == 0 || failure_injected()) return Errno::kENOMEM;
    return allocate_slow(order, flags);
}

// Interrupts are off. One block of eight pages rather than eight single ones: a single walk of the lists.
bool PageAllocator::refill(CpuCache& cache) {
    sync::SpinGuard guard(lock_);
    unsigned order = kRefillOrder;
    std::uint32_t page = kNoPage;
    // Low on memory: take what there is instead of opening or splitting the last large block.
    while ((page = take_block(order)) == kNoPage) {
        if (order == 0) return false;
        order--;
    }
    for (std::uint32_t i = 1u << order; i-- > 0;) {
        frame(page + i)->state = block_state(BlockKind::kCached, 0);
        cache.pages[cache.count++] = page + i;
    }
    return true;
}

std::uint32_t PageAllocator::drain_own_cache(std::uint32_t keep) {
    sync::IrqSpinGuard guard(lock_);
    CpuCache& cache = caches_[hal::cpu_id()];
    std::uint32_t drained = 0;
    for (; cache.count > keep; drained++) put_block(cache.pages[--cache.count], 0);
    return drained;
}

std::uint64_t PageAllocator::reclaim(std::uint64_t wanted) {
    const std::uint64_t trimmed = trim_caches();
    return trimmed + (reclaim_ ? reclaim_(wanted) : 0);
}

Result<PhysAddr> PageAllocator::allocate_slow(unsigned order, std::uint32_t flags) {
    constexpr int kAttempts = 4;
    for (int attempt = 0;; attempt++) {
        std::uint32_t page;
        {
            sync::IrqSpinGuard guard(lock_);
            page = take_block(order);
        }
        if (page != kNoPage) return finish(page, order, flags);
        // Single pages in the cache may be what keeps a larger block from forming.
        if (drain_own_cache(0) > 0) continue;
        if ((flags & kPageNoReclaim) || attempt >= kAttempts) return Errno::kENOMEM;
        if (reclaim(std::uint64_t{1} << order) == 0) return Errno::kENOMEM;
    }
}

void PageAllocator::free(PhysAddr block, unsigned order) {
    const auto page = static_cast<std::uint32_t>(block.value >> kPageShift);
    PageFrame* f = frame(page);
    KILN_ASSERT(f && f->state == block_state(BlockKind::kAllocated, order));
    if (order == 0) [[likely]] {
        const hal::IrqState irqs = hal::irq_save();
        CpuCache& cache = caches_[hal::cpu_id()];
        if (cache.count == kCacheSize) [[unlikely]] {
            hal::irq_restore(irqs);
            drain_own_cache(kCacheSize - kDrain);
            free(block, 0);
            return;
        }
        f->state = block_state(BlockKind::kCached, 0);
        cache.pages[cache.count++] = page;
        hal::irq_restore(irqs);
        return;
    }
    free_block(page, order);
}

void PageAllocator::free_block(std::uint32_t page, unsigned order) {
    sync::IrqSpinGuard guard(lock_);
    put_block(page, order);
}

Result<PhysAddr> PageAllocator::allocate_run(std::uint32_t pages, std::uint32_t flags) {
    KILN_ASSERT(pages > 0);
    if (pages > kChunkPages) return Errno::kENOMEM;
    const unsigned order = static_cast<unsigned>(std::bit_width(pages - 1));
    const PhysAddr block = TRY(allocate(order, flags & ~kPageZeroed));
    const auto page = static_cast<std::uint32_t>(block.value >> kPageShift);
    if (pages != 1u << order) {
        sync::IrqSpinGuard guard(lock_);
        for_each_block(page, page + pages, [this](std::uint32_t p, unsigned o) {
            frame(p)->state = block_state(BlockKind::kAllocated, o);
        });
        // The rest as its own blocks: valid first records are all that merging needs.
        for_each_block(page + pages, page + (1u << order),
                       [this](std::uint32_t p, unsigned o) { put_block(p, o); });
    }
    if (flags & kPageZeroed) std::memset(to_virt(page), 0, std::size_t{pages} << kPageShift);
    return block;
}

void PageAllocator::free_run(PhysAddr run, std::uint32_t pages) {
    const auto page = static_cast<std::uint32_t>(run.value >> kPageShift);
    for_each_block(page, page + pages, [this](std::uint32_t p, unsigned order) {
        frame(p)->state = block_state(BlockKind::kAllocated, order);
        free({std::uint64_t{p} << kPageShift}, order);
    });
}

// ---- references -----------------------------------------------------------------------------------------------

void PageAllocator::ref(PhysAddr address) {
    const auto page = static_cast<std::uint32_t>(address.value >> kPageShift);
    if (!is_usable(page)) return;
    frame(page)->refs.fetch_add(1, std::memory_order_relaxed);
}

void PageAllocator::unref(PhysAddr address) {
    const auto page = static_cast<std::uint32_t>(address.value >> kPageShift);
    if (!is_usable(page)) return;
    PageFrame* f = frame(page);
    // Who holds the only reference needs no atomic operation to drop it.
    if (f->refs.load(std::memory_order_acquire) == 1 ||
        f->refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
        free(address, block_order(f->state));
}

std::uint32_t PageAllocator::refs(PhysAddr address) {
    const auto page = static_cast<std::uint32_t>(address.value >> kPageShift);
    return is_usable(page) ? frame(page)->refs.load(std::memory_order_acquire) : kReservedRefs;
}

PageStats PageAllocator::stats() {
    sync::IrqSpinGuard guard(lock_);
    std::uint64_t free = free_listed_ + unopened_;
    for (const CpuCache& cache : caches_) free += cache.count;
    return {.total = total_pages_, .reserved = total_pages_ - usable_pages_, .free = free};
}

std::uint64_t PageAllocator::check() {
    sync::IrqSpinGuard guard(lock_);
    std::uint64_t listed = 0;
    for (unsigned order = 0; order <= kMaxOrder; order++) {
        std::uint32_t prev = kNoPage;
        for (std::uint32_t page = free_heads_[order]; page != kNoPage; page = frame(page)->next) {
            const PageFrame* f = frame(page);
            KILN_ASSERT(f->state == block_state(BlockKind::kFree, order) && f->prev == prev);
            KILN_ASSERT(is_usable(page) && is_usable(page + (1u << order) - 1) &&
                        page % (1u << order) == 0);
            listed += 1u << order;
            prev = page;
        }
        KILN_ASSERT((free_heads_[order] != kNoPage) == ((nonempty_ >> order & 1) != 0));
    }
    KILN_ASSERT(listed == free_listed_);
    for (const CpuCache& cache : caches_) listed += cache.count;
    return listed + unopened_;
}

}  // namespace kiln::mem
