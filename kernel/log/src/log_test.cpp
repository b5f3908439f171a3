#include <kiln/log/log.hpp>

#include <gtest/gtest.h>

#include <string>

namespace kiln::log {
namespace {

std::string read_from(std::uint64_t position) {
    std::string all;
    char part[300];
    for (std::size_t n; (n = read(&position, part)) != 0;) all.append(part, n);
    return all;
}

class LogTest : public testing::Test {
protected:
    void SetUp() override {
        console_level = Level::kError;
        ring_level = Level::kInfo;
    }
};

TEST_F(LogTest, KeepsLinesWithLevelAndTime) {
    set_clock(+[]() -> std::uint64_t { return 12'000'345'678; });
    const std::uint64_t begin = end();
    warn("vfs", "a {} c", 7);
    debug("vfs", "not kept");
    info("mem", "second");
    set_clock(nullptr);
    EXPECT_EQ(read_from(begin), "<4>[   12.000345] vfs: a 7 c\n<6>[   12.000345] mem: second\n");
}

TEST_F(LogTest, CutsLongLines) {
    const std::uint64_t begin = end();
    warn("x", "{}", std::string(1000, 'y'));
    const std::string text = read_from(begin);
    EXPECT_EQ(text.size(), kMaxLine);
    EXPECT_EQ(text.back(), '\n');
}

TEST_F(LogTest, AReaderThatIsTooLateStartsAtAWholeLine) {
    const std::uint64_t begin = end();
    for (int i = 0; i < 2000; ++i) info("x", "line {}", i);
    const std::string text = read_from(begin);
    EXPECT_LE(text.size(), kRingBytes);
    EXPECT_EQ(text.front(), '<');
    EXPECT_TRUE(text.ends_with("x: line 1999\n"));
}

TEST_F(LogTest, Once) {
    Once once;
    EXPECT_TRUE(once());
    EXPECT_FALSE(once());
}

}  // namespace
}  // namespace kiln::log
