// The guest's page table code on the host, over host RAM.
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include <kiln/arch/host.hpp>
#include <kiln/hal/paging.hpp>

namespace kiln {
namespace {

// A bump allocator with a free list; starts at 2 MiB.
std::vector<std::uint64_t> free_list;
std::uint64_t next_page = 2_MiB;
int allocations_left = -1;  // -1: no limit
int live_pages = 0;

Result<PhysAddr> allocate() {
    if (allocations_left == 0) return Errno::kENOMEM;
    if (allocations_left > 0) --allocations_left;
    ++live_pages;
    std::uint64_t page = next_page;
    if (!free_list.empty()) {
        page = free_list.back();
        free_list.pop_back();
    } else {
        next_page += kPageSize;
    }
    __builtin_memset(hal::phys_to_virt({page}), 0, kPageSize);
    return PhysAddr{page};
}
void release(PhysAddr page) {
    --live_pages;
    free_list.push_back(page.value);
}

class PageTable : public ::testing::Test {
protected:
    void SetUp() override {
        host::set_ram_size(64_MiB);
        free_list.clear();
        next_page = 2_MiB;
        allocations_left = -1;
        hal::set_page_table_allocator({allocate, release});
        root_ = hal::create_page_table_root().value();
        live_at_start_ = live_pages;
    }
    void TearDown() override {
        allocations_left = -1;
        hal::destroy_page_table_root(root_);
        EXPECT_EQ(live_pages, live_at_start_ - 1) << "a table was not freed";
        live_pages = 0;
    }
    hal::PageEntry entry(std::uintptr_t va) {
        hal::PageEntry e{};
        EXPECT_TRUE(hal::query_page(root_, {va}, &e));
        return e;
    }
    bool is_mapped(std::uintptr_t va) {
        hal::PageEntry e{};
        return hal::query_page(root_, {va}, &e);
    }

