// Names and files over ramfs: each errno that a system call owes its caller.
#include <algorithm>

#include <kiln/fs/ramfs.hpp>
#include <kiln/vfs/device.hpp>

#include <kiln/vfs_testing/test_tree.hpp>

namespace kiln::vfs::testing {
namespace {

Ref<FileSystem> make_ramfs() {
    start_machine();
    return fs::RamFs::create({}).value();
}

class Vfs : public ::testing::Test {
protected:
    Tree t{make_ramfs()};
    LookupContext user() {
        LookupContext c = t.context;
        c.credentials.uid = 1000;
        c.credentials.gid = 1000;
        c.credentials.override_dac = false;
        return c;
    }
};

TEST_F(Vfs, WalkErrors) {
    EXPECT_OK(t.mkdir("/d"));
    EXPECT_OK(t.write("/d/f", "x"));
    EXPECT_ERRNO(kENOENT, t.stat(""));
    EXPECT_ERRNO(kENOENT, t.stat("/none"));
    EXPECT_ERRNO(kENOENT, t.stat("/none"));  // from the cache now
    EXPECT_ERRNO(kENOENT, t.stat("/none/x"));
    EXPECT_ERRNO(kENOTDIR, t.stat("/d/f/x"));
    EXPECT_ERRNO(kENOTDIR, t.stat("/d/f/"));
    EXPECT_ERRNO(kENOTDIR, t.stat("/d/f/."));
    EXPECT_ERRNO(kENOTDIR, t.stat("/d/f/.."));
    EXPECT_OK(t.stat("/d/"));
    EXPECT_OK(t.stat("//d///.//../d/f"));
    EXPECT_OK(t.stat("/../.."));
    EXPECT_ERRNO(kENAMETOOLONG, t.stat("/" + std::string(256, 'a')));
    EXPECT_ERRNO(kENOENT, t.stat("/" + std::string(255, 'a')));
    EXPECT_ERRNO(kENAMETOOLONG, t.stat(std::string(4096, '/')));
    EXPECT_OK(t.stat(std::string(4095, '/')));
    EXPECT_OK(lookup(t.context, "", kLookupEmptyPath));
    EXPECT_ERRNO(kENOTDIR, lookup(t.context, "/d/f", kLookupDirectory));
}

TEST_F(Vfs, Symlinks) {
    EXPECT_OK(t.mkdir("/d"));
    EXPECT_OK(t.write("/d/f", "hello"));
    EXPECT_OK(t.symlink("d", "/l"));
    EXPECT_OK(t.symlink("/l/f", "/d/m"));
    EXPECT_OK(t.symlink("nowhere", "/dangling"));
    EXPECT_OK(t.symlink("loop", "/loop"));
    EXPECT_EQ(t.read("/l/m").value(), "hello");
    EXPECT_EQ(t.readlink("/l"), "d");
    EXPECT_EQ(t.stat("/l", 0).value().mode & kModeTypeMask, kModeSymlink);
    EXPECT_TRUE((t.stat("/l/", 0).value().mode & kModeTypeMask) == kModeDirectory);
    EXPECT_ERRNO(kENOENT, t.stat("/dangling"));
    EXPECT_ERRNO(kELOOP, t.stat("/loop"));
    EXPECT_ERRNO(kELOOP, t.stat("/loop/x"));
    EXPECT_ERRNO(kELOOP, open(t.context, "/l", kO_RDONLY | kO_NOFOLLOW, 0));
    EXPECT_ERRNO(kENOTDIR, open(t.context, "/l", kO_RDONLY | kO_NOFOLLOW | kO_DIRECTORY, 0));
    EXPECT_OK(open(t.context, "/l", kO_PATH | kO_NOFOLLOW, 0));
    EXPECT_ERRNO(kELOOP, lookup(t.context, "/l/f", kLookupNoSymlinks));
    EXPECT_ERRNO(kENOENT, t.symlink("", "/e"));
    EXPECT_ERRNO(kEEXIST, t.symlink("x", "/l"));
    EXPECT_ERRNO(kENOENT, t.symlink("x", "/new/"));
    // Exactly 40 may be followed.
    EXPECT_OK(t.symlink("d", "/s0"));
    for (int i = 1; i <= 40; i++)
        EXPECT_OK(t.symlink("s" + std::to_string(i - 1), "/s" + std::to_string(i)));
    EXPECT_OK(t.stat("/s39"));
    EXPECT_ERRNO(kELOOP, t.stat("/s40"));
    // A long target, and one that leads on in the middle of a name.
    const std::string deep(3000, '/');
    EXPECT_OK(t.symlink(deep + "d", "/long"));
    EXPECT_EQ(t.read("/long/../long/f").value(), "hello");
    // O_CREAT makes the target of a dangling link.
    EXPECT_OK(t.write("/dangling", "made"));
    EXPECT_EQ(t.read("/nowhere").value(), "made");
}

TEST_F(Vfs, OpenErrors) {
    EXPECT_OK(t.mkdir("/d"));
    EXPECT_OK(t.write("/f", "x"));
    EXPECT_ERRNO(kEEXIST, open(t.context, "/f", kO_CREAT | kO_EXCL | kO_RDWR, 0600));
    EXPECT_ERRNO(kEEXIST, open(t.context, "/d", kO_CREAT | kO_EXCL, 0600));
    EXPECT_ERRNO(kEISDIR, open(t.context, "/d", kO_WRONLY, 0));
    EXPECT_ERRNO(kEISDIR, open(t.context, "/d", kO_RDONLY | kO_CREAT, 0600));
    EXPECT_ERRNO(kEISDIR, open(t.context, "/d/", kO_RDWR | kO_CREAT, 0600));
    EXPECT_ERRNO(kEISDIR, open(t.context, "/n/", kO_RDWR | kO_CREAT, 0600));
    EXPECT_ERRNO(kEISDIR, open(t.context, "/d/.", kO_RDWR | kO_CREAT, 0600));
    EXPECT_ERRNO(kEISDIR, open(t.context, "/", kO_RDWR, 0600));
    EXPECT_ERRNO(kENOTDIR, open(t.context, "/f", kO_RDONLY | kO_DIRECTORY, 0));
    EXPECT_ERRNO(kENOENT, open(t.context, "/n/f", kO_RDWR | kO_CREAT, 0600));
    EXPECT_ERRNO(kENOTDIR, open(t.context, "/f/g", kO_RDWR | kO_CREAT, 0600));
    EXPECT_ERRNO(kENAMETOOLONG,
                 open(t.context, "/" + std::string(256, 'a'), kO_RDWR | kO_CREAT, 0600));
    EXPECT_ERRNO(kEINVAL, open(t.context, "/d", kO_TMPFILE | kO_RDONLY, 0600));
    EXPECT_OK(t.symlink("f", "/l"));
    EXPECT_ERRNO(kEEXIST, open(t.context, "/l", kO_CREAT | kO_EXCL | kO_RDWR, 0600));
    EXPECT_ERRNO(kELOOP, open(t.context, "/l", kO_CREAT | kO_NOFOLLOW | kO_RDWR, 0600));
    EXPECT_OK(make_node(t.context, "/sock", kModeSocket | 0666, 0));
    EXPECT_ERRNO(kENXIO, open(t.context, "/sock", kO_RDWR, 0));
    EXPECT_OK(make_node(t.context, "/nodev", kModeCharacter | 0666, make_device(240, 7)));
    EXPECT_ERRNO(kENXIO, open(t.context, "/nodev", kO_RDWR, 0));
    EXPECT_EQ(t.stat("/nodev").value().rdev, make_device(240, 7));
    EXPECT_OK(make_node(t.context, "/fifo", kModeFifo | 0666, 0));
    EXPECT_ERRNO(kENXIO, open(t.context, "/fifo", kO_RDWR, 0));
}

TEST_F(Vfs, AccessModes) {
    Ref<File> w = open(t.context, "/f", kO_WRONLY | kO_CREAT | kO_EXCL | kO_CLOEXEC, 0640).value();
    EXPECT_EQ(w->flags(), kO_WRONLY);
    EXPECT_EQ(t.stat("/f").value().mode, kModeRegular | 0640);
    char c = 'x';
    mem::IoBuffer b = mem::IoBuffer::kernel(&c, 1);
    EXPECT_ERRNO(kEBADF, w->read_at_position(b));
    EXPECT_EQ(w->write_at_position(b).value(), 1u);
    Ref<File> r = open(t.context, "/f", kO_RDONLY, 0).value();
    b = mem::IoBuffer::kernel(&c, 1);
    EXPECT_ERRNO(kEBADF, r->write_at_position(b));
    EXPECT_ERRNO(kEBADF, r->write_at(b, 0));
    EXPECT_ERRNO(kEINVAL, r->truncate(0));
    Ref<File> p = open(t.context, "/f", kO_PATH, 0).value();
    EXPECT_ERRNO(kEBADF, p->read_at_position(b));
    EXPECT_OK(p->attributes());
    // Append: wherever the position is.
    Ref<File> a = open(t.context, "/f", kO_RDWR | kO_APPEND, 0).value();
    for (const char* text : {"one", "two"}) {
        EXPECT_EQ(a->seek(0, kSEEK_SET).value(), 0u);
        mem::IoBuffer from = mem::IoBuffer::kernel(std::as_bytes(std::span(text, 3)));
        EXPECT_EQ(a->write_at_position(from).value(), 3u);
    }
    EXPECT_EQ(t.read("/f").value(), "xonetwo");
    EXPECT_OK(t.write("/f", "", kO_WRONLY | kO_TRUNC));
    EXPECT_EQ(t.stat("/f").value().size, 0u);
}

TEST_F(Vfs, Seek) {
    EXPECT_OK(t.write("/f", "0123456789"));
    Ref<File> f = open(t.context, "/f", kO_RDWR, 0).value();
    EXPECT_EQ(f->seek(4, kSEEK_SET).value(), 4u);
    EXPECT_EQ(f->seek(2, kSEEK_CUR).value(), 6u);
    EXPECT_EQ(f->seek(-1, kSEEK_END).value(), 9u);
    EXPECT_EQ(f->seek(100, kSEEK_END).value(), 110u);
    EXPECT_ERRNO(kEINVAL, f->seek(-1, kSEEK_SET));
    EXPECT_ERRNO(kEINVAL, f->seek(0, 9));
    EXPECT_EQ(f->seek(INT64_MAX, kSEEK_SET).value(), std::uint64_t{INT64_MAX});
    EXPECT_ERRNO(kEOVERFLOW, f->seek(1, kSEEK_CUR));
    char c = 'x';
    mem::IoBuffer from = mem::IoBuffer::kernel(&c, 1);
    EXPECT_ERRNO(kEFBIG, f->write_at_position(from));
    EXPECT_ERRNO(kENXIO, f->seek(10, kSEEK_DATA));
    EXPECT_EQ(f->seek(3, kSEEK_HOLE).value(), 10u);
}

TEST_F(Vfs, MkdirAndNodes) {
    EXPECT_ERRNO(kEEXIST, t.mkdir("/"));
    EXPECT_OK(t.mkdir("/d/"));
    EXPECT_ERRNO(kEEXIST, t.mkdir("/d"));
    EXPECT_ERRNO(kEEXIST, t.mkdir("/d/."));
    EXPECT_ERRNO(kEEXIST, t.mkdir("/d/.."));
    EXPECT_ERRNO(kENOENT, t.mkdir("/n/m"));
    EXPECT_EQ(t.stat("/d").value().mode, kModeDirectory | 0755);
    EXPECT_EQ(t.stat("/d").value().links, 2u);
    EXPECT_OK(t.mkdir("/d/e"));
    EXPECT_EQ(t.stat("/d").value().links, 3u);
    EXPECT_ERRNO(kEPERM, make_node(t.context, "/x", kModeDirectory | 0777, 0));
    EXPECT_ERRNO(kEINVAL, make_node(t.context, "/x", kModeSymlink | 0777, 0));
    EXPECT_ERRNO(kEPERM, make_node(user(), "/x", kModeCharacter | 0777, 1));
    EXPECT_ERRNO(kENOENT, make_node(t.context, "/x/", kModeRegular | 0777, 0));
}

TEST_F(Vfs, Unlink) {
    EXPECT_OK(t.mkdir("/d"));
    EXPECT_OK(t.write("/f", "content"));
    EXPECT_ERRNO(kENOENT, t.unlink("/n"));
    EXPECT_ERRNO(kENOENT, t.unlink("/n/"));
    EXPECT_ERRNO(kEISDIR, t.unlink("/d"));
    EXPECT_ERRNO(kEISDIR, t.unlink("/d/"));
    EXPECT_ERRNO(kEISDIR, t.unlink("/"));
    EXPECT_ERRNO(kEISDIR, t.unlink("/d/."));
    EXPECT_ERRNO(kENOTDIR, t.unlink("/f/"));
    Ref<File> open_file = open(t.context, "/f", kO_RDONLY, 0).value();
    EXPECT_OK(t.unlink("/f"));
    EXPECT_FALSE(t.exists("/f"));
    EXPECT_EQ(Tree::read(*open_file).value(), "content");
    EXPECT_EQ(open_file->attributes().value().links, 0u);
    char text[64];
    const std::size_t n = open_file->path().format(text, t.context.root).value();
    EXPECT_EQ(std::string(text, n), "/f (deleted)");
    EXPECT_OK(t.write("/f", "again"));
    EXPECT_EQ(t.read("/f").value(), "again");
}

TEST_F(Vfs, Rmdir) {
    EXPECT_OK(t.mkdir("/d"));
    EXPECT_OK(t.write("/d/f", ""));
    EXPECT_ERRNO(kENOTEMPTY, t.rmdir("/d"));
    EXPECT_ERRNO(kENOTDIR, t.rmdir("/d/f"));
    EXPECT_ERRNO(kEINVAL, t.rmdir("/d/."));
    EXPECT_ERRNO(kENOTEMPTY, t.rmdir("/d/.."));
    EXPECT_ERRNO(kEBUSY, t.rmdir("/"));
    EXPECT_ERRNO(kENOENT, t.rmdir("/n"));
    EXPECT_OK(t.unlink("/d/f"));
    LookupContext inside = t.context;
    inside.cwd = lookup(t.context, "/d", 0).value();
    EXPECT_OK(t.rmdir("/d/"));
    // In a removed directory nothing can be made or found.
    EXPECT_ERRNO(kENOENT, make_directory(inside, "x", 0777));
    EXPECT_ERRNO(kENOENT, open(inside, "x", kO_RDWR | kO_CREAT, 0600));
    EXPECT_OK(lookup(inside, ".", 0));
    EXPECT_ERRNO(kENOENT, lookup(inside, "x", 0));
}

TEST_F(Vfs, HardLinks) {
    EXPECT_OK(t.write("/a", "text"));
    EXPECT_OK(t.mkdir("/d"));
    EXPECT_OK(t.link("/a", "/d/b"));
    EXPECT_EQ(t.stat("/a").value().links, 2u);
    EXPECT_EQ(t.stat("/a").value().inode_number, t.stat("/d/b").value().inode_number);
    EXPECT_ERRNO(kEEXIST, t.link("/a", "/d/b"));
    EXPECT_ERRNO(kEPERM, t.link("/d", "/e"));
    EXPECT_ERRNO(kENOENT, t.link("/n", "/e"));
    EXPECT_OK(t.unlink("/a"));
    EXPECT_EQ(t.read("/d/b").value(), "text");
    EXPECT_EQ(t.stat("/d/b").value().links, 1u);
}

TEST_F(Vfs, Rename) {
    EXPECT_OK(t.write("/a", "A"));
    EXPECT_OK(t.write("/b", "B"));
    EXPECT_OK(t.mkdir("/d"));
    EXPECT_OK(t.mkdir("/d/e"));
    EXPECT_OK(t.mkdir("/full"));
    EXPECT_OK(t.write("/full/x", ""));
    EXPECT_ERRNO(kENOENT, t.rename("/n", "/m"));
    EXPECT_ERRNO(kENOENT, t.rename("/a", "/n/m"));
    EXPECT_ERRNO(kEINVAL, t.rename("/d", "/d/e/f"));
    EXPECT_ERRNO(kENOTEMPTY, t.rename("/d/e", "/d"));
    EXPECT_ERRNO(kENOTEMPTY, t.rename("/d", "/full"));
    EXPECT_ERRNO(kENOTDIR, t.rename("/d", "/a"));
    EXPECT_ERRNO(kEISDIR, t.rename("/a", "/d"));
    EXPECT_ERRNO(kENOTDIR, t.rename("/a/", "/c"));
    EXPECT_ERRNO(kENOTDIR, t.rename("/a", "/c/"));
    EXPECT_ERRNO(kEBUSY, t.rename("/d/.", "/c"));
    EXPECT_ERRNO(kEBUSY, t.rename("/a", "/d/.."));
    EXPECT_ERRNO(kEBUSY, t.rename("/", "/c"));
    EXPECT_ERRNO(kEINVAL, t.rename("/a", "/c", 8));
    EXPECT_ERRNO(kEEXIST, t.rename("/a", "/b", kRENAME_NOREPLACE));
    EXPECT_OK(t.rename("/a", "/b"));
    EXPECT_EQ(t.read("/b").value(), "A");
    EXPECT_FALSE(t.exists("/a"));
    EXPECT_OK(t.rename("/d", "/renamed/"));
    EXPECT_TRUE(t.exists("/renamed/e"));
    EXPECT_OK(t.rename("/renamed/e", "/full/e"));
    EXPECT_EQ(t.stat("/renamed").value().links, 2u);
    EXPECT_EQ(t.stat("/full").value().links, 3u);
    EXPECT_OK(t.rename("/renamed", "/full/e"));
    EXPECT_ERRNO(kENOENT, t.rename("/b", "/n", kRENAME_EXCHANGE));
    EXPECT_OK(t.rename("/b", "/full/e", kRENAME_EXCHANGE));
    EXPECT_EQ(t.read("/full/e").value(), "A");
    EXPECT_EQ(t.stat("/b").value().mode & kModeTypeMask, kModeDirectory);
    // Two names of one file: nothing happens.
    EXPECT_OK(t.link("/full/e", "/same"));
    EXPECT_OK(t.rename("/full/e", "/same"));
    EXPECT_TRUE(t.exists("/full/e"));
    // What is open follows.
    const Path p = lookup(t.context, "/full", 0).value();
    const std::string longer(200, 'n');
    EXPECT_OK(t.rename("/full", "/" + longer));
    char text[300];
    EXPECT_EQ(std::string(text, p.format(text, t.context.root).value()), "/" + longer);
    EXPECT_OK(t.rename("/" + longer, "/short"));
    EXPECT_EQ(std::string(text, p.format(text, t.context.root).value()), "/short");
}

TEST_F(Vfs, Permissions) {
    EXPECT_OK(t.mkdir("/open", 0777));
    EXPECT_OK(set_attributes(lookup(t.context, "/open", 0).value(), {.mode = 01777}, kSetMode,
                             t.context.credentials));
    EXPECT_OK(t.mkdir("/closed", 0700));
    EXPECT_OK(t.write("/closed/f", "x"));
    EXPECT_OK(t.write("/open/root", "x"));
    const LookupContext u = user();
    EXPECT_ERRNO(kEACCES, lookup(u, "/closed/f", 0));
    EXPECT_ERRNO(kEACCES, lookup(u, "/closed/none", 0));
    EXPECT_ERRNO(kEACCES, open(u, "/closed", kO_RDONLY, 0));
    EXPECT_ERRNO(kEACCES, open(u, "/new", kO_RDWR | kO_CREAT, 0600));
    EXPECT_ERRNO(kEACCES, open(u, "/open/root", kO_RDWR, 0));
    EXPECT_OK(open(u, "/open/root", kO_RDONLY, 0));
    EXPECT_ERRNO(kEACCES, open(u, "/open/root", kO_RDONLY | kO_TRUNC, 0));
    EXPECT_ERRNO(kEPERM, unlink(u, "/open/root"));  // sticky
    EXPECT_ERRNO(kEPERM, rename(u, "/open/root", u, "/open/mine", 0));
    EXPECT_OK(open(u, "/open/mine", kO_RDWR | kO_CREAT, 0600));
    EXPECT_EQ(t.stat("/open/mine").value().uid, 1000u);
    EXPECT_OK(unlink(u, "/open/mine"));
    EXPECT_ERRNO(kEACCES, make_directory(u, "/x", 0777));
    const Path root_file = lookup(t.context, "/open/root", 0).value();
    EXPECT_ERRNO(kEPERM, set_attributes(root_file, {.mode = 0777}, kSetMode, u.credentials));
    EXPECT_ERRNO(kEPERM, set_attributes(root_file, {.uid = 1000}, kSetUid, u.credentials));
    EXPECT_ERRNO(kEPERM, set_attributes(root_file, {}, kSetMtime, u.credentials));
    EXPECT_ERRNO(kEACCES, set_attributes(root_file, {}, kSetMtime | kSetTimesToNow, u.credentials));
    EXPECT_ERRNO(kEACCES, set_attributes(root_file, {.size = 0}, kSetSize, u.credentials));
    EXPECT_ERRNO(kEACCES, check_access(root_file, 2, u.credentials));
    EXPECT_OK(check_access(root_file, 4, u.credentials));
    EXPECT_ERRNO(kEACCES, check_access(root_file, 1, t.context.credentials));
    // The set-user-ID bit goes with the owner.
    EXPECT_OK(set_attributes(root_file, {.mode = 04755}, kSetMode, t.context.credentials));
    EXPECT_OK(set_attributes(root_file, {.uid = 5}, kSetUid, t.context.credentials));
    EXPECT_EQ(t.stat("/open/root").value().mode, kModeRegular | 0755);
    EXPECT_ERRNO(kEISDIR, set_attributes(t.context.root, {}, kSetSize, t.context.credentials));
    // A set-group-ID directory hands its group on.
    EXPECT_OK(set_attributes(lookup(t.context, "/open", 0).value(), {.mode = 03777, .gid = 77},
                             kSetMode | kSetGid, t.context.credentials));
    EXPECT_OK(make_directory(u, "/open/sub", 0777));
    EXPECT_EQ(t.stat("/open/sub").value().gid, 77u);
    EXPECT_EQ(t.stat("/open/sub").value().mode, kModeDirectory | 02755);
}

TEST_F(Vfs, DirectoryOffsetsAreStable) {
    EXPECT_OK(t.mkdir("/d"));
    for (int i = 0; i < 100; i++) EXPECT_OK(t.write("/d/f" + std::to_string(i), ""));
    Ref<File> d = open(t.context, "/d", kO_RDONLY, 0).value();
    std::vector<std::string> seen;
    for (;;) {
        NameSink sink(7);
        EXPECT_OK(d->read_directory(sink));
        if (sink.names.empty()) break;
        seen.insert(seen.end(), sink.names.begin(), sink.names.end());
        // What was seen goes, as rm -r does it; something new comes.
        for (const std::string& name : sink.names) {
            if (name[0] == 'f') EXPECT_OK(t.unlink("/d/" + name));
        }
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
    EXPECT_EQ(seen.size(), 102u);
    EXPECT_EQ(t.list("/d").value(), (std::vector<std::string>{".", ".."}));
    EXPECT_OK(t.rmdir("/d"));
}

TEST_F(Vfs, Tmpfile) {
    EXPECT_OK(t.mkdir("/d"));
    Ref<File> f = open(t.context, "/d", kO_TMPFILE | kO_RDWR, 0600).value();
    char c = 'x';
    mem::IoBuffer from = mem::IoBuffer::kernel(&c, 1);
    EXPECT_EQ(f->write_at_position(from).value(), 1u);
    EXPECT_EQ(f->attributes().value().links, 0u);
    EXPECT_EQ(t.list("/d").value().size(), 2u);
}

TEST_F(Vfs, ResolveFlags) {
    EXPECT_OK(t.mkdir("/d"));
    EXPECT_OK(t.mkdir("/d/e"));
    EXPECT_OK(t.write("/f", "outside"));
    EXPECT_OK(t.write("/d/f", "inside"));
    EXPECT_OK(t.symlink("/f", "/d/absolute"));
    LookupContext c = t.context;
    c.cwd = lookup(t.context, "/d", 0).value();
    EXPECT_OK(lookup(c, "e/../f", kLookupBeneath));
    EXPECT_ERRNO(kEXDEV, lookup(c, "e/../../f", kLookupBeneath));
    EXPECT_ERRNO(kEXDEV, lookup(c, "/f", kLookupBeneath));
    EXPECT_ERRNO(kEXDEV, lookup(c, "absolute", kLookupBeneath | kLookupFollow));
    const Path inside = lookup(c, "absolute", kLookupInRoot | kLookupFollow).value();
    EXPECT_EQ(inside.inode(), lookup(c, "f", 0).value().inode());
    EXPECT_EQ(lookup(c, "../../f", kLookupInRoot).value().inode(), inside.inode());
}

TEST_F(Vfs, ReclaimDropsOnlyWhatIsUnused) {
    EXPECT_OK(t.mkdir("/r"));
    for (int i = 0; i < 50; i++) EXPECT_OK(t.write("/r/f" + std::to_string(i), "x"));
    const Path held = lookup(t.context, "/r/f7", 0).value();
    const std::size_t before = DentryCache::count();
    std::size_t dropped = 0;
    for (int round = 0; round < 10; round++) dropped += DentryCache::reclaim(1000);
    EXPECT_GE(dropped, 49u);
    EXPECT_EQ(DentryCache::count(), before - dropped);
    EXPECT_EQ(lookup(t.context, "/r/f7", 0).value().dentry(), held.dentry());
    EXPECT_EQ(t.read("/r/f8").value(), "x");
}

TEST_F(Vfs, LimitIsKept) {
    DentryCache::reclaim(100000);
    DentryCache::reclaim(100000);
    DentryCache::set_limit(DentryCache::count() + 20);
    EXPECT_OK(t.mkdir("/many"));
    const std::size_t before = DentryCache::count();
    for (int i = 0; i < 500; i++) EXPECT_OK(t.write("/many/" + std::to_string(i), ""));
    EXPECT_LE(DentryCache::count(), before + 60);
    for (int i = 0; i < 500; i++) EXPECT_OK(t.stat("/many/" + std::to_string(i)));
    DentryCache::set_limit(16384);
}

TEST_F(Vfs, DeepTreeGoesWithoutRecursion) {
    LookupContext c = t.context;
    for (int i = 0; i < 3000; i++) {
        ASSERT_TRUE(make_directory(c, "d", 0777).ok());
        c.cwd = lookup(c, "d", 0).value();
    }
    c.cwd = Path();
}

class Mounts : public Vfs {};

TEST_F(Mounts, CrossedBothWays) {
    static const bool rooted = mount_root(make_ramfs(), "rootfs").ok();
    ASSERT_TRUE(rooted);
    LookupContext c = kernel_context();
    EXPECT_OK(create_path("/a/b/c", kModeDirectory | 0755, 0));
    EXPECT_OK(create_path("/a/b/file", kModeRegular | 0644, 0));
    EXPECT_OK(mount(lookup(c, "/a/b", 0).value(), make_ramfs(), "none", 0));
    EXPECT_ERRNO(kENOENT, lookup(c, "/a/b/c", 0));
    EXPECT_OK(make_directory(c, "/a/b/inner", 0755));
    EXPECT_EQ(lookup(c, "/a/b/inner/../..", 0).value(), lookup(c, "/a", 0).value());
    EXPECT_ERRNO(kEBUSY, remove_directory(c, "/a/b"));
    EXPECT_ERRNO(kEBUSY, rename(c, "/a/b", c, "/x", 0));
    EXPECT_ERRNO(kEXDEV, rename(c, "/a/b/inner", c, "/a/inner", 0));
    EXPECT_ERRNO(kEXDEV, lookup(c, "/a/b/inner", kLookupNoXdev));
    EXPECT_OK(open(c, "/a/b/f", kO_RDWR | kO_CREAT, 0600));
    EXPECT_ERRNO(kEXDEV, make_link(c, "/a/b/f", c, "/a/f", 0));
    char text[64];
    {
        const Path inner = lookup(c, "/a/b/inner", 0).value();
        EXPECT_EQ(std::string(text, inner.format(text, c.root).value()), "/a/b/inner");
        EXPECT_ERRNO(kERANGE, inner.format(std::span(text, 5), c.root));
        // Seen from another root.
        const Path b = lookup(c, "/a/b", 0).value();
        EXPECT_EQ(std::string(text, inner.format(text, b).value()), "/inner");
        EXPECT_ERRNO(kEBUSY, unmount(b, 0));
    }
    std::vector<std::string> where;
    for_each_mount(
        [](const MountInfo& info, void* cookie) {
            char name[64] = "/";
            std::size_t n = 1;
            if (info.where) n = info.where->format(name, root_path()).value();
            static_cast<std::vector<std::string>*>(cookie)->emplace_back(name, n);
            return true;
        },
        &where);
    EXPECT_EQ(where, (std::vector<std::string>{"/", "/a/b"}));
    {
        const Path b = lookup(c, "/a/b", 0).value();
        EXPECT_OK(unmount(b, 0));
    }
    EXPECT_OK(lookup(c, "/a/b/c", 0));
    EXPECT_ERRNO(kEINVAL, unmount(lookup(c, "/a", 0).value(), 0));
    // Read-only.
    EXPECT_OK(mount(lookup(c, "/a/b", 0).value(), make_ramfs(), "none", kMS_RDONLY));
    EXPECT_ERRNO(kEROFS, make_directory(c, "/a/b/x", 0755));
    EXPECT_ERRNO(kEROFS, open(c, "/a/b/x", kO_RDWR | kO_CREAT, 0600));
    // What exists already is what is complained of first.
    EXPECT_ERRNO(kEEXIST, make_directory(c, "/a/b/.", 0755));
    EXPECT_OK(unmount(lookup(c, "/a/b", 0).value(), 0));
    EXPECT_ERRNO(kEEXIST, create_path("/a/b/file", kModeDirectory | 0755, 0));
}

TEST_F(Vfs, AllocationFailuresAreReturned) {
    for (std::uint32_t n = 1; n < 40; n++) {
        mem::inject_allocation_failures(n);
        (void)t.mkdir("/q");
        (void)t.write("/q/some-name-that-is-longer-than-a-dentry-holds", "x");
        (void)t.symlink("/q/some-name-that-is-longer-than-a-dentry-holds", "/q/s");
        (void)t.stat("/q/s");
        (void)t.rename("/q/s", "/q/another-name-that-is-longer-than-a-dentry-holds");
        (void)t.unlink("/q/another-name-that-is-longer-than-a-dentry-holds");
        (void)t.unlink("/q/s");
        (void)t.unlink("/q/some-name-that-is-longer-than-a-dentry-holds");
        (void)t.rmdir("/q");
        mem::inject_allocation_failures(0);
        (void)t.unlink("/q/another-name-that-is-longer-than-a-dentry-holds");
        (void)t.unlink("/q/s");
        (void)t.unlink("/q/some-name-that-is-longer-than-a-dentry-holds");
        (void)t.rmdir("/q");
        EXPECT_EQ(t.list("/").value().size(), 2u) << n;
    }
}

}  // namespace
}  // namespace kiln::vfs::testing
