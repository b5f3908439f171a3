#include "lib/libraries.hpp"

#include <gtest/gtest.h>

#include "lib/test_elf.hpp"
#include "lib/test_folder.hpp"

namespace kiln::tool {
namespace {

using test::make_elf;
using test::TestFolder;

std::vector<std::string> files_of(const TestFolder& root, const std::string& program,
                                  const std::string& library_path = "") {
    const RootView view{root.path()};
    return LibraryFinder{view, EM_X86_64, library_path}.needs_of(program).files;
}

TEST(Libraries, FollowsNeededLibrariesAndTheInterpreter) {
    const TestFolder root;
    root.program("bin/app", make_elf({.interpreter = "/lib64/ld.so", .needed = {"liba.so"}}));
    root.program("lib64/ld.so", make_elf({}));
    root.file("usr/lib/x86_64-linux-gnu/liba.so", make_elf({.needed = {"libb.so", "liba.so"}}));
    root.link("usr/lib/x86_64-linux-gnu/libb.so", "libb.so.1");
    root.file("usr/lib/x86_64-linux-gnu/libb.so.1", make_elf({}));
    EXPECT_EQ(files_of(root, "/bin/app"),
              (std::vector<std::string>{"/lib64/ld.so", "/usr/lib/x86_64-linux-gnu/liba.so",
                                        "/usr/lib/x86_64-linux-gnu/libb.so"}));
}

TEST(Libraries, AStaticProgramNeedsNothing) {
    const TestFolder root;
    root.program("bin/app", make_elf({.needed = {"liba.so"}}));
    EXPECT_TRUE(files_of(root, "/bin/app").empty());
}

TEST(Libraries, NamesWhatIsMissing) {
    const TestFolder root;
    root.program("bin/app", make_elf({.interpreter = "/lib64/ld.so", .needed = {"liba.so"}}));
    const RootView view{root.path()};
    EXPECT_TRUE(LibraryFinder(view, EM_X86_64, "").needs_of("/bin/app").missing_interpreter);
    root.program("lib64/ld.so", make_elf({}));
    root.file("lib/liba.so", make_elf({.needed = {"libgone.so"}}));
    const RootView again{root.path()};
    const ElfNeeds needs = LibraryFinder{again, EM_X86_64, ""}.needs_of("/bin/app");
    ASSERT_EQ(needs.missing.size(), 1u);
    EXPECT_EQ(needs.missing[0].library, "libgone.so");
    EXPECT_EQ(needs.missing[0].needed_by, "/lib/liba.so");
}

TEST(Libraries, SearchesInTheOrderOfLdSo) {
    // RPATH, then LD_LIBRARY_PATH, then the default folders; RUNPATH turns RPATH off and comes
    // after LD_LIBRARY_PATH.
    const TestFolder root;
    root.program("lib64/ld.so", make_elf({}));
    for (const char* dir : {"rpath", "env", "opt/lib", "lib"}) {
        root.file(std::string{dir} + "/liba.so", make_elf({}));
    }
    root.program(
        "opt/bin/rpath",
        make_elf({.interpreter = "/lib64/ld.so", .needed = {"liba.so"}, .rpath = "/rpath"}));
    root.program("opt/bin/runpath", make_elf({.interpreter = "/lib64/ld.so",
                                              .needed = {"liba.so"},
                                              .rpath = "/rpath",
                                              .runpath = "/nowhere:$ORIGIN/../lib"}));
    EXPECT_EQ(files_of(root, "/opt/bin/rpath", "/env").back(), "/rpath/liba.so");
    EXPECT_EQ(files_of(root, "/opt/bin/runpath", "/env").back(), "/env/liba.so");
    EXPECT_EQ(files_of(root, "/opt/bin/runpath").back(), "/opt/lib/liba.so");
}

TEST(Libraries, PassesOverLibrariesOfAnotherProcessor) {
    const TestFolder root;
    root.program("lib64/ld.so", make_elf({}));
    root.program("bin/app", make_elf({.interpreter = "/lib64/ld.so", .needed = {"liba.so"}}));
    root.file("lib/x86_64-linux-gnu/liba.so", make_elf({.machine = EM_386}));
    root.file("lib/liba.so", make_elf({}));
    EXPECT_EQ(files_of(root, "/bin/app").back(), "/lib/liba.so");
}

TEST(Libraries, ReadsLdSoConfWhereThereIsNoCache) {
    const TestFolder root;
    root.program("lib64/ld.so", make_elf({}));
    root.program("bin/app", make_elf({.interpreter = "/lib64/ld.so", .needed = {"liba.so"}}));
    root.file("etc/ld.so.conf", "# comment\ninclude /etc/ld.so.conf.d/*.conf\n");
    root.file("etc/ld.so.conf.d/x.conf", "/opt/x\n");
    root.file("opt/x/liba.so", make_elf({}));
    EXPECT_EQ(files_of(root, "/bin/app").back(), "/opt/x/liba.so");
}

TEST(Libraries, UsesTheCache) {
    const TestFolder root;
    root.program("lib64/ld.so", make_elf({}));
    root.program("bin/app", make_elf({.interpreter = "/lib64/ld.so", .needed = {"liba.so"}}));
    root.file("opt/y/liba.so", make_elf({}));
    root.file("etc/ld.so.cache",
              write_ld_cache({{"liba.so", "/opt/y/liba.so", kLdCacheX8664, 0, 0}}));
    EXPECT_EQ(files_of(root, "/bin/app").back(), "/opt/y/liba.so");
}

TEST(Libraries, MuslHasItsOwnRules) {
    const TestFolder root;
    root.program("lib/ld-musl-x86_64.so.1", make_elf({}));
    root.program("bin/app", make_elf({.interpreter = "/lib/ld-musl-x86_64.so.1",
                                      .needed = {"libc.so", "liba.so"}}));
    root.file("lib/x86_64-linux-gnu/liba.so", make_elf({}));
    root.file("opt/m/liba.so", make_elf({}));
    root.file("etc/ld-musl-x86_64.path", "/opt/m\n");
    // libc.so is the interpreter itself; glibc's default folders are none of musl's.
    EXPECT_EQ(files_of(root, "/bin/app"),
              (std::vector<std::string>{"/lib/ld-musl-x86_64.so.1", "/opt/m/liba.so"}));
}

TEST(RootView, StaysInsideTheRoot) {
    const TestFolder root;
    root.file("etc/passwd", "inside");
    root.link("absolute", "/etc/passwd");
    root.link("up", "../../../../../../etc/passwd");
    root.link("loop", "loop");
    root.link("folder", "/etc");
    const RootView view{root.path()};
    EXPECT_EQ(view.read_text("/absolute"), "inside");
    EXPECT_EQ(view.read_text("/up"), "inside");
    EXPECT_EQ(view.read_text("/folder/../folder/passwd"), "inside");
    EXPECT_EQ(view.resolve("/loop"), std::nullopt);
    EXPECT_EQ(view.resolve("/etc/passwd/x"), std::nullopt);
    const auto found = view.resolve("/folder/passwd");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->path, "/etc/passwd");
    EXPECT_EQ(found->symlinks, std::vector<std::string>{"/folder"});
}

TEST(LdCache, SurvivesEveryPrefix) {
    const std::vector<LdCacheEntry> entries = {{"libb.so", "/b/libb.so", kLdCacheX8664, 0, 0},
                                               {"liba.so", "/a/liba.so", kLdCacheX8664, 0, 7}};
    const std::string cache = write_ld_cache(entries);
    const auto back = parse_ld_cache(test::bytes_of(cache));
    ASSERT_EQ(back.size(), 2u);
    EXPECT_EQ(back[0].path, "/b/libb.so");
    EXPECT_EQ(back[1].hwcap, 7u);
    for (std::size_t length = 0; length < cache.size(); ++length) {
        EXPECT_LE(parse_ld_cache(test::bytes_of(cache.substr(0, length))).size(), 2u);
    }
}

TEST(LdCache, ReadsThisMachinesOwn) {
    const auto file = MappedFile::try_open("/etc/ld.so.cache");
    if (!file) {
        GTEST_SKIP() << "no /etc/ld.so.cache here";
    }
    bool has_libc = false;
    for (const LdCacheEntry& entry : parse_ld_cache(file->bytes())) {
        has_libc = has_libc || entry.name == "libc.so.6";
    }
    EXPECT_TRUE(has_libc);
}

}  // namespace
}  // namespace kiln::tool
