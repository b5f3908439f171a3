#include <map>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "page_allocator.hpp"
#include "test_ram.hpp"

namespace kiln::mem {
namespace {

std::uint64_t page_of(PhysAddr a) { return a.value >> kPageShift; }

TEST(PageAllocator, WorksInTheSmallestMachine) {
    TestRam ram(1280_KiB);
    ram.fill_with_garbage();
    TestPages pages;
    // As QEMU's microvm describes 1280 KiB: a hole below 1 MiB.
    const hal::MemoryRange ranges[] = {{{0}, {0x9fc00}}, {{0x100000}, {0x140000}}};
    const hal::MemoryRange reserved[] = {{{0x100000}, {0x118000}}, {{0x0}, {0x500}}};
    pages.init(ranges, reserved, ram.base());
    const PageStats stats = pages.stats();
    EXPECT_EQ(stats.total, 159u + 64u);
    EXPECT_EQ(stats.reserved,
              1u /* page 0 */ + 24u /* kernel */ + 2u /* frame records, hole included */);
    std::set<std::uint64_t> seen;
    for (;;) {
        Result<PhysAddr> page = pages.allocate(0, kPageZeroed);
        if (!page.ok()) {
            EXPECT_EQ(page.error(), Errno::kENOMEM);
            break;
        }
        const std::uint64_t n = page_of(page.value());
        EXPECT_TRUE(seen.insert(n).second);
        EXPECT_TRUE((n >= 1 && n < 159) || (n >= 0x118 && n < 0x140)) << n;
        const std::byte* bytes = ram.base() + page.value().value;
        for (std::size_t i = 0; i < kPageSize; i++) ASSERT_EQ(bytes[i], std::byte{0});
    }
    EXPECT_EQ(seen.size(), stats.free);
    EXPECT_EQ(pages.stats().free, 0u);
    for (const std::uint64_t n : seen) pages.free({n << kPageShift}, 0);
    EXPECT_EQ(pages.check(), stats.free);
    // All neighbours joined again: the largest block that fits is there.
    EXPECT_TRUE(pages.allocate(6, 0).ok());
}

TEST(PageAllocator, TouchesLittleOfMuchMemory) {
    TestRam ram(65_GiB);
    TestPages pages;
    const hal::MemoryRange ranges[] = {{{0}, {0x9fc00}}, {{1_MiB}, {3_GiB}}, {{4_GiB}, {65_GiB}}};
    const hal::MemoryRange reserved[] = {{{1_MiB}, {2_MiB}}, {{100_MiB}, {140_MiB}}};
    pages.init(ranges, reserved, ram.base());
    const PhysAddr page = pages.allocate(0, 0).value();
    const PhysAddr block = pages.allocate(10, 0).value();
    EXPECT_TRUE(is_aligned(block.value, 4_MiB));
    pages.free(page, 0);
    pages.free(block, 10);
    std::vector<unsigned char> resident(65_GiB / kPageSize);
    ASSERT_EQ(mincore(ram.base(), 65_GiB, resident.data()), 0);
    EXPECT_LT(std::count(resident.begin(), resident.end(), 1), 32);
    EXPECT_EQ(pages.refs({120_MiB}), UINT32_MAX);
    EXPECT_EQ(pages.refs({3_GiB + 5 * kPageSize}), UINT32_MAX);
    pages.check();
}

TEST(PageAllocator, ReservedPagesCountNoReferences) {
    TestRam ram(16_MiB);
    ram.fill_with_garbage();
    TestPages pages;
    const hal::MemoryRange ranges[] = {ram.all()};
    const hal::MemoryRange reserved[] = {{{5_MiB}, {9_MiB + 4096}}};
    pages.init(ranges, reserved, ram.base());
    for (const std::uint64_t at : {5_MiB, 6_MiB + 4096, 9_MiB}) {
        pages.ref({at});
        pages.unref({at});
        pages.unref({at});
        EXPECT_EQ(pages.refs({at}), UINT32_MAX);
    }
    pages.unref({1_GiB});  // beyond RAM: device memory mapped into an application
    const PhysAddr page = pages.allocate(0, 0).value();
    const std::uint64_t free = pages.stats().free;
    pages.ref(page);
    EXPECT_EQ(pages.refs(page), 2u);
    pages.unref(page);
    EXPECT_EQ(pages.stats().free, free);
    pages.unref(page);
    EXPECT_EQ(pages.stats().free, free + 1);
}

TEST(PageAllocator, RandomUseKeepsBlocksApartAndLosesNothing) {
    TestRam ram(40_MiB);
    ram.fill_with_garbage();
    TestPages pages;
    const hal::MemoryRange ranges[] = {
        {{0}, {0x9f000}}, {{1_MiB}, {18_MiB + 12288}}, {{30_MiB + 4096}, {40_MiB}}};
    const hal::MemoryRange reserved[] = {
        {{1_MiB}, {2_MiB + 4096}}, {{7_MiB}, {8_MiB}}, {{31_MiB}, {31_MiB + 1}}};
    pages.init(ranges, reserved, ram.base());
    const std::uint64_t all = pages.stats().free;
    struct Block {
        std::uint64_t pages;
        int kind;  // order, or -1: a run
    };
    std::map<std::uint64_t, Block> live;
    std::uint64_t held = 0;
    std::mt19937 random(7);
    for (int step = 0; step < 40000; step++) {
        if (random() % 100 < (step / 5000 % 2 ? 40u : 60u)) {
            const bool run = random() % 4 == 0;
            const unsigned order = random() % 16 ? random() % 4 : random() % (kMaxOrder + 1);
            const auto count = static_cast<std::uint32_t>(run ? 1 + random() % 40 : 1u << order);
            Result<PhysAddr> block = run ? pages.allocate_run(count, 0) : pages.allocate(order, 0);
            if (!block.ok()) continue;
            const std::uint64_t first = page_of(block.value());
            auto above = live.lower_bound(first);
            if (above != live.end()) {
                ASSERT_GE(above->first, first + count);
            }
            if (above != live.begin()) {
                ASSERT_LE(std::prev(above)->first + std::prev(above)->second.pages, first);
            }
            if (!run) {
                ASSERT_EQ(first % count, 0u);
            }
            live[first] = {count, run ? -1 : static_cast<int>(order)};
            held += count;
        } else if (!live.empty()) {
            auto it = live.lower_bound(random() % (40_MiB >> kPageShift));
            if (it == live.end()) it = live.begin();
            if (it->second.kind < 0) {
                pages.free_run({it->first << kPageShift},
                               static_cast<std::uint32_t>(it->second.pages));
            } else {
                pages.free({it->first << kPageShift}, static_cast<unsigned>(it->second.kind));
            }
            held -= it->second.pages;
            live.erase(it);
        }
        ASSERT_EQ(pages.stats().free, all - held);
        if (step % 1000 == 0) {
            ASSERT_EQ(pages.check(), all - held);
        }
    }
    for (const auto& [first, block] : live) {
        if (block.kind < 0) {
            pages.free_run({first << kPageShift}, static_cast<std::uint32_t>(block.pages));
        } else {
            pages.free({first << kPageShift}, static_cast<unsigned>(block.kind));
        }
    }
    EXPECT_EQ(pages.check(), all);
}

std::uint64_t reclaim_calls;

TEST(PageAllocator, AsksForReclaimBeforeItGivesUp) {
    TestRam ram(2_MiB);
    TestPages pages;
    const hal::MemoryRange ranges[] = {ram.all()};
    pages.init(ranges, {}, ram.base());
    static PageAllocator* current;
    static std::vector<PhysAddr> held;
    current = &pages;
    held.clear();
    while (true) {
        Result<PhysAddr> page = pages.allocate(0, kPageNoReclaim);
        if (!page.ok()) break;
        held.push_back(page.value());
    }
    reclaim_calls = 0;
    pages.set_reclaim_hook([](std::uint64_t wanted) -> std::uint64_t {
        reclaim_calls++;
        EXPECT_EQ(wanted, 1u);
        if (held.empty() || reclaim_calls > 1) return 0;
        current->free(held.back(), 0);
        held.pop_back();
        return 1;
    });
    EXPECT_FALSE(pages.allocate(0, kPageNoReclaim).ok());
    EXPECT_EQ(reclaim_calls, 0u);
    Result<PhysAddr> page = pages.allocate(0, 0);
    EXPECT_TRUE(page.ok());
    EXPECT_EQ(reclaim_calls, 1u);
    EXPECT_EQ(pages.allocate(0, 0).error(), Errno::kENOMEM);
    EXPECT_EQ(reclaim_calls, 2u);
}

TEST(PageAllocator, InjectedFailuresComeEveryNthTime) {
    TestRam ram(2_MiB);
    TestPages pages;
    const hal::MemoryRange ranges[] = {ram.all()};
    pages.init(ranges, {}, ram.base());
    inject_allocation_failures(3);
    EXPECT_TRUE(pages.allocate(0, 0).ok());
    EXPECT_TRUE(pages.allocate(0, 0).ok());
    EXPECT_FALSE(pages.allocate(0, 0).ok());
    EXPECT_TRUE(pages.allocate(0, 0).ok());
    inject_allocation_failures(0);
}

TEST(PageAllocatorDeathTest, FreeingTwiceIsFound) {
    TestRam ram(2_MiB);
    TestPages pages;
    const hal::MemoryRange ranges[] = {ram.all()};
    pages.init(ranges, {}, ram.base());
    const PhysAddr page = pages.allocate(0, 0).value();
    pages.free(page, 0);
    EXPECT_DEATH(pages.free(page, 0), "assertion failed");
    const PhysAddr block = pages.allocate(2, 0).value();
    EXPECT_DEATH(pages.free(block, 1), "assertion failed");
}

}  // namespace
}  // namespace kiln::mem
