#include <kiln/base/format.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace kiln {
namespace {

template <typename... Args>
std::string fmt(std::string_view f, const Args&... args) {
    char buffer[128];
    return {buffer, format_to(buffer, f, args...)};
}

TEST(Format, Values) {
    EXPECT_EQ(fmt("a {} b {}", 1, -2), "a 1 b -2");
    EXPECT_EQ(fmt("{:x} {:08x} {:5}|", 255, 0xbeefu, 42), "ff 0000beef    42|");
    EXPECT_EQ(fmt("{} {} {}", "text", 'c', true), "text c true");
    EXPECT_EQ(fmt("{:8}|", std::string_view("ab")), "ab      |");
    EXPECT_EQ(fmt("{}", INT64_MIN), "-9223372036854775808");
    EXPECT_EQ(fmt("{}", VirtAddr{0x1000}), "0x1000");
    EXPECT_EQ(fmt("{{}} {}", 7), "{} 7");
}

TEST(Format, TooFewArgumentsIsVisible) { EXPECT_EQ(fmt("{} {}", 1), "1 {?}"); }

TEST(Format, CutsOffAtTheBuffersEnd) {
    char small[4];
    EXPECT_EQ(format_to(small, "{}", "abcdef"), 4u);
    EXPECT_EQ(std::string(small, 4), "abcd");
}

}  // namespace
}  // namespace kiln
