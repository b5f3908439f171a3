// Checks around any heap: a fence behind each allocation and a mark in freed memory. Found when the block is freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <kiln/base/format.hpp>
#include <kiln/base/panic.hpp>

namespace kiln::mem {

/// Layout of a block of `usable` bytes: [user's size bytes][fence up to the last 16 bytes][size ^ key][mark ^ address].
template <typename Heap>
class CheckedHeap {
public:
    template <typename... Args>
    explicit constexpr CheckedHeap(Args&... args) : heap_(args...) {}

    void* allocate(std::size_t size) { return fence(heap_.allocate(with_trailer(size)), size); }
    void* allocate_aligned(std::size_t size, std::size_t alignment) {
        return fence(heap_.allocate_aligned(with_trailer(size), alignment), size);
    }
    void* allocate_zeroed(std::size_t size) {
        return fence(heap_.allocate_zeroed(with_trailer(size)), size);
    }
    void release(void* p) {
        if (!p) return;
        check(p);
        trailer(p)->mark = kFreed ^ reinterpret_cast<std::uintptr_t>(p);
        std::memset(p, kPoison, heap_.usable_size(p) - sizeof(Trailer));
        heap_.release(p);
    }
    std::size_t usable_size(void* p) { return trailer(p)->size ^ kSizeKey; }
    auto stats() { return heap_.stats(); }
    std::uint64_t trim() { return heap_.trim(); }

private:
    struct Trailer {
        std::uint64_t size;
        std::uint64_t mark;
    };
    static constexpr std::uint64_t kAllocated = 0xa110c8ed5ca1ab1eull;
    static constexpr std::uint64_t kFreed = 0xdeadf4eeb10c0000ull;
    static constexpr std::uint64_t kSizeKey = 0x5a5a5a5a00000000ull;
    static constexpr unsigned char kFence = 0xfd;
    static constexpr unsigned char kPoison = 0x6b;

    static std::size_t with_trailer(std::size_t size) {
        return size > SIZE_MAX - sizeof(Trailer) ? SIZE_MAX : size + sizeof(Trailer);
    }
    Trailer* trailer(void* p) {
        return reinterpret_cast<Trailer*>(static_cast<std::byte*>(p) + heap_.usable_size(p) -
                                          sizeof(Trailer));
    }
    void* fence(void* p, std::size_t size) {
        if (!p) return nullptr;
        Trailer* t = trailer(p);
        auto* begin = static_cast<unsigned char*>(p) + size;
        std::memset(begin, kFence,
                    static_cast<std::size_t>(reinterpret_cast<unsigned char*>(t) - begin));
        *t = {size ^ kSizeKey, kAllocated ^ reinterpret_cast<std::uintptr_t>(p)};
        return p;
    }
    void check(void* p) {
        const Trailer* t = trailer(p);
        if (t->mark == (kFreed ^ reinterpret_cast<std::uintptr_t>(p)))
            panicf("heap: {} freed twice", p);
        const std::size_t room = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(t) -
                                                          static_cast<std::byte*>(p));
        const std::size_t size = t->size ^ kSizeKey;
        bool intact = t->mark == (kAllocated ^ reinterpret_cast<std::uintptr_t>(p)) && size <= room;
        for (std::size_t i = size; intact && i < room; i++)
            intact = static_cast<unsigned char*>(p)[i] == kFence;
        if (!intact)
            panicf("heap: write beyond the end of the {} bytes at {}", size <= room ? size : room,
                   p);
    }

    Heap heap_;
};

}  // namespace kiln::mem
