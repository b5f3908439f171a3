#include "lib/syscall_scan.hpp"

#include <cstring>

#include <gtest/gtest.h>

#include "lib/file.hpp"
#include "lib/libraries.hpp"
#include "lib/process.hpp"
#include "lib/syscall_names.hpp"
#include "lib/test_elf.hpp"
#include "lib/test_folder.hpp"

namespace kiln::tool {
namespace {

ScanResult scan(const std::string& code) {
    ScanResult result;
    scan_code(test::bytes_of(code), 0x1000, "test", result);
    return result;
}

std::string bytes(std::initializer_list<int> values) { return {values.begin(), values.end()}; }

TEST(SyscallScan, FindsTheNumber) {
    // mov $0x3c,%eax; xor %edi,%edi; syscall
    const ScanResult exit = scan(bytes({0xb8, 0x3c, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05}));
    ASSERT_EQ(exit.calls.size(), 1u);
    EXPECT_EQ(exit.calls.begin()->first, 60u);
    EXPECT_EQ(syscall_name(60), "exit");
    // xor %eax,%eax; syscall
    EXPECT_TRUE(scan(bytes({0x90, 0x90, 0x31, 0xc0, 0x0f, 0x05})).calls.contains(0));
    // mov %ebx,%eax; syscall: not visible
    const ScanResult unknown = scan(bytes({0x90, 0x90, 0x89, 0xd8, 0x0f, 0x05}));
    EXPECT_TRUE(unknown.calls.empty());
    EXPECT_EQ(unknown.unknown_sites, 1u);
    // mov $1,%eax; call; syscall: the call changed eax
    EXPECT_TRUE(scan(bytes({0xb8, 1, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x0f, 0x05})).calls.empty());
}

TEST(SyscallScan, PassesOverTheSameBytesInsideAnInstruction) {
    // mov $0x050f3412,%ecx
    const ScanResult result = scan(bytes({0x90, 0x90, 0x90, 0xb9, 0x12, 0x34, 0x0f, 0x05}));
    EXPECT_TRUE(result.calls.empty());
    EXPECT_TRUE(scan("\x0f").calls.empty());
    EXPECT_TRUE(scan("").calls.empty());
}

TEST(SyscallScan, FindsSpecialFiles) {
    ScanResult result;
    scan_strings(test::bytes_of(std::string{
                     "\0/proc/self/maps\0x/dev/null\0/dev/\0/sys/k\1\0/sys/kernel", 53}),
                 "test", result);
    ASSERT_EQ(result.files.size(), 1u);
    EXPECT_EQ(result.files.begin()->first, "/proc/self/maps");
}

// A program of this machine's C library: what it calls is found through libc, and what it does not
// call is not.
TEST(SyscallScan, FollowsLibc) {
    const test::TestFolder folder;
    folder.file("a.c",
                "#include <sys/socket.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n"
                "int main(void) { return socket(1, 1, 0) + (int)getppid(); }\n");
    const std::string program = (folder.path() / "a").string();
    if (run_process({"cc", "-o", program, (folder.path() / "a.c").string()}).status != 0) {
        GTEST_SKIP() << "no C compiler here";
    }
    const RootView root{"/"};
    LibraryFinder libraries{root, EM_X86_64, ""};
    const ScanResult result = scan_program(root, program, libraries.needs_of(program).files);
    EXPECT_TRUE(result.calls.contains(41)) << "socket";
    EXPECT_TRUE(result.calls.contains(110)) << "getppid";
    EXPECT_TRUE(result.calls.contains(231)) << "exit_group";
    EXPECT_TRUE(result.calls.contains(9)) << "mmap, by ld.so";
    EXPECT_FALSE(result.calls.contains(175)) << "init_module";
    EXPECT_FALSE(result.calls.contains(165)) << "mount";
    EXPECT_FALSE(result.calls.contains(49)) << "bind";
}

}  // namespace
}  // namespace kiln::tool
