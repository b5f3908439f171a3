#include "decode.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include <kiln/arch/host.hpp>

namespace kiln::syscalls {
namespace {

std::uint64_t raw(const void* p) { return reinterpret_cast<std::uint64_t>(p); }

std::string decode(const char* name, const char* letters,
                   std::initializer_list<std::uint64_t> values, std::int64_t result = 0) {
    char buffer[512];
    Line line(buffer);
    std::uint64_t arguments[6] = {};
    std::size_t i = 0;
    for (const std::uint64_t v : values) arguments[i++] = v;
    decode_call(line, name, letters, arguments, result);
    decode_result(line, name, result);
    return std::string(line.view());
}

TEST(Decode, OpenShowsNamesAndFlags) {
    const char path[] = "/etc/passwd";
    EXPECT_EQ(decode("openat", "asOo",
                     {static_cast<std::uint64_t>(-100), raw(path), O_RDONLY | O_CLOEXEC, 0}, 3),
              "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC, 00) = 3");
    EXPECT_EQ(decode("openat", "asOo", {5, raw(path), O_RDWR | O_CREAT, 0644}, -13),
              "openat(5, \"/etc/passwd\", O_RDWR|O_CREAT, 0644) = -1 EACCES (13)");
}

TEST(Decode, BuffersAreQuotedAndCut) {
    const std::string text = "hi\n\"\x01";
    EXPECT_EQ(decode("write", "fbu", {1, raw(text.data()), text.size()}, 5),
              "write(1, \"hi\\n\\\"\\x01\", 5) = 5");
    const std::string longer(100, 'a');
    EXPECT_EQ(decode("write", "fbu", {1, raw(longer.data()), longer.size()}, 100),
              "write(1, \"" + std::string(64, 'a') + "\"..., 100) = 100");
    EXPECT_EQ(decode("read", "fBu", {0, raw(longer.data()), 50}, 2), "read(0, \"aa\", 50) = 2");
}

TEST(Decode, BadPointersAreShownAsNumbers) {
    EXPECT_EQ(decode("open", "sOo", {16, 0, 0}, -14), "open(0x10, O_RDONLY, 00) = -1 EFAULT (14)");
    EXPECT_EQ(decode("write", "fbu", {1, 16, 3}, -14), "write(1, 0x10, 3) = -1 EFAULT (14)");
    EXPECT_EQ(decode("execve", "sVV", {0, 16, 0}, -14), "execve(NULL, [], []) = -1 EFAULT (14)");
}

TEST(Decode, AStringMayEndBeforeABadPage) {
    const char text[] = {'a', 'b', 'c', 'd'};
    host::set_bad_user_range(text + 2, 100);
    EXPECT_EQ(decode("chdir", "s", {raw(text)}), "chdir(\"ab\") = 0");
    host::set_bad_user_range(nullptr, 0);
}

TEST(Decode, MemoryCalls) {
    EXPECT_EQ(decode("mmap", "puPMfx", {0, 8192, 3, 0x22, static_cast<std::uint64_t>(-1), 0},
                     0x7f0000001000),
              "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0) = "
              "0x7f0000001000");
    EXPECT_EQ(decode("mprotect", "puP", {0x1000, 4096, 0}),
              "mprotect(0x1000, 4096, PROT_NONE) = 0");
}

TEST(Decode, UnknownBitsAndNumbersStayVisible) {
    EXPECT_EQ(decode("mmap", "M", {0x40000002 | 0x80000000}), "mmap(MAP_PRIVATE|0xc0000000) = 0x0");
    EXPECT_EQ(decode("clock_gettime", "C", {99}), "clock_gettime(0x63) = 0");
    EXPECT_EQ(decode("kill", "dS", {1, 15}), "kill(1, SIGTERM) = 0");
    EXPECT_EQ(decode("kill", "dS", {1, 34}), "kill(1, 34) = 0");
    EXPECT_EQ(decode("x", "?", {1}, -4000), "x(?1) = -1 error (4000)");
}

TEST(Decode, NeverWritesBeyondTheLine) {
    char buffer[16];
    for (char& c : buffer) c = 'Z';
    Line line(std::span<char>(buffer, 8));
    const char path[] = "/a/long/name/that/does/not/fit";
    decode_argument(line, 's', raw(path), {0, 0});
    EXPECT_EQ(line.size(), 8u);
    EXPECT_EQ(buffer[8], 'Z');
}

}  // namespace
}  // namespace kiln::syscalls
