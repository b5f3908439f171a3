#include "lib/prepare.hpp"

#include <cstdlib>

#include <gtest/gtest.h>

#include <kiln/abi/formats/initrd.hpp>
#include <kiln/abi/formats/launch.hpp>

#include "lib/cpio.hpp"
#include "lib/error.hpp"
#include "lib/process.hpp"
#include "lib/program.hpp"
#include "lib/root_tree.hpp"
#include "lib/test_elf.hpp"
#include "lib/test_folder.hpp"

namespace kiln::tool {
namespace {

using test::bytes_of;
using test::make_elf;
using test::TestFolder;

constexpr std::uint64_t kMiB = 1 << 20;

int status_of(const std::function<void()>& action, std::string* message = nullptr) {
    try {
        action();
        return 0;
    } catch (const Error& error) {
        if (message != nullptr) {
            *message = error.what();
        }
        return error.status();
    }
}

int inspect(const TestFolder& root, const std::string& path, Program* out = nullptr,
            std::string* message = nullptr) {
    const RootView view{root.path()};
    LibraryFinder libraries{view, EM_X86_64, ""};
    return status_of(
        [&] {
            Program program = inspect_program(view, libraries, path, "/usr/bin:/bin",
                                              MissingLibraries::kAreAnError);
            if (out != nullptr) {
                *out = std::move(program);
            }
        },
        message);
}

TEST(Program, GivesTheStatusOfAShell) {
    const TestFolder root;
    root.program("static", make_elf({}));
    root.file("no-x", make_elf({}));
    root.program("empty", "");
    root.program("text", "hello\n");
    root.program("cut", make_elf({}).substr(0, 100));
    std::string small = make_elf({});
    small[EI_CLASS] = ELFCLASS32;
    root.program("elf32", small);
    root.program("arm", make_elf({.machine = EM_AARCH64}));
    root.program("no-ld", make_elf({.interpreter = "/lib/ld.so"}));
    root.program("bad-ld", make_elf({.interpreter = "/text"}));
    root.program("lib64/ld.so", make_elf({}));
    root.program("no-lib", make_elf({.interpreter = "/lib64/ld.so", .needed = {"libgone.so"}}));
    root.program("script", "#!/gone\n");
    root.program("loop", "#!/loop\n");
    root.program("relative", "#!sh\n");
    EXPECT_EQ(inspect(root, "/static"), 0);
    EXPECT_EQ(inspect(root, "/gone"), 127);
    EXPECT_EQ(inspect(root, "/lib64"), 126);
    EXPECT_EQ(inspect(root, "/no-x"), 126);
    EXPECT_EQ(inspect(root, "/empty"), 126);
    EXPECT_EQ(inspect(root, "/text"), 126);
    EXPECT_EQ(inspect(root, "/cut"), 126);
    EXPECT_EQ(inspect(root, "/elf32"), 126);
    EXPECT_EQ(inspect(root, "/arm"), 126);
    EXPECT_EQ(inspect(root, "/bad-ld"), 126);
    EXPECT_EQ(inspect(root, "/no-ld"), 127);
    EXPECT_EQ(inspect(root, "/loop"), 126);
    EXPECT_EQ(inspect(root, "/relative"), 126);
    std::string message;
    EXPECT_EQ(inspect(root, "/no-lib", nullptr, &message), 127);
    EXPECT_EQ(message, "/no-lib: shared library libgone.so is missing");
    EXPECT_EQ(inspect(root, "/script", nullptr, &message), 127);
    EXPECT_EQ(message, "/gone (the interpreter of /script): no such file");
    EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(Program, FollowsScripts) {
    const TestFolder root;
    root.program("bin/sh", make_elf({}));
    root.program("usr/bin/py", make_elf({}));
    root.program("a", "#! /b  -x y \n");
    root.program("b", "#!/bin/sh\n");
    root.program("e", "#!/usr/bin/env py\n");
    root.program("s", "#!/usr/bin/env -S py -u\n");
    Program program;
    ASSERT_EQ(inspect(root, "/a", &program), 0);
    EXPECT_EQ(program.path, "/a");
    EXPECT_EQ(program.files, (std::vector<std::string>{"/a", "/b", "/bin/sh"}));
    EXPECT_TRUE(program.prefix.empty());
    ASSERT_EQ(inspect(root, "/e", &program), 0);
    EXPECT_EQ(program.path, "/usr/bin/py");
    EXPECT_EQ(program.prefix, (std::vector<std::string>{"py", "/e"}));
    ASSERT_EQ(inspect(root, "/s", &program), 0);
    EXPECT_EQ(program.prefix, (std::vector<std::string>{"py", "-u", "/s"}));
}

TEST(Program, ReadsShebangsAsLinuxDoes) {
    EXPECT_EQ(parse_shebang("#!/bin/sh\n")->interpreter, "/bin/sh");
    EXPECT_EQ(parse_shebang("#! \t/bin/sh -e -x  \nmore")->argument, "-e -x");
    EXPECT_EQ(parse_shebang("#!/bin/sh")->interpreter, "/bin/sh");
    EXPECT_EQ(parse_shebang("#!\n"), std::nullopt);
    EXPECT_EQ(parse_shebang("#!"), std::nullopt);
    EXPECT_EQ(parse_shebang("/bin/sh"), std::nullopt);
}

TEST(Launch, ReaderReadsWhatTheWriterWrites) {
    Launch launch;
    launch.path = "/bin/app";
    launch.working_directory = "/w";
    launch.hostname = "host";
    launch.arguments = {"app", "", "a b", std::string(1000, 'x')};
    launch.environment = {"A=1", "B="};
    launch.flags = abi::kLaunchStdinEscaped;
    launch.uid = 7;
    launch.tty_rows = 25;
    const std::string record = encode_launch(launch);
    const std::string padded = record + std::string(100, '\0');
    const auto parsed = abi::parse_launch(bytes_of(padded));
    ASSERT_FALSE(parsed.error);
    EXPECT_EQ(parsed.view.path, "/bin/app");
    EXPECT_EQ(parsed.view.working_directory, "/w");
    EXPECT_EQ(parsed.view.hostname, "host");
    EXPECT_EQ(parsed.view.header.uid, 7u);
    EXPECT_EQ(parsed.view.header.tty_rows, 25);
    auto arguments = parsed.view.argv();
    for (const std::string& argument : launch.arguments) {
        EXPECT_EQ(arguments.next(), argument);
    }
    EXPECT_EQ(arguments.next(), std::nullopt);
    auto environment = parsed.view.env();
    EXPECT_EQ(environment.next(), "A=1");
    EXPECT_EQ(environment.next(), "B=");
    for (std::size_t length = 0; length < record.size(); ++length) {
        EXPECT_TRUE(abi::parse_launch(bytes_of(record.substr(0, length))).error) << length;
    }
}

TEST(Launch, RefusesHostileRecords) {
    Launch launch;
    launch.path = "/a";
    launch.arguments = {"a"};
    const auto with = [&](std::size_t offset, std::uint32_t value) {
        std::string record = encode_launch(launch) + std::string(64, '\0');
        test::poke(record, offset, value);
        return abi::parse_launch(bytes_of(record)).error;
    };
    EXPECT_EQ(with(0, 0), abi::LaunchError::kNotALaunchRecord);
    EXPECT_EQ(with(8, 2), abi::LaunchError::kVersion);
    EXPECT_EQ(with(12, 0xffffffff), abi::LaunchError::kTooLarge);
    EXPECT_EQ(with(12, 8), abi::LaunchError::kTruncated);
    EXPECT_EQ(with(12, 1000), abi::LaunchError::kTruncated);
    EXPECT_EQ(with(16, 0xffffffff), abi::LaunchError::kStrings);
    EXPECT_EQ(with(16, 0), abi::LaunchError::kStrings);
    EXPECT_EQ(with(20, 1), abi::LaunchError::kStrings);
    launch.path = "relative";
    EXPECT_EQ(abi::parse_launch(bytes_of(encode_launch(launch))).error,
              abi::LaunchError::kNoProgram);
    launch.arguments = {std::string(200'000, 'x')};
    EXPECT_EQ(status_of([&] { encode_launch(launch); }), 126);
    launch.arguments.assign(30, std::string(100'000, 'x'));
    EXPECT_EQ(status_of([&] { encode_launch(launch); }), 126);
    launch.arguments = {std::string{"a\0b", 3}};
    EXPECT_EQ(status_of([&] { encode_launch(launch); }), 125);
}

TEST(Environment, IsDockersWithOnesOwn) {
    const auto environment = make_environment("box", 0, nullptr, {"A=1", "HOME=/x", "A=2"});
    EXPECT_EQ(environment[1], "HOSTNAME=box");
    EXPECT_EQ(environment[2], "HOME=/x");
    EXPECT_EQ(environment[3], "A=2");
    EXPECT_EQ(environment.size(), 4u);
    EXPECT_EQ(make_environment("box", 5, "xterm", {})[2], "TERM=xterm");
    EXPECT_EQ(make_environment("box", 5, "xterm", {})[3], "HOME=/");
}

TEST(Memory, FollowsTheRule) {
    // kernel + image + 64 MiB + twice the image, in whole MiB.
    EXPECT_EQ(default_memory(2 * kMiB, 10 * kMiB, 0), 96 * kMiB);
    EXPECT_EQ(default_memory(2 * kMiB + 1, 10 * kMiB, 0), 97 * kMiB);
    EXPECT_EQ(default_memory(0, 2048 * kMiB, 0), 3072 * kMiB);
    EXPECT_EQ(default_memory(kMiB, 0, 100 * kMiB), 165 * kMiB);
    EXPECT_EQ(status_of([] { check_memory(16 * kMiB, 2 * kMiB, 10 * kMiB, kMiB); }), 0);
    EXPECT_EQ(status_of([] { check_memory(12 * kMiB, 2 * kMiB, 10 * kMiB, kMiB); }), 125);
    EXPECT_EQ(status_of([] { check_memory(16 * kMiB, 2 * kMiB, kMiB, 20 * kMiB); }), 125);
    EXPECT_EQ(status_of([] { check_memory(16 * kMiB, 2 * kMiB, kMiB, ~std::uint64_t{0}); }), 125);
}

TEST(Volumes, AreParsed) {
    const Volume volume = parse_volume("/tmp:/data/../x:ro");
    EXPECT_EQ(volume.destination, "/x");
    EXPECT_TRUE(volume.read_only);
    for (const char* bad : {"", "/tmp", "/tmp:", "/tmp:rel", ":/x", "/tmp:/x:z", "/tmp:/x:ro:y",
                            "/nonexistent-9:/x", "/tmp:/"}) {
        EXPECT_EQ(status_of([&] { parse_volume(bad); }), 125) << bad;
    }
}

TEST(Cpio, IsReadByCpio) {
    if (find_program("cpio").empty()) {
        GTEST_SKIP() << "no cpio here";
    }
    const TestFolder folder;
    folder.file("in/a", "hello");
    folder.file("in/sub/b", "");
    folder.link("in/l", "a");
    CpioWriter writer{[](const std::string& path) { return path == "/etc"; }};
    writer.add_host(folder.path() / "in", "/etc/in", CpioWriter::Access::kReadOnly);
    folder.file("out.cpio", writer.finish());
    std::filesystem::create_directory(folder.path() / "out");
    const std::string out = (folder.path() / "out").string();
    const ProcessOutput result = run_process({"sh", "-c",
                                              "cd " + out +
                                                  " && mkdir etc && cpio -i --quiet < ../out.cpio "
                                                  "&& find . | sort && stat -c %a etc/in/a"});
    EXPECT_EQ(result.output,
              ".\n./etc\n./etc/in\n./etc/in/a\n./etc/in/l\n./etc/in/sub\n./etc/in/sub/b\n444\n");
    EXPECT_EQ(read_text(folder.path() / "out/etc/in/a"), "hello");
}

// The whole way, on a root file system made for it.
class Prepare : public testing::Test {
protected:
    void SetUp() override {
        if (find_program("mkfs.erofs").empty()) {
            GTEST_SKIP() << "no mkfs.erofs here";
        }
        root_.program("bin/app", make_elf({}));
        root_.file("etc/x", "x");
        request_.target = root_.path().string();
        request_.arguments = {"app", "-v"};
    }
    TestFolder root_;
    TestFolder cache_;
    ProgramRequest request_;
};

TEST_F(Prepare, AFolderIsARootFileSystem) {
    ImageStore store{cache_.path()};
    PreparedProgram first = prepare_program(request_, store);
    EXPECT_EQ(first.launch.path, "/bin/app");
    EXPECT_EQ(first.launch.arguments, (std::vector<std::string>{"app", "-v"}));
    EXPECT_FALSE(first.image.was_cached);
    EXPECT_TRUE(prepare_program(request_, store).image.was_cached);

    root_.file("etc/x", "changed");
    EXPECT_FALSE(prepare_program(request_, store).image.was_cached);

    // The initrd: image, then cpio (the mount points it lacks), then the launch record, each on a
    // page.
    std::uint64_t bytes = 0;
    const UniqueFd fd = assemble_initrd(first, store, bytes);
    EXPECT_EQ(bytes, initrd_bytes(first));
    EXPECT_EQ(bytes % abi::kInitrdPartAlignment, 0u);
    const auto initrd = read_text("/dev/fd/" + std::to_string(fd.get()));
    ASSERT_TRUE(initrd);
    ASSERT_EQ(initrd->size(), bytes);
    EXPECT_EQ(erofs_bytes(fd.get()), first.image.bytes);
    EXPECT_EQ(initrd->substr(first.image.bytes, 6), abi::kCpioMagic);
    const std::size_t launch = initrd->find("KILNLNCH");
    EXPECT_EQ(launch % abi::kInitrdPartAlignment, 0u);
    EXPECT_FALSE(abi::parse_launch(bytes_of(initrd->substr(launch))).error);
}

TEST_F(Prepare, RefusesWhatMakesNoSense) {
    ImageStore store{cache_.path()};
    const auto status = [&](auto&& change) {
        ProgramRequest request = request_;
        change(request);
        return status_of([&] { prepare_program(request, store); });
    };
    EXPECT_EQ(status([](auto& r) { r.arguments.clear(); }), 125);
    EXPECT_EQ(status([](auto& r) { r.arguments = {"gone"}; }), 127);
    EXPECT_EQ(status([](auto& r) { r.arguments = {"/etc/x"}; }), 126);
    EXPECT_EQ(status([](auto& r) { r.bare = true; }), 125);
    EXPECT_EQ(status([](auto& r) { r.packages = {"x"}; }), 125);
    EXPECT_EQ(status([](auto& r) { r.working_directory = "rel"; }), 125);
    EXPECT_EQ(status([](auto& r) { r.rootfs = "/"; }), 125);
    EXPECT_EQ(status([](auto& r) { r.rootfs = "/nonexistent-9"; }), 127);
    EXPECT_EQ(status([](auto& r) { r.target = "/nonexistent-9"; }), 127);
    EXPECT_EQ(status([](auto& r) {
                  r.target = "/bin/true";
                  r.packages = {"no-such-package-9"};
              }),
              125);
}

TEST_F(Prepare, ACutImageIsMadeAnew) {
    ImageStore store{cache_.path()};
    const PreparedProgram first = prepare_program(request_, store);
    std::filesystem::resize_file(first.image.path, 5000);
    EXPECT_FALSE(prepare_program(request_, store).image.was_cached);
    EXPECT_TRUE(prepare_program(request_, store).image.was_cached);
    // Nothing but the images stays behind.
    for (const auto& entry : std::filesystem::directory_iterator{cache_.path()}) {
        EXPECT_EQ(entry.path().filename(), "images");
    }
}

TEST(RootTree, KeepsWhatTheFilesAre) {
    const TestFolder root;
    const TestFolder out;
    root.file("usr/lib/a", "hello", 0644);
    root.program("usr/bin/tool", "x");
    root.link("lib", "usr/lib");
    root.link("usr/lib/link", "a");
    root.link("usr/lib/dangling", "/gone");
    std::filesystem::create_hard_link(root.path() / "usr/lib/a", root.path() / "usr/lib/b");
    const RootView view{root.path()};
    RootTree tree{view};
    EXPECT_TRUE(tree.add_path("/lib/link"));
    EXPECT_TRUE(tree.add_path("/usr/lib/b"));
    EXPECT_TRUE(tree.add_path("/usr/lib/dangling"));
    EXPECT_TRUE(tree.add_path("/usr/bin/tool"));
    EXPECT_FALSE(tree.add_path("/gone"));
    tree.add_directory("/tmp", 01777);
    tree.add_file("/etc/made", "up", 0600);
    EXPECT_EQ(tree.canonicalize("/lib/../lib/new/file"), "/usr/lib/new/file");
    tree.stage(out.path());
    const std::string script =
        "cd " + out.path().string() +
        " && find . | sort && readlink lib usr/lib/link usr/lib/dangling && cat "
        "usr/lib/b && stat -c '%a %h' usr/lib/a usr/bin/tool tmp etc/made | "
        "head -2 && test usr/lib/a -ef usr/lib/b && echo same";
    EXPECT_EQ(run_process({"sh", "-c", script}).output,
              ".\n./etc\n./etc/made\n./lib\n./tmp\n./usr\n./usr/bin\n./usr/bin/tool\n./usr/lib\n"
              "./usr/lib/a\n./usr/lib/b\n./usr/lib/dangling\n./usr/lib/link\nusr/lib\na\n/gone\n"
              "hello644 2\n755 1\nsame\n");
    EXPECT_EQ(std::filesystem::last_write_time(out.path() / "usr/lib/a"),
              std::filesystem::last_write_time(root.path() / "usr/lib/a"));
}

TEST_F(Prepare, TheSameContentsGiveTheSameImage) {
    ProgramRequest request;
    request.target = (root_.path() / "bin/app").string();
    request.bare = true;
    const TestFolder other;
    ImageStore one{cache_.path()};
    ImageStore two{other.path()};
    const auto first = read_text(prepare_program(request, one).image.path);
    ::sleep(1);  // the superblock has the time in seconds
    const auto second = read_text(prepare_program(request, two).image.path);
    EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace kiln::tool
