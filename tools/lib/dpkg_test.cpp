#include "lib/dpkg.hpp"

#include <gtest/gtest.h>

#include "lib/test_folder.hpp"

namespace kiln::tool {
namespace {

using test::TestFolder;

constexpr const char* kStatus = R"(Package: app
Status: install ok installed
Architecture: amd64
Multi-Arch: foreign
Version: 1:2.0-1
Depends: liba (>= 1.0), debconf (>= 0.5) | debconf-2.0, gone | mail-agent,
 libb:any [amd64]
Description: an app
 Depends: not this one

Package: liba
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Pre-Depends: libb
Version: 1

Package: libb
Status: hold ok installed
Architecture: amd64
Depends: liba
Version: 1

Package: postbox
Status: install ok installed
Architecture: all
Provides: mail-agent (= 1), other
Version: 1

Package: debconf
Status: install ok installed
Architecture: all
Version: 1

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1
)";

std::vector<std::string> names_of(const std::vector<const DebPackage*>& packages) {
    std::vector<std::string> names;
    for (const DebPackage* package : packages) {
        names.push_back(package->name);
    }
    return names;
}

TestFolder& folder() {
    static TestFolder instance;
    return instance;
}

DpkgDatabase open_database() {
    folder().file("status", kStatus);
    folder().file("info/app.list", "/.\n/usr\n/usr/bin\n/usr/bin/app\n/bin/tool\n/etc/diverted\n");
    folder().file("info/liba:amd64.list",
                  "/.\n/lib\n/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu/liba.so.1\n");
    folder().file("info/libb:amd64.list", "/.\n/etc/diverted\n");
    folder().file("diversions", "/etc/diverted\n/etc/diverted.app\nlibb\n");
    folder().file("alternatives/editor",
                  "auto\n/usr/bin/editor\neditor.1.gz\n/usr/share/man/man1/editor.1.gz\n\n/usr/bin/"
                  "app\n10\n\n");
    return *DpkgDatabase::open(folder().path());
}

TEST(Dpkg, ParsesDependencies) {
    using Groups = std::vector<std::vector<std::string>>;
    EXPECT_EQ(parse_dependencies(" a (>= 1), b | c:any , d [amd64] <!x>"),
              (Groups{{"a"}, {"b", "c"}, {"d"}}));
    EXPECT_EQ(parse_dependencies(""), Groups{});
    EXPECT_EQ(parse_dependencies(" , |,"), Groups{});
}

TEST(Dpkg, KnowsInstalledPackagesOnly) {
    const DpkgDatabase database = open_database();
    ASSERT_NE(database.find("app"), nullptr);
    EXPECT_EQ(database.find("app")->version, "1:2.0-1");
    EXPECT_NE(database.find("liba:amd64"), nullptr);
    EXPECT_EQ(database.find("liba:arm64"), nullptr);
    EXPECT_EQ(database.find("removed"), nullptr);
    EXPECT_EQ(database.find("mail-agent"), nullptr);
}

TEST(Dpkg, FollowsDependenciesThroughAlternativesAndProvides) {
    const DpkgDatabase database = open_database();
    // debconf serves installing only; gone is not installed, and postbox provides the alternative.
    EXPECT_EQ(names_of(database.closure({database.find("app")})),
              (std::vector<std::string>{"app", "liba", "postbox", "libb"}));
    EXPECT_EQ(names_of(database.closure({database.find("debconf")})),
              std::vector<std::string>{"debconf"});
}

TEST(Dpkg, FindsTheOwnerAcrossMergedFolders) {
    const DpkgDatabase database = open_database();
    ASSERT_NE(database.owner_of("/usr/lib/x86_64-linux-gnu/liba.so.1"), nullptr);
    EXPECT_EQ(database.owner_of("/usr/lib/x86_64-linux-gnu/liba.so.1")->name, "liba");
    EXPECT_EQ(database.owner_of("/usr/bin/tool")->name, "app");
    EXPECT_EQ(database.owner_of("/usr/bin/app")->name, "app");
    EXPECT_EQ(database.owner_of("/usr/bin/ap"), nullptr);
    EXPECT_EQ(database.owner_of("/etc/diverted")->name, "libb");
}

TEST(Dpkg, ADivertedFileLiesElsewhere) {
    const DpkgDatabase database = open_database();
    const auto files = database.files_of(*database.find("app"));
    EXPECT_EQ(files.back(), "/etc/diverted.app");
    EXPECT_EQ(database.files_of(*database.find("libb")).back(), "/etc/diverted");
}

TEST(Dpkg, ReadsAlternatives) {
    const auto alternatives = open_database().alternatives();
    ASSERT_EQ(alternatives.size(), 2u);
    EXPECT_EQ(alternatives[0].link, "/usr/bin/editor");
    EXPECT_EQ(alternatives[0].name, "editor");
    EXPECT_EQ(alternatives[1].name, "editor.1.gz");
}

TEST(Dpkg, LeavesOutWhatNoProgramReads) {
    EXPECT_TRUE(is_left_out("/usr/share/doc/app/copyright", "app"));
    EXPECT_TRUE(is_left_out("/usr/share/locale/de/LC_MESSAGES/app.mo", "app"));
    EXPECT_TRUE(is_left_out("/usr/lib/locale/de_DE.utf8/LC_CTYPE", "app"));
    EXPECT_FALSE(is_left_out("/usr/lib/locale/C.utf8/LC_CTYPE", "app"));
    EXPECT_FALSE(is_left_out("/usr/lib/python3/dist-packages/x.py", "app"));
    EXPECT_FALSE(is_left_out("/etc/ssl/openssl.cnf", "app"));
    EXPECT_TRUE(is_left_out("/usr/include/x.h", "app"));
    EXPECT_FALSE(is_left_out("/usr/include/x.h", "libx-dev"));
}

TEST(Dpkg, AMalformedDatabaseIsNoCrash) {
    EXPECT_TRUE(parse_dpkg_status("").empty());
    EXPECT_TRUE(parse_dpkg_status(" continued\n\n:\nPackage\nStatus: installed\n").empty());
    EXPECT_EQ(DpkgDatabase::open("/nonexistent"), std::nullopt);
}

}  // namespace
}  // namespace kiln::tool
