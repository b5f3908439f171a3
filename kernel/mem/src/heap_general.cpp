#include "heap_general.hpp"

#include <bit>
#include <cstring>

#include <kiln/hal/cpu.hpp>

namespace kiln::mem {
namespace {

// What a slab keeps in PageFrame::refs: objects handed out (to users or CPU caches), the first object of its free
// chain (index + 1, 0: none), and the objects from the start that were ever used: the rest was never touched.
struct SlabCounts {
    std::uint32_t used;
    std::uint32_t free_head;
    std::uint32_t touched;

    static SlabCounts load(const PageFrame& f) {
        const std::uint32_t v = f.refs.load(std::memory_order_relaxed);
        return {v & 0x3ff, v >> 10 & 0x7ff, v >> 21};
    }
    void store(PageFrame& f) const {
        f.refs.store(used | free_head << 10 | touched << 21, std::memory_order_relaxed);
    }
};
static_assert(kPageSize / GeneralHeap::kAlignment <= 0x3ff, "the counts have ten bits");

// PageFrame::state's owner bits of a slab's pages: class, and distance to the slab's first page.
constexpr std::uint32_t slab_owner(unsigned index, std::uint32_t distance) {
    return index | distance << 8;
}
constexpr unsigned owner_class(std::uint32_t owner) { return owner & 0xff; }
constexpr std::uint32_t owner_distance(std::uint32_t owner) { return owner >> 8; }

}  // namespace

unsigned GeneralHeap::class_of(std::size_t size) {
    if (size <= 128) return size == 0 ? 0 : static_cast<unsigned>((size - 1) / 16);
    // The doubling that holds size, and which quarter of it.
    const unsigned doubling = static_cast<unsigned>(std::bit_width(size - 1)) - 8;
    return 8 + 4 * doubling +
           static_cast<unsigned>((size - 1 - (std::size_t{128} << doubling)) >> (5 + doubling));
}

// ---- CPU cache ------------------------------------------------------------------------------------------------

void* GeneralHeap::allocate_class(unsigned index) {
    const hal::IrqState irqs = hal::irq_save();
    CpuCache& cpu = caches_[hal::cpu_id()];
    ClassCache& cache = cpu.classes[index];
    if (!cache.head) [[unlikely]] {
        sync::SpinGuard guard(lock_);
        refill(cache, index);
    }
    FreeObject* object = cache.head;
    if (object) {
        cache.head = object->next;
        cache.count--;
        cpu.used_bytes += static_cast<std::int64_t>(class_size(index));
        cpu.allocations++;
    }
    hal::irq_restore(irqs);
    return object;
}

void* GeneralHeap::allocate(std::size_t size) {
    if (size > kLargestClass) return allocate_large(size, 0);
    return allocate_class(class_of(size));
}

void* GeneralHeap::allocate_zeroed(std::size_t size) {
    if (size > kLargestClass) return allocate_large(size, kPageZeroed);
    void* p = allocate_class(class_of(size));
    if (p) std::memset(p, 0, size);
    return p;
}

void* GeneralHeap::allocate_aligned(std::size_t size, std::size_t alignment) {
    KILN_ASSERT((alignment & (alignment - 1)) == 0);
    if (alignment <= kAlignment) return allocate(size);
    if (size < alignment) size = alignment;
    if (size > kLargestClass) {
        // Runs are aligned to their length rounded up to a power of two.
        return allocate_large(
            alignment <= kPageSize ? size : (size + alignment - 1) & ~(alignment - 1), 0);
    }
    // Classes of a power of two are aligned to their size.
    return allocate_class(class_of(std::bit_ceil(size)));
}

void GeneralHeap::release(void* p) {
    if (!p) return;
    PageFrame* frame = pages_.frame(pages_.to_page(p));
    KILN_ASSERT(frame);
    const std::uint32_t state = frame->state;
    if (block_kind(state) == BlockKind::kLarge) {
        release_large(p, frame);
        return;
    }
    KILN_ASSERT(block_kind(state) == BlockKind::kSlab || block_kind(state) == BlockKind::kSlabTail);
    const unsigned index = owner_class(block_owner(state));
    auto* object = static_cast<FreeObject*>(p);
    const hal::IrqState irqs = hal::irq_save();
    CpuCache& cpu = caches_[hal::cpu_id()];
    ClassCache& cache = cpu.classes[index];
    KILN_ASSERT(object != cache.head);  // the commonest double free
    object->next = cache.head;
    cache.head = object;
    cpu.used_bytes -= static_cast<std::int64_t>(class_size(index));
    cpu.allocations--;
    if (++cache.count > cache_limit(index)) [[unlikely]] {
        sync::SpinGuard guard(lock_);
        drain(cache, index, cache_limit(index) / 2);
    }
    hal::irq_restore(irqs);
}

// ---- slabs ----------------------------------------------------------------------------------------------------

void GeneralHeap::link_partial(std::uint32_t page, unsigned index) {
    PageFrame* f = pages_.frame(page);
    f->prev = PageAllocator::kNoPage;
    f->next = partial_[index];
    if (f->next != PageAllocator::kNoPage) pages_.frame(f->next)->prev = page;
    partial_[index] = page;
}

void GeneralHeap::unlink_partial(std::uint32_t page, unsigned index) {
    const PageFrame* f = pages_.frame(page);
    if (f->next != PageAllocator::kNoPage) pages_.frame(f->next)->prev = f->prev;
    if (f->prev != PageAllocator::kNoPage) {
        pages_.frame(f->prev)->next = f->next;
    } else {
        partial_[index] = f->next;
    }
}

std::uint32_t GeneralHeap::new_slab(unsigned index) {
    for (unsigned order = slab_order(index);; order--) {
        // kPageNoReclaim: the caller may hold locks, and reclaim comes back to this heap.
        Result<PhysAddr> block = pages_.allocate(order, kPageNoReclaim);
        if (!block.ok()) {
            if (order == 0) return PageAllocator::kNoPage;
            continue;
        }
        const auto page = static_cast<std::uint32_t>(block.value().value >> kPageShift);
        for (std::uint32_t i = 0; i < 1u << order; i++) {
            pages_.frame(page + i)->state = block_state(
                i == 0 ? BlockKind::kSlab : BlockKind::kSlabTail, order, slab_owner(index, i));
        }
        SlabCounts{0, 0, 0}.store(*pages_.frame(page));
        footprint_pages_.fetch_add(1u << order, std::memory_order_relaxed);
        link_partial(page, index);
        return page;
    }
}

void GeneralHeap::free_slab(std::uint32_t page, unsigned index) {
    PageFrame* f = pages_.frame(page);
    const unsigned order = block_order(f->state);
    unlink_partial(page, index);
    f->state = block_state(BlockKind::kAllocated, order);
    footprint_pages_.fetch_sub(1u << order, std::memory_order_relaxed);
    pages_.free({std::uint64_t{page} << kPageShift}, order);
}

// Takes objects from one slab until half of the cache's limit is reached or the slab has no more.
bool GeneralHeap::refill(ClassCache& cache, unsigned index) {
    std::uint32_t page = partial_[index];
    if (page == PageAllocator::kNoPage) page = new_slab(index);
    if (page == PageAllocator::kNoPage) return false;
    PageFrame* f = pages_.frame(page);
    const std::size_t size = class_size(index);
    const auto objects = static_cast<std::uint32_t>((kPageSize << block_order(f->state)) / size);
    auto* base = static_cast<std::byte*>(pages_.to_virt(page));
    SlabCounts counts = SlabCounts::load(*f);
    const std::uint32_t wanted = cache_limit(index) / 2;
    while (cache.count < wanted && counts.used < objects) {
        FreeObject* object;
        if (counts.free_head != 0) {
            object = reinterpret_cast<FreeObject*>(base + (counts.free_head - 1) * size);
            counts.free_head = *reinterpret_cast<std::uint32_t*>(object);
        } else {
            object = reinterpret_cast<FreeObject*>(base + counts.touched++ * size);
        }
        object->next = cache.head;
        cache.head = object;
        cache.count++;
        counts.used++;
    }
    counts.store(*f);
    if (counts.used == objects) unlink_partial(page, index);
    return true;
}

void GeneralHeap::put_object(FreeObject* object, unsigned index) {
    std::uint32_t page = pages_.to_page(object);
    page -= owner_distance(block_owner(pages_.frame(page)->state));
    PageFrame* f = pages_.frame(page);
    const std::size_t size = class_size(index);
    const auto objects = static_cast<std::uint32_t>((kPageSize << block_order(f->state)) / size);
    const auto offset = static_cast<std::size_t>(reinterpret_cast<std::byte*>(object) -
                                                 static_cast<std::byte*>(pages_.to_virt(page)));
    SlabCounts counts = SlabCounts::load(*f);
    KILN_ASSERT(offset % size == 0 && counts.used > 0);
    *reinterpret_cast<std::uint32_t*>(object) = counts.free_head;
    counts.free_head = static_cast<std::uint32_t>(offset / size) + 1;
    const bool was_full = counts.used == objects;
    counts.used--;
    counts.store(*f);
    if (was_full) link_partial(page, index);
    // An empty slab goes back, unless it is the only one with room: else a lone object freed and allocated again would
    // cost a slab each time.
    if (counts.used == 0 && (partial_[index] != page || f->next != PageAllocator::kNoPage))
        free_slab(page, index);
}

void GeneralHeap::drain(ClassCache& cache, unsigned index, std::uint32_t keep) {
    while (cache.count > keep) {
        FreeObject* object = cache.head;
        cache.head = object->next;
        cache.count--;
        put_object(object, index);
    }
}

std::uint64_t GeneralHeap::trim() {
    sync::IrqSpinGuard guard(lock_);
    const std::uint64_t before = footprint_pages_.load(std::memory_order_relaxed);
    CpuCache& cpu = caches_[hal::cpu_id()];
    for (unsigned index = 0; index < kClassCount; index++) {
        drain(cpu.classes[index], index, 0);
        std::uint32_t next;
        for (std::uint32_t page = partial_[index]; page != PageAllocator::kNoPage; page = next) {
            next = pages_.frame(page)->next;
            if (SlabCounts::load(*pages_.frame(page)).used == 0) free_slab(page, index);
        }
    }
    return before - footprint_pages_.load(std::memory_order_relaxed);
}

// ---- whole pages ----------------------------------------------------------------------------------------------

void* GeneralHeap::allocate_large(std::size_t size, std::uint32_t flags) {
    if (size > kPageSize << kMaxOrder) return nullptr;
    const auto pages = static_cast<std::uint32_t>(page_up(size) >> kPageShift);
    Result<PhysAddr> run = pages_.allocate_run(pages, flags | kPageNoReclaim);
    if (!run.ok()) return nullptr;
    const auto page = static_cast<std::uint32_t>(run.value().value >> kPageShift);
    PageFrame* f = pages_.frame(page);
    f->state = block_state(BlockKind::kLarge, 0);
    f->next = pages;
    footprint_pages_.fetch_add(pages, std::memory_order_relaxed);
    const hal::IrqState irqs = hal::irq_save();
    CpuCache& cpu = caches_[hal::cpu_id()];
    cpu.used_bytes += static_cast<std::int64_t>(pages) << kPageShift;
    cpu.allocations++;
    hal::irq_restore(irqs);
    return pages_.to_virt(page);
}

void GeneralHeap::release_large(void* p, PageFrame* frame) {
    KILN_ASSERT(is_aligned(reinterpret_cast<std::uintptr_t>(p), kPageSize));
    const std::uint32_t pages = frame->next;
    const hal::IrqState irqs = hal::irq_save();
    CpuCache& cpu = caches_[hal::cpu_id()];
    cpu.used_bytes -= static_cast<std::int64_t>(pages) << kPageShift;
    cpu.allocations--;
    hal::irq_restore(irqs);
    footprint_pages_.fetch_sub(pages, std::memory_order_relaxed);
    pages_.free_run({std::uint64_t{pages_.to_page(p)} << kPageShift}, pages);
}

std::size_t GeneralHeap::usable_size(void* p) {
    const PageFrame* f = pages_.frame(pages_.to_page(p));
    KILN_ASSERT(f);
    if (block_kind(f->state) == BlockKind::kLarge) return std::size_t{f->next} << kPageShift;
    return class_size(owner_class(block_owner(f->state)));
}

HeapStats GeneralHeap::stats() {
    HeapStats stats = {.used_bytes = 0,
                       .footprint_bytes = footprint_pages_.load(std::memory_order_relaxed)
                                          << kPageShift,
                       .allocations = 0};
    // A block may be freed on another CPU than it came from: only the sums mean something.
    for (const CpuCache& cpu : caches_) {
        stats.used_bytes += static_cast<std::size_t>(cpu.used_bytes);
        stats.allocations += static_cast<std::size_t>(cpu.allocations);
    }
    return stats;
}

}  // namespace kiln::mem
