#include "lib/text.hpp"

#include <gtest/gtest.h>

#include "lib/error.hpp"
#include "lib/process.hpp"

namespace kiln::tool {
namespace {

TEST(Text, QuotesWhatAShellWouldChange) {
    EXPECT_EQ(shell_quote("plain-1.2/x=y"), "plain-1.2/x=y");
    EXPECT_EQ(shell_quote(""), "''");
    EXPECT_EQ(shell_quote("a b"), "'a b'");
    EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
    EXPECT_EQ(shell_quote("~"), "'~'");
}

TEST(Text, AShellReadsQuotedWordsBack) {
    const std::vector<std::string> words = {"a b", "$HOME",       "it's",      "\"q\"", "",
                                            "*",   "back\\slash", "new\nline", "ü"};
    std::string expected;
    for (const std::string& word : words) {
        expected += word + "|";
    }
    EXPECT_EQ(run_process({"sh", "-c", "printf '%s|' " + shell_join(words)}).output, expected);
}

TEST(Text, ParsesSizes) {
    EXPECT_EQ(parse_size("64", "-m"), 64u << 20);
    EXPECT_EQ(parse_size("64M", "-m"), 64u << 20);
    EXPECT_EQ(parse_size("1280k", "-m"), 1280u << 10);
    EXPECT_EQ(parse_size("2GiB", "-m"), std::uint64_t{2} << 30);
    for (const char* bad :
         {"", "0", "M", "-1", "1.5G", "64X", "99999999999999999999", "9999999999T", "64 M"}) {
        EXPECT_THROW(parse_size(bad, "-m"), Error) << bad;
    }
}

TEST(Text, FingerprintsTellItemsApart) {
    const auto of = [](std::initializer_list<std::string_view> items) {
        Fingerprint fingerprint;
        for (const std::string_view item : items) {
            fingerprint.add(item);
        }
        return fingerprint.hex();
    };
    EXPECT_EQ(of({"ab", "c"}), of({"ab", "c"}));
    EXPECT_NE(of({"ab", "c"}), of({"a", "bc"}));
    EXPECT_NE(of({"a", ""}), of({"a"}));
    // FNV-1a of 128 bits, "" after one end mark is not the basis.
    EXPECT_EQ(of({}), "6c62272e07bb014262b821756295c58d");
}

}  // namespace
}  // namespace kiln::tool
