// Physical memory for tests: a range of the host's address space, touched only where the test touches it.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <gtest/gtest.h>

#include <kiln/hal/platform.hpp>

#include "heap_general.hpp"
#include "page_allocator.hpp"

namespace kiln::mem {

class TestRam {
public:
    explicit TestRam(std::uint64_t size) : size_(size) {
        void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        EXPECT_NE(p, MAP_FAILED);
        base_ = static_cast<std::byte*>(p);
    }
    ~TestRam() { munmap(base_, size_); }
    TestRam(const TestRam&) = delete;
    std::byte* base() const { return base_; }
    /// Real memory is not zero at the start: only for small sizes.
    void fill_with_garbage() { std::memset(base_, 0xa5, size_); }
    hal::MemoryRange all() const { return {{0}, {size_}}; }

private:
    std::byte* base_;
    std::uint64_t size_;
};

/// A page allocator with CPU caches of its own.
struct TestPages : private std::array<PageAllocator::CpuCaches, 1>, PageAllocator {
    TestPages() : array{}, PageAllocator((*this)[0]) {}
};
/// The same for heaps.
struct TestGeneralHeap : private std::array<GeneralHeap::CpuCaches, 1>, GeneralHeap {
    explicit TestGeneralHeap(PageAllocator& pages) : array{}, GeneralHeap(pages, (*this)[0]) {}
};

}  // namespace kiln::mem
