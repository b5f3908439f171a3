#include "heap_region.hpp"

#include <bit>
#include <cstring>

namespace kiln::mem {

// First fit. The block may have to be cut in front (alignment) and behind.
void* RegionHeap::take(std::size_t size, std::size_t alignment) {
    for (Header** link = &free_; *link; link = &(*link)->next) {
        Header* block = *link;
        const auto begin = reinterpret_cast<std::uintptr_t>(block);
        const std::uintptr_t end = begin + block->size;
        // What is cut off in front is a multiple of 16 bytes: a block of its own.
        const std::uintptr_t payload = align_up(begin + sizeof(Header), alignment);
        if (payload - sizeof(Header) + size > end || payload < begin) continue;
        auto* taken = reinterpret_cast<Header*>(payload - sizeof(Header));
        const std::uintptr_t taken_end = payload - sizeof(Header) + size;
        Header* rest = block->next;
        if (end > taken_end) {
            auto* behind = reinterpret_cast<Header*>(taken_end);
            *behind = {0, static_cast<std::uint32_t>(end - taken_end), rest};
            rest = behind;
        }
        if (taken != block) {
            block->size = static_cast<std::uint32_t>(payload - sizeof(Header) - begin);
            block->next = rest;
        } else {
            *link = rest;
        }
        *taken = {kMagic, static_cast<std::uint32_t>(size), nullptr};
        return reinterpret_cast<void*>(payload);
    }
    return nullptr;
}

void RegionHeap::insert(Header* block) {
    Header* before = nullptr;
    Header* after = free_;
    while (after && after < block) {
        before = after;
        after = after->next;
    }
    const auto end_of = [](Header* h) {
        return reinterpret_cast<Header*>(reinterpret_cast<std::byte*>(h) + h->size);
    };
    block->magic = 0;
    block->next = after;
    if (after && end_of(block) == after) {
        block->size += after->size;
        block->next = after->next;
    }
    if (before && end_of(before) == block) {
        before->size += block->size;
        before->next = block->next;
    } else if (before) {
        before->next = block;
    } else {
        free_ = block;
    }
}

void* RegionHeap::allocate_aligned(std::size_t size, std::size_t alignment) {
    KILN_ASSERT((alignment & (alignment - 1)) == 0);
    constexpr std::size_t kLargest = (kPageSize << kMaxOrder) - sizeof(Header);
    if (alignment < kAlignment) alignment = kAlignment;
    if (size > kLargest || alignment > kLargest - size) return nullptr;
    size = align_up(size + sizeof(Header), kAlignment);
    if (size < 2 * sizeof(Header)) size = 2 * sizeof(Header);

    sync::IrqSpinGuard guard(lock_);
    void* p = take(size, alignment);
    if (!p) {
        const std::size_t extra = alignment > kAlignment ? alignment : 0;
        const auto pages = static_cast<std::uint32_t>(page_up(size + extra) >> kPageShift);
        Result<PhysAddr> run = pages_.allocate_run(pages, kPageNoReclaim);
        if (!run.ok()) return nullptr;
        auto* block = static_cast<Header*>(
            pages_.to_virt(static_cast<std::uint32_t>(run.value().value >> kPageShift)));
        block->size = pages << kPageShift;
        footprint_bytes_ += block->size;
        insert(block);
        p = take(size, alignment);
    }
    if (p) {
        used_bytes_ += size;
        allocations_++;
    }
    return p;
}

void* RegionHeap::allocate_zeroed(std::size_t size) {
    void* p = allocate(size);
    if (p) std::memset(p, 0, size);
    return p;
}

void RegionHeap::release(void* p) {
    if (!p) return;
    auto* block = static_cast<Header*>(p) - 1;
    sync::IrqSpinGuard guard(lock_);
    KILN_ASSERT(block->magic == kMagic);  // else: not from here, or freed before
    used_bytes_ -= block->size;
    allocations_--;
    insert(block);
}

std::size_t RegionHeap::usable_size(void* p) {
    return (static_cast<Header*>(p) - 1)->size - sizeof(Header);
}

HeapStats RegionHeap::stats() {
    sync::IrqSpinGuard guard(lock_);
    return {.used_bytes = used_bytes_,
            .footprint_bytes = footprint_bytes_,
            .allocations = allocations_};
}

}  // namespace kiln::mem
