#include <map>
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include <kiln/hal/paging.hpp>
#include <kiln/vm/vma.hpp>

namespace kiln::vm {
namespace {

constexpr std::uintptr_t kBase = hal::kUserBegin;

Vma& add(VmaSet& set, std::uintptr_t begin, std::uintptr_t end, bool is_stack = false) {
    auto* vma = new Vma;
    vma->begin = begin;
    vma->end = end;
    vma->is_stack = is_stack;
    set.insert(*vma);
    return *vma;
}

TEST(VmaSet, FindGapAgreesWithASimpleSearch) {
    constexpr int kPages = 400;
    std::mt19937 random(5);
    for (int round = 0; round < 40; round++) {
        VmaSet set;
        std::vector<bool> used(kPages);
        for (int step = 0; step < 300; step++) {
            const auto first = static_cast<int>(random() % kPages);
            const int count = 1 + static_cast<int>(random() % 12);
            const std::uintptr_t begin = kBase + static_cast<std::uintptr_t>(first) * kPageSize;
            const std::uintptr_t end = begin + static_cast<std::uintptr_t>(count) * kPageSize;
            if (first + count <= kPages && set.is_free(begin, end)) {
                add(set, begin, end);
                for (int i = first; i < first + count; i++)
                    used[static_cast<std::size_t>(i)] = true;
            } else if (Vma* vma = set.find(begin); vma && random() % 2) {
                RemovedVmas removed;
                for (std::uintptr_t at = vma->begin; at < vma->end; at += kPageSize)
                    used[(at - kBase) / kPageSize] = false;
                if (random() % 2 && vma->length() > 2 * kPageSize) {
                    // Keep the middle.
                    set.set_begin(*vma, vma->begin + kPageSize);
                    set.set_end(*vma, vma->end - kPageSize);
                    for (std::uintptr_t at = vma->begin; at < vma->end; at += kPageSize)
                        used[(at - kBase) / kPageSize] = true;
                } else {
                    set.remove(*vma, removed);
                }
            }
            const std::size_t length = 1 + random() % 20;
            const std::size_t low = random() % 40;
            const std::size_t high = 200 + random() % 201;
            std::size_t expected = 0;
            for (std::size_t run = 0, i = high; i-- > low;) {
                run = used[i] ? 0 : run + 1;
                if (run == length) {
                    expected = i;
                    break;
                }
            }
            const bool exists = [&] {
                std::size_t run = 0;
                for (std::size_t i = high; i-- > low;) {
                    run = used[i] ? 0 : run + 1;
                    if (run == length) return true;
                }
                return false;
            }();
            const std::uintptr_t found =
                set.find_gap(length * kPageSize, kBase + low * kPageSize, kBase + high * kPageSize);
            ASSERT_EQ(found, exists ? kBase + expected * kPageSize : 0)
                << "round " << round << " step " << step;
        }
    }
}

TEST(VmaSet, KeepsAwayFromStacks) {
    VmaSet set;
    const std::uintptr_t stack = kBase + 64_MiB;
    add(set, stack, stack + 1_MiB, true);
    EXPECT_EQ(set.find_gap(kPageSize, kBase, stack + 1_MiB),
              stack - VmaSet::kStackGuardGap - kPageSize);
    EXPECT_EQ(set.find_gap(kPageSize, kBase, stack), stack - VmaSet::kStackGuardGap - kPageSize);
    EXPECT_TRUE(set.is_free(stack - kPageSize, stack));
    EXPECT_FALSE(set.is_available(stack - kPageSize, stack));
    EXPECT_TRUE(set.is_available(stack - VmaSet::kStackGuardGap - kPageSize,
                                 stack - VmaSet::kStackGuardGap));
    EXPECT_EQ(set.find_gap(64_MiB, kBase, stack), 0u);
}

TEST(VmaSet, SplitsAndMergesToTheSame) {
    VmaSet set;
    Vma& vma = add(set, kBase, kBase + 8 * kPageSize);
    auto* upper = new Vma;
    set.split(vma, kBase + 3 * kPageSize, *upper);
    EXPECT_EQ(set.count(), 2u);
    EXPECT_EQ(set.mapped_bytes(), 8 * kPageSize);
    upper->prot = 1;
    RemovedVmas removed;
    EXPECT_EQ(&set.merge(*upper, removed), upper);
    upper->prot = 0;
    EXPECT_EQ(&set.merge(*upper, removed), &vma);
    EXPECT_EQ(set.count(), 1u);
    EXPECT_EQ(vma.end, kBase + 8 * kPageSize);
    EXPECT_EQ(set.mapped_bytes(), 8 * kPageSize);
}

}  // namespace
}  // namespace kiln::vm
