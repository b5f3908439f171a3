#include <set>
#include <vector>

#include <gtest/gtest.h>

#include <kiln/arch/host.hpp>
#include <kiln/mem/kernel_map.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/plat/host.hpp>

#include "kernel_mapper.hpp"

namespace kiln::mem {
namespace {

class KernelMap : public testing::Test {
protected:
    KernelMap() {
        host::set_ram_size(16_MiB);
        host::set_boot_info();
        init();
    }
    ~KernelMap() override { inject_allocation_failures(0); }
    static bool is_mapped(std::uintptr_t address) {
        hal::PageEntry entry;
        return hal::query_page(hal::kernel_page_table_root(), {address}, &entry);
    }
};

TEST_F(KernelMap, StacksHaveAGuardBelow) {
    KernelMapper map;
    const std::uintptr_t a = map.allocate_stack(kKernelStackSize).value();
    const std::uintptr_t b = map.allocate_stack(kKernelStackSize).value();
    for (const std::uintptr_t base : {a, b}) {
        EXPECT_FALSE(is_mapped(base - 1));
        EXPECT_TRUE(map.is_stack_guard(base - 1));
        std::set<std::uint64_t> pages;
        for (std::size_t at = 0; at < kKernelStackSize; at += kPageSize) {
            hal::PageEntry entry;
            ASSERT_TRUE(hal::query_page(hal::kernel_page_table_root(), {base + at}, &entry));
            EXPECT_TRUE(entry.flags & hal::kMapWrite);
            EXPECT_FALSE(entry.flags & (hal::kMapExecute | hal::kMapUser));
            EXPECT_TRUE(pages.insert(entry.page.value).second);
        }
        EXPECT_FALSE(map.is_stack_guard(base));
    }
}

TEST_F(KernelMap, StacksAreReusedAndTheRestGivenBack) {
    KernelMapper map;
    std::vector<std::uintptr_t> stacks;
    for (int i = 0; i < 40; i++) stacks.push_back(map.allocate_stack(kKernelStackSize).value());
    const std::uint64_t free_before = page_stats().free;
    const std::uint64_t flushes = host::tlb_flushes();
    for (const std::uintptr_t base : stacks) map.free_stack(base, kKernelStackSize);
    EXPECT_GE(page_stats().free, free_before + 24 * 4);
    EXPECT_GE(host::tlb_flushes(), flushes + 24);
    EXPECT_FALSE(is_mapped(stacks.back()));
    const std::set<std::uintptr_t> known(stacks.begin(), stacks.end());
    for (int i = 0; i < 40; i++)
        EXPECT_TRUE(known.contains(map.allocate_stack(kKernelStackSize).value()));
    for (const std::uintptr_t base : stacks) map.free_stack(base, kKernelStackSize);
    EXPECT_EQ(map.trim(), 16u * 4);
    EXPECT_FALSE(is_mapped(stacks.front()));
}

TEST_F(KernelMap, FailureLeavesNothingBehind) {
    KernelMapper map;
    // Page tables for the range exist after the first one.
    map.free_stack(map.allocate_stack(kKernelStackSize).value(), kKernelStackSize);
    map.trim();
    const std::uint64_t free = page_stats().free;
    for (std::uint32_t nth = 1; nth <= 4; nth++) {
        inject_allocation_failures(nth);
        EXPECT_EQ(map.allocate_stack(kKernelStackSize).error(), Errno::kENOMEM) << nth;
        inject_allocation_failures(0);
        EXPECT_EQ(page_stats().free, free) << nth;
    }
    EXPECT_TRUE(map.allocate_stack(kKernelStackSize).ok());
}

TEST_F(KernelMap, DevicesAreMappedUncachedWithTheirOffset) {
    KernelMapper map;
    const std::uintptr_t at = map.map_device({0xfeb00e00}, 0x400).value();
    EXPECT_EQ(at % kPageSize, 0xe00u);
    hal::PageEntry entry;
    ASSERT_TRUE(hal::query_page(hal::kernel_page_table_root(), {at + 0x3ff}, &entry));
    EXPECT_EQ(entry.page.value, 0xfeb01000u);
    EXPECT_TRUE(entry.flags & hal::kMapUncached);
    map.unmap_device(at, 0x400);
    EXPECT_FALSE(is_mapped(at));
    EXPECT_EQ(map.map_device({0x1000}, 0).error(), Errno::kEINVAL);
    EXPECT_EQ(map.map_device({0x1000}, 1_GiB * 1024).error(), Errno::kENOMEM);
}

}  // namespace
}  // namespace kiln::mem
