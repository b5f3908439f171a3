#include <kiln/init/command_line.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kiln::init {
namespace {

std::vector<std::string> words(std::string text) {
    WordReader reader(text);
    std::vector<std::string> all;
    for (std::string_view w; reader.next(&w);) all.emplace_back(w);
    return all;
}

using Words = std::vector<std::string>;

TEST(CommandLine, Words) {
    EXPECT_EQ(words(""), Words{});
    EXPECT_EQ(words("  a=1\tb "), (Words{"a=1", "b"}));
    EXPECT_EQ(words(R"(a="x y" -- "" c\ d \"q\")"), (Words{"a=x y", "--", "", "c d", "\"q\""}));
}

TEST(CommandLine, UnendedQuoteAndBackslashAtTheEnd) {
    EXPECT_EQ(words(R"(a "b c)"), (Words{"a", "b c"}));
    EXPECT_EQ(words(R"(a\)"), (Words{R"(a\)"}));
}

}  // namespace
}  // namespace kiln::init
