#include <random>

#include <kiln/fs/overlay.hpp>
#include <kiln/fs/ramfs.hpp>

#include <kiln/vfs_testing/test_tree.hpp>

namespace kiln::fs {
namespace {

using namespace vfs::testing;
using namespace vfs;
using namespace abi;

Ref<FileSystem> make_ramfs() {
    start_machine();
    return RamFs::create({}).value();
}

class Overlay : public ::testing::Test {
protected:
    Overlay() {
        EXPECT_OK(below.mkdir("/d"));
        EXPECT_OK(below.mkdir("/d/sub"));
        EXPECT_OK(below.write("/d/f", "lower"));
        EXPECT_OK(below.write("/d/sub/g", "deep"));
        EXPECT_OK(below.write("/top", "top"));
        EXPECT_OK(below.symlink("d/f", "/link"));
        t.emplace(create_overlay(lower, upper).value());
    }
    Ref<FileSystem> lower = make_ramfs();
    Ref<FileSystem> upper = make_ramfs();
    Tree below{lower};
    Tree above{upper};
    std::optional<Tree> t;
};

TEST_F(Overlay, ReadsComeFromBelow) {
    EXPECT_EQ(t->read("/d/f").value(), "lower");
    EXPECT_EQ(t->read("/link").value(), "lower");
    const Path over = lookup(t->context, "/d/f", 0).value();
    const Path under = lookup(below.context, "/d/f", 0).value();
    // The very object, so that it is mapped where it is.
    EXPECT_EQ(over.inode()->memory_object().value().get(),
              under.inode()->memory_object().value().get());
    EXPECT_EQ(over.inode()->number(), under.inode()->number());
    EXPECT_EQ(over.inode()->attributes().value().device,
              over.mount()->file_system().device_number());
    EXPECT_EQ(above.list("/").value().size(), 2u);  // nothing was copied
    Ref<File> f = open(t->context, "/d/f", kO_RDONLY, 0).value();
    EXPECT_EQ(&static_cast<InodeFile&>(*f).data(), under.inode());
}

TEST_F(Overlay, WritingCopiesUp) {
    const std::uint64_t number = t->stat("/d/f").value().inode_number;
    Ref<File> before = open(t->context, "/d/f", kO_RDONLY, 0).value();
    EXPECT_OK(t->write("/d/f", "X", kO_WRONLY));
    EXPECT_EQ(t->read("/d/f").value(), "Xower");
    EXPECT_EQ(below.read("/d/f").value(), "lower");
    EXPECT_EQ(above.read("/d/f").value(), "Xower");
    EXPECT_EQ(t->stat("/d/f").value().inode_number, number);
    EXPECT_EQ(Tree::read(*before).value(), "lower");  // as Linux's overlayfs
    EXPECT_EQ(t->read("/d/sub/g").value(), "deep");
    EXPECT_OK(t->write("/d/sub/g", "new", kO_WRONLY | kO_APPEND));
    EXPECT_EQ(t->read("/d/sub/g").value(), "deepnew");
    EXPECT_OK(t->write("/top", "", kO_WRONLY | kO_TRUNC));
    EXPECT_EQ(t->read("/top").value(), "");
    // The number stays when the inode was dropped and found again.
    for (int i = 0; i < 3; i++) DentryCache::reclaim(1000);
    EXPECT_EQ(t->stat("/d/f").value().inode_number, number);
}

TEST_F(Overlay, AttributesCopyUp) {
    EXPECT_OK(set_attributes(lookup(t->context, "/d/f", 0).value(), {.mode = 0600}, kSetMode,
                             t->context.credentials));
    EXPECT_EQ(t->stat("/d/f").value().mode, kModeRegular | 0600);
    EXPECT_EQ(lookup(t->context, "/d/f", 0).value().inode()->mode(), kModeRegular | 0600);
    EXPECT_EQ(below.stat("/d/f").value().mode, kModeRegular | 0644);
    EXPECT_EQ(t->read("/d/f").value(), "lower");
    EXPECT_OK(set_attributes(lookup(t->context, "/top", 0).value(), {.size = 2}, kSetSize,
                             t->context.credentials));
    EXPECT_EQ(t->read("/top").value(), "to");
}

TEST_F(Overlay, WhiteoutsCover) {
    EXPECT_OK(t->unlink("/d/f"));
    EXPECT_ERRNO(kENOENT, t->stat("/d/f"));
    EXPECT_EQ(t->list("/d").value(), (std::vector<std::string>{".", "..", "sub"}));
    for (int i = 0; i < 3; i++) DentryCache::reclaim(1000);
    EXPECT_ERRNO(kENOENT, t->stat("/d/f"));
    EXPECT_OK(t->write("/d/f", "again"));
    EXPECT_EQ(t->read("/d/f").value(), "again");
    EXPECT_ERRNO(kENOTEMPTY, t->rmdir("/d/sub"));
    EXPECT_OK(t->unlink("/d/sub/g"));
    EXPECT_OK(t->rmdir("/d/sub"));
    EXPECT_OK(t->mkdir("/d/sub"));  // opaque: what was below does not shine through
    EXPECT_EQ(t->list("/d/sub").value().size(), 2u);
    for (int i = 0; i < 3; i++) DentryCache::reclaim(1000);
    EXPECT_EQ(t->list("/d/sub").value().size(), 2u);
    EXPECT_ERRNO(kENOENT, t->stat("/d/sub/g"));
    EXPECT_ERRNO(kEPERM, make_node(t->context, "/white", kModeCharacter | 0600, 0));
}

TEST_F(Overlay, DirectoriesStayMergedWhenRenamed) {
    EXPECT_OK(t->write("/d/new", "upper"));
    EXPECT_OK(t->rename("/d", "/e"));
    EXPECT_ERRNO(kENOENT, t->stat("/d"));
    EXPECT_EQ(t->read("/e/f").value(), "lower");
    EXPECT_EQ(t->read("/e/new").value(), "upper");
    EXPECT_EQ(t->read("/e/sub/g").value(), "deep");
    for (int i = 0; i < 5; i++) DentryCache::reclaim(1000);
    EXPECT_EQ(t->list("/e").value(), (std::vector<std::string>{".", "..", "f", "new", "sub"}));
    EXPECT_OK(t->mkdir("/d"));
    EXPECT_EQ(t->list("/d").value().size(), 2u);
}

TEST_F(Overlay, HardLinksBelowStayTogether) {
    EXPECT_OK(below.link("/top", "/d/other"));
    EXPECT_OK(t->write("/top", "changed"));
    EXPECT_EQ(t->read("/d/other").value(), "changed");
    for (int i = 0; i < 5; i++) DentryCache::reclaim(1000);
    EXPECT_EQ(t->read("/d/other").value(), "changed");
    EXPECT_EQ(t->stat("/top").value().inode_number, t->stat("/d/other").value().inode_number);
}

TEST_F(Overlay, ListingContinues) {
    for (int i = 0; i < 30; i++) {
        EXPECT_OK(below.write("/d/sub/l" + std::to_string(i), ""));
        EXPECT_OK(t->write("/d/sub/u" + std::to_string(i), ""));
        if (i % 3 == 0) EXPECT_OK(t->unlink("/d/sub/l" + std::to_string(i)));
    }
    Ref<File> d = open(t->context, "/d/sub", kO_RDONLY, 0).value();
    std::vector<std::string> seen;
    for (;;) {
        NameSink sink(4);
        EXPECT_OK(d->read_directory(sink));
        if (sink.names.empty()) break;
        seen.insert(seen.end(), sink.names.begin(), sink.names.end());
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
    EXPECT_EQ(seen, t->list("/d/sub").value());
    EXPECT_EQ(seen.size(), 30u + 20u + 3u);
    // The numbers that getdents64 shows are those of stat.
    NameSink sink;
    Ref<File> again = open(t->context, "/d/sub", kO_RDONLY, 0).value();
    EXPECT_OK(again->read_directory(sink));
    for (const auto& [name, number] : sink.numbers) {
        if (name == "..") continue;
        EXPECT_EQ(number, t->stat("/d/sub/" + name).value().inode_number) << name;
    }
}

// The same operations on an overlay and on a plain ramfs must give the same answers and trees.
class Pair {
public:
    std::string dump(Tree& t, const std::string& name) {
        std::string out;
        const auto names = t.list(name);
        if (!names.ok()) return name + ": " + name_of(names.error());
        for (const std::string& n : names.value()) {
            if (n == "." || n == "..") continue;
            const std::string full = name + "/" + n;
            const Attributes a = t.stat(full, 0).value();
            out += full + " " + std::to_string(a.mode);
            if ((a.mode & kModeTypeMask) == kModeRegular) out += " " + t.read(full).value();
            if ((a.mode & kModeTypeMask) == kModeSymlink) out += " -> " + t.readlink(full);
            out += "\n";
            if ((a.mode & kModeTypeMask) == kModeDirectory) out += dump(t, full);
        }
        return out;
    }
    std::string step(Tree& t, std::uint32_t what, const std::string& a, const std::string& b,
                     std::uint32_t value) {
        Result<void> r;
        switch (what) {
            case 0: r = t.mkdir(a); break;
            case 1: r = t.rmdir(a); break;
            case 2: r = t.unlink(a); break;
            case 3: r = t.write(a, std::to_string(value)); break;
            case 4: r = t.write(a, std::to_string(value), kO_WRONLY | kO_APPEND); break;
            case 5: r = t.rename(a, b); break;
            case 6: r = t.rename(a, b, kRENAME_EXCHANGE); break;
            case 7: r = t.rename(a, b, kRENAME_NOREPLACE); break;
            case 8: r = t.symlink(b, a); break;
            case 9: {
                const auto path = lookup(t.context, a, 0);
                r = path.ok() ? set_attributes(path.value(), {.mode = value & 0777}, kSetMode,
                                               t.context.credentials)
                              : Result<void>(path.error());
                break;
            }
            case 10: r = t.link(a, b); break;
            default: {
                const auto s = t.stat(a);
                r = s.ok() ? Result<void>() : Result<void>(s.error());
            }
        }
        return name_of(r.error());
    }
};

TEST(OverlayModel, AgreesWithRamfs) {
    Pair p;
    for (std::uint32_t seed = 1; seed <= 30; seed++) {
        std::minstd_rand random(seed);
        Ref<FileSystem> lower = make_ramfs();
        Tree below(lower);
        Tree model(make_ramfs());
        const auto name = [&random] {
            std::string n;
            const std::uint32_t depth = 1 + random() % 3;
            for (std::uint32_t i = 0; i < depth; i++) n += std::string("/") + "abcd"[random() % 4];
            return n;
        };
        for (int i = 0; i < 40; i++) {
            // No hard links below: the overlay keeps them together by another rule (tested above).
            const std::uint32_t what = random() % 10;
            const std::string a = name(), b = name();
            const std::uint32_t value = random() % 10000;
            ASSERT_EQ(p.step(below, what, a, b, value), p.step(model, what, a, b, value));
        }
        const std::string lower_before = p.dump(below, "");
        Tree over(create_overlay(lower, make_ramfs()).value());
        for (int i = 0; i < 400; i++) {
            const std::uint32_t what = random() % 12;
            const std::string a = name(), b = name();
            const std::uint32_t value = random() % 10000;
            ASSERT_EQ(p.step(over, what, a, b, value), p.step(model, what, a, b, value))
                << "seed " << seed << " step " << i << " op " << what << " " << a << " " << b;
            if (i % 20 == 0) DentryCache::reclaim(random() % 50);
            if (i % 10 == 0) {
                ASSERT_EQ(p.dump(over, ""), p.dump(model, ""))
                    << "seed " << seed << " step " << i << " op " << what << " " << a << " " << b;
            }
        }
        ASSERT_EQ(p.dump(below, ""), lower_before);
    }
}

TEST(OverlayModel, AllocationFailuresLoseNothing) {
    Pair p;
    for (std::uint32_t n = 3; n < 60; n += 2) {
        Ref<FileSystem> lower = make_ramfs();
        Tree below(lower);
        for (const char* d : {"/a", "/b", "/a/c"}) EXPECT_OK(below.mkdir(d));
        for (const char* f : {"/a/f", "/b/g", "/a/c/h"}) EXPECT_OK(below.write(f, "x"));
        Tree model(make_ramfs());
        for (const char* d : {"/a", "/b", "/a/c"}) EXPECT_OK(model.mkdir(d));
        for (const char* f : {"/a/f", "/b/g", "/a/c/h"}) EXPECT_OK(model.write(f, "x"));
        Tree over(create_overlay(lower, make_ramfs()).value());
        std::minstd_rand random(n);
        for (int i = 0; i < 60; i++) {
            // What can half succeed (a file made but not filled) is left out.
            constexpr std::uint32_t kWhole[] = {0, 1, 2, 5, 6, 9};
            const std::uint32_t what = kWhole[random() % 6];
            const std::string names[] = {"/a", "/b", "/a/f", "/b/g", "/a/c", "/a/c/h", "/new"};
            const std::string a = names[random() % 7], b = names[random() % 7];
            mem::inject_allocation_failures(n);
            const std::string result = p.step(over, what, a, b, 0700);
            mem::inject_allocation_failures(0);
            if (result != name_of(Errno::kENOMEM) && result != name_of(Errno::kENOSPC)) {
                EXPECT_EQ(result, p.step(model, what, a, b, 0700));
            }
            ASSERT_EQ(p.dump(over, ""), p.dump(model, ""))
                << n << " step " << i << " op " << what << " " << a << " " << b << result;
        }
    }
}

}  // namespace
}  // namespace kiln::fs