    PhysAddr root_{};
    int live_at_start_ = 0;
};

constexpr std::uint32_t kReadWrite = hal::kMapRead | hal::kMapWrite | hal::kMapUser;
constexpr std::uint32_t kReadExecute = hal::kMapRead | hal::kMapExecute | hal::kMapUser;

TEST_F(PageTable, MapQueryUnmap) {
    ASSERT_TRUE(hal::map_page(root_, {0x400000}, {0x5000}, kReadExecute).ok());
    EXPECT_EQ(entry(0x400123).page.value, 0x5000u);
    EXPECT_EQ(entry(0x400000).flags, kReadExecute);
    EXPECT_FALSE(is_mapped(0x401000));
    EXPECT_FALSE(is_mapped(hal::kUserEnd - 1));
    std::map<std::uint64_t, std::uint64_t> seen;
    ASSERT_TRUE(hal::unmap_range(
                    root_, {0}, hal::kUserEnd,
                    [](VirtAddr va, const hal::PageEntry& e, void* cookie) {
                        (*static_cast<std::map<std::uint64_t, std::uint64_t>*>(cookie))[va.value] =
                            e.page.value;
                    },
                    &seen)
                    .ok());
    EXPECT_EQ(seen, (std::map<std::uint64_t, std::uint64_t>{{0x400000, 0x5000}}));
    EXPECT_FALSE(is_mapped(0x400000));
}

TEST_F(PageTable, RangesUseLargePagesAndSplitThem) {
    ASSERT_TRUE(hal::map_range(root_, {0x1ff000}, {0x3ff000}, 2_MiB + 8_KiB, kReadWrite).ok());
    EXPECT_EQ(entry(0x1ff000).size, 4_KiB);
    EXPECT_EQ(entry(0x200000).size, 2_MiB);
    EXPECT_EQ(entry(0x2ff000).page.value, 0x4ff000u);
    EXPECT_EQ(entry(0x400000).size, 4_KiB);
    EXPECT_FALSE(is_mapped(0x401000));

    ASSERT_TRUE(
        hal::protect_range(root_, {0x300000}, 4_KiB, hal::kMapRead | hal::kMapUser, false).ok());
    EXPECT_EQ(entry(0x300000).size, 4_KiB);
    EXPECT_EQ(entry(0x300000).flags, hal::kMapRead | hal::kMapUser);
    EXPECT_EQ(entry(0x301000).flags, kReadWrite);
    EXPECT_EQ(entry(0x301000).page.value, 0x501000u);

    int visits = 0;
    auto count = [](VirtAddr, const hal::PageEntry&, void* cookie) {
        ++*static_cast<int*>(cookie);
    };
    ASSERT_TRUE(hal::unmap_range(root_, {0x1ff000}, 2_MiB + 8_KiB, count, &visits).ok());
    EXPECT_EQ(visits, 514);
}

TEST_F(PageTable, WholeLargeLeafIsVisitedPageByPage) {
    ASSERT_TRUE(hal::map_range(root_, {2_MiB}, {4_MiB}, 2_MiB, kReadWrite).ok());
    std::vector<std::uint64_t> pages;
    ASSERT_TRUE(hal::unmap_range(
                    root_, {2_MiB}, 2_MiB,
                    [](VirtAddr, const hal::PageEntry& e, void* cookie) {
                        static_cast<std::vector<std::uint64_t>*>(cookie)->push_back(e.page.value);
                    },
                    &pages)
                    .ok());
    ASSERT_EQ(pages.size(), 512u);
    EXPECT_EQ(pages.front(), 4_MiB);
    EXPECT_EQ(pages.back(), 6_MiB - 4_KiB);
}

TEST_F(PageTable, PageWithoutRightsStaysKnown) {
    ASSERT_TRUE(hal::map_page(root_, {0x10000}, {0x7000}, kReadWrite).ok());
    ASSERT_TRUE(hal::protect_range(root_, {0x10000}, 4_KiB, hal::kMapUser, true).ok());
    EXPECT_EQ(entry(0x10000).flags, std::uint32_t{hal::kMapUser});
    EXPECT_EQ(entry(0x10000).page.value, 0x7000u);
    ASSERT_TRUE(hal::protect_range(root_, {0x10000}, 4_KiB, kReadWrite, true).ok());
    EXPECT_EQ(entry(0x10000).flags, kReadWrite);
}

TEST_F(PageTable, KeepReadonlyKeepsCopyOnWritePages) {
    const std::uint32_t read_only = hal::kMapRead | hal::kMapUser;
    ASSERT_TRUE(hal::map_page(root_, {0x10000}, {0x7000}, read_only).ok());
    ASSERT_TRUE(hal::map_page(root_, {0x11000}, {0x8000}, kReadWrite).ok());
    ASSERT_TRUE(hal::protect_range(root_, {0x10000}, 8_KiB, hal::kMapUser, true).ok());
    ASSERT_TRUE(hal::protect_range(root_, {0x10000}, 8_KiB, kReadWrite, true).ok());
    EXPECT_EQ(entry(0x10000).flags, read_only);
    EXPECT_EQ(entry(0x11000).flags, kReadWrite);
    ASSERT_TRUE(hal::protect_range(root_, {0x10000}, 4_KiB, kReadWrite, false).ok());
    EXPECT_EQ(entry(0x10000).flags, kReadWrite);
}

TEST_F(PageTable, NewRootsShareTheKernelsHalf) {
    ASSERT_TRUE(hal::map_page(hal::kernel_page_table_root(), {hal::kKernelDynamicBase + 8_KiB},
                              {0x9000}, hal::kMapRead | hal::kMapWrite | hal::kMapGlobal)
                    .ok());
    live_at_start_ += 2;  // tables of the kernel's half stay
    EXPECT_EQ(entry(hal::kKernelDynamicBase + 8_KiB).page.value, 0x9000u);
    EXPECT_EQ(entry(hal::kKernelDynamicBase + 8_KiB).flags & hal::kMapUser, 0u);
}

TEST_F(PageTable, RunningOutOfMemoryIsReported) {
    allocations_left = 1;
    EXPECT_EQ(hal::map_page(root_, {0x7000000000}, {0x5000}, kReadWrite).error(), Errno::kENOMEM);
    EXPECT_FALSE(is_mapped(0x7000000000));
    allocations_left = -1;
    ASSERT_TRUE(hal::map_range(root_, {2_MiB}, {2_MiB}, 2_MiB, kReadWrite).ok());
    allocations_left = 0;
    EXPECT_EQ(hal::unmap_range(root_, {2_MiB}, 4_KiB, nullptr, nullptr).error(), Errno::kENOMEM);
    EXPECT_EQ(entry(2_MiB).size, 2_MiB) << "a failed split leaves the mapping as it was";
}

}  // namespace
}  // namespace kiln
