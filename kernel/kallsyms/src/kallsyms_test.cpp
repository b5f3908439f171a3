// The table is made by scripts/kallsyms.py from test_symbols.nm: encoder and decoder are tested together.
#include <kiln/kallsyms/kallsyms.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace kiln::kallsyms {
namespace {

constexpr std::uintptr_t kBase = 0xffffffff80100000;
constexpr std::uintptr_t kNumbered = kBase + 6 * 0x40;

std::string name_at(std::uintptr_t address) {
    std::array<char, kMaxName> buffer;
    const auto found = find(address, buffer);
    return found ? std::string(found->name) : "none";
}

TEST(Kallsyms, NamesAreShortened) {
    EXPECT_EQ(name_at(kBase), "_start");
    EXPECT_EQ(name_at(kBase + 0x40), "vfs::walk");
    EXPECT_EQ(name_at(kBase + 0x80), "sched::Scheduler::pick");
    EXPECT_EQ(name_at(kBase + 0xc0), "base::format");
    EXPECT_EQ(name_at(kBase + 0x100), "vfs::Inode::operator()");
    EXPECT_EQ(name_at(kBase + 0x140), "mem::free");
}

TEST(Kallsyms, GivesBeginAndOffset) {
    std::array<char, kMaxName> buffer;
    const auto found = find(kBase + 0x9a, buffer);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->begin, kBase + 0x80);
    EXPECT_EQ(found->offset, 0x1au);
}

TEST(Kallsyms, FindsEveryFunctionAcrossGroups) {
    for (unsigned i = 0; i < 200; i++) {
        EXPECT_EQ(name_at(kNumbered + i * 0x10 + 0xf), "sys_number_" + std::to_string(i));
    }
}

TEST(Kallsyms, OutsideIsNothing) {
    EXPECT_EQ(name_at(kBase - 1), "none");
    EXPECT_EQ(name_at(0), "none");
    EXPECT_EQ(name_at(kNumbered + 200 * 0x10), "none");
    EXPECT_EQ(name_at(~std::uintptr_t{0}), "none");
}

TEST(Kallsyms, NameIsCutToTheBuffer) {
    std::array<char, 4> buffer;
    const auto found = find(kBase + 0x40, buffer);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->name, "vfs:");
}

}  // namespace
}  // namespace kiln::kallsyms
