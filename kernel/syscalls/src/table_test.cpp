#include "table.hpp"

#include <asm/unistd.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <string>

#include "adapt.hpp"
#include "handlers.hpp"

namespace kiln::syscalls {
namespace {

struct Row {
    std::uint32_t number;
    const char* name;
    const char* level;
    const char* arguments;
    const char* note;
};
constexpr Row kRows[] = {
#define KILN_SYSCALL(number, name, level, args, note) {number, #name, #level, args, note},
#include "../table.def"
#undef KILN_SYSCALL
};

TEST(SyscallTable, EachNumberAndNameStandsOnce) {
    std::set<std::uint32_t> numbers;
    std::set<std::string> names;
    for (const Row& row : kRows) {
        EXPECT_TRUE(numbers.insert(row.number).second) << row.number;
        EXPECT_TRUE(names.insert(row.name).second) << row.name;
        EXPECT_LT(row.number, kSyscallCount);
    }
    EXPECT_TRUE(numbers.contains(kSyscallCount - 1));
}

TEST(SyscallTable, NumbersAreThoseOfTheHostsHeaders) {
#ifdef __x86_64__
    const std::map<std::string, std::uint32_t> host = {
        {"read", __NR_read},
        {"mmap", __NR_mmap},
        {"rt_sigreturn", __NR_rt_sigreturn},
        {"futex", __NR_futex},
        {"openat", __NR_openat},
        {"exit_group", __NR_exit_group},
        {"prlimit64", __NR_prlimit64},
        {"getrandom", __NR_getrandom},
        {"statx", __NR_statx},
        {"clone3", __NR_clone3},
        {"faccessat2", __NR_faccessat2},
    };
    for (const Row& row : kRows) {
        const auto it = host.find(row.name);
        EXPECT_EQ(it == host.end() ? row.number : it->second, row.number) << row.name;
    }
#endif
}

TEST(SyscallTable, PartialSupportIsExplained) {
    for (const Row& row : kRows) {
        EXPECT_TRUE(std::string(row.level) != "partial" || *row.note != 0) << row.name;
    }
}

TEST(SyscallTable, HandlersStandWhereTheTableSaysSo) {
    for (const Row& row : kRows)
        EXPECT_EQ(has_handler(row.number), std::string(row.level) != "none") << row.name;
    EXPECT_FALSE(has_handler(400));
    EXPECT_FALSE(has_handler(UINT32_MAX));
    EXPECT_EQ(syscall_name(0), "read");
    EXPECT_EQ(syscall_name(400), "");
}

TEST(SyscallTable, LettersAreKnownToTheDecoder) {
    for (const Row& row : kRows)
        EXPECT_EQ(std::strspn(row.arguments, "fadxuopsbBOPMSFCTnImvkAV"),
                  std::strlen(row.arguments))
            << row.name;
}

TEST(SyscallTable, AbsentAndUnknownCallsAreEnosys) {
    hal::TrapFrame frame{};
    for (const std::uint64_t number : {std::uint64_t{__NR_ptrace}, std::uint64_t{350},
                                       std::uint64_t{100000}, ~std::uint64_t{0}}) {
        frame.orig_rax = number;
        EXPECT_EQ(run_syscall(frame), -38) << number;
    }
}

Status probe(int fd, UserPtr<void> p, std::size_t n) {
    EXPECT_EQ(fd, -1);
    EXPECT_EQ(p.address(), 0x1000u);
    EXPECT_EQ(n, ~std::size_t{0});
    return Errno::kEBADF;
}
Status answer() { return -5; }

TEST(Adapt, TurnsRegistersIntoArguments) {
    // The upper half of an int argument is not looked at.
    EXPECT_EQ(adapt<&probe>(0xffffffff, 0x1000, ~0ull, 1, 2, 3).error(), Errno::kEBADF);
    EXPECT_EQ(adapt<&answer>(0, 0, 0, 0, 0, 0).value(), -5);
}

}  // namespace
}  // namespace kiln::syscalls
