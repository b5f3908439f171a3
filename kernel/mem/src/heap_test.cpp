#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "heap_debug.hpp"
#include "heap_general.hpp"
#include "heap_region.hpp"
#include "page_allocator.hpp"
#include "test_ram.hpp"

namespace kiln::mem {
namespace {

template <typename HeapType>
class HeapTest : public testing::Test {
protected:
    HeapTest() : ram_(32_MiB), heap_(pages_) {
        ram_.fill_with_garbage();
        const hal::MemoryRange ranges[] = {ram_.all()};
        pages_.init(ranges, {}, ram_.base());
        all_ = pages_.stats().free;
    }
    TestRam ram_;
    TestPages pages_;
    HeapType heap_;
    std::uint64_t all_;
};
using Heaps = testing::Types<TestGeneralHeap, RegionHeap, CheckedHeap<TestGeneralHeap>,
                             CheckedHeap<RegionHeap>>;
TYPED_TEST_SUITE(HeapTest, Heaps);

TYPED_TEST(HeapTest, RandomUseKeepsContents) {
    struct Block {
        std::size_t size;
        unsigned char fill;
    };
    std::map<unsigned char*, Block> live;
    std::mt19937 random(11);
    for (int step = 0; step < 20000; step++) {
        if (random() % 100 < (step / 4000 % 2 ? 35u : 60u)) {
            const std::size_t size =
                random() % 20 == 0 ? random() % 20000 : random() % (random() % 8 ? 200 : 2200);
            const std::size_t alignment = random() % 8 ? 16 : std::size_t{16} << random() % 9;
            const bool zeroed = alignment == 16 && random() % 4 == 0;
            auto* p = static_cast<unsigned char*>(
                zeroed            ? this->heap_.allocate_zeroed(size)
                : alignment == 16 ? this->heap_.allocate(size)
                                  : this->heap_.allocate_aligned(size, alignment));
            ASSERT_NE(p, nullptr);
            ASSERT_EQ(reinterpret_cast<std::uintptr_t>(p) % alignment, 0u);
            ASSERT_GE(this->heap_.usable_size(p), size);
            auto above = live.lower_bound(p);
            if (above != live.end()) {
                ASSERT_GE(above->first, p + size);
            }
            if (above != live.begin()) {
                ASSERT_LE(std::prev(above)->first + std::prev(above)->second.size, p);
            }
            if (zeroed) {
                for (std::size_t i = 0; i < size; i++) ASSERT_EQ(p[i], 0);
            }
            const auto fill = static_cast<unsigned char>(random());
            std::memset(p, fill, size);
            live[p] = {size, fill};
        } else if (!live.empty()) {
            auto it = live.begin();
            std::advance(it, static_cast<long>(random() % std::min<std::size_t>(live.size(), 50)));
            for (std::size_t i = 0; i < it->second.size; i++)
                ASSERT_EQ(it->first[i], it->second.fill);
            this->heap_.release(it->first);
            live.erase(it);
        }
    }
    EXPECT_EQ(this->heap_.stats().allocations, live.size());
    for (const auto& [p, block] : live) this->heap_.release(p);
    EXPECT_EQ(this->heap_.stats().allocations, 0u);
    EXPECT_EQ(this->heap_.stats().used_bytes, 0u);
    this->heap_.trim();
    EXPECT_EQ(this->pages_.check(),
              this->all_ - (this->heap_.stats().footprint_bytes >> kPageShift));
}

TYPED_TEST(HeapTest, AnswersNullWhenMemoryIsGone) {
    std::vector<void*> blocks;
    while (void* p = this->heap_.allocate(3000)) blocks.push_back(p);
    while (void* p = this->heap_.allocate(64)) blocks.push_back(p);
    EXPECT_GT(blocks.size(), 4000u);
    EXPECT_EQ(this->heap_.allocate(SIZE_MAX), nullptr);
    EXPECT_EQ(this->heap_.allocate(SIZE_MAX - 15), nullptr);
    EXPECT_EQ(this->heap_.allocate_aligned(SIZE_MAX / 2, 4096), nullptr);
    for (void* p : blocks) this->heap_.release(p);
    EXPECT_NE(this->heap_.allocate(4000), nullptr);
}

TYPED_TEST(HeapTest, FreeingTwiceIsFound) {
    void* p = this->heap_.allocate(100);
    void* guard = this->heap_.allocate(100);
    this->heap_.release(p);
    EXPECT_DEATH(this->heap_.release(p), "assertion failed|freed twice");
    this->heap_.release(guard);
}

TEST(GeneralHeap, ClassesAreAscendingAndChosenTight) {
    TestRam ram(2_MiB);
    TestPages pages;
    const hal::MemoryRange ranges[] = {ram.all()};
    pages.init(ranges, {}, ram.base());
    TestGeneralHeap heap(pages);
    for (unsigned i = 1; i < GeneralHeap::kClassCount; i++)
        EXPECT_LT(GeneralHeap::class_size(i - 1), GeneralHeap::class_size(i));
    EXPECT_EQ(GeneralHeap::class_size(GeneralHeap::kClassCount - 1), GeneralHeap::kLargestClass);
    unsigned index = 0;
    for (std::size_t size = 1; size <= GeneralHeap::kLargestClass; size++) {
        if (size > GeneralHeap::class_size(index)) index++;
        void* p = heap.allocate(size);
        ASSERT_EQ(heap.usable_size(p), GeneralHeap::class_size(index)) << size;
        heap.release(p);
    }
}

TEST(GeneralHeap, GivesEmptySlabsBack) {
    TestRam ram(16_MiB);
    TestPages pages;
    const hal::MemoryRange ranges[] = {ram.all()};
    pages.init(ranges, {}, ram.base());
    TestGeneralHeap heap(pages);
    std::vector<void*> blocks;
    for (int i = 0; i < 20000; i++) blocks.push_back(heap.allocate(96));
    EXPECT_GT(heap.stats().footprint_bytes, 20000u * 96);
    for (void* p : blocks) heap.release(p);
    EXPECT_LE(heap.stats().footprint_bytes, 4 * kPageSize);
    heap.trim();
    EXPECT_EQ(heap.stats().footprint_bytes, 0u);
}

TEST(CheckedHeapDeathTest, OverflowIsFound) {
    TestRam ram(2_MiB);
    TestPages pages;
    const hal::MemoryRange ranges[] = {ram.all()};
    pages.init(ranges, {}, ram.base());
    CheckedHeap<TestGeneralHeap> heap(pages);
    for (const std::size_t size : {1u, 16u, 33u, 100u, 3000u}) {
        auto* p = static_cast<char*>(heap.allocate(size));
        p[size] = 1;
        EXPECT_DEATH(heap.release(p), "write beyond the end") << size;
    }
}

}  // namespace
}  // namespace kiln::mem
