#include <kiln/fs/console.hpp>
#include <kiln/vfs/device.hpp>

#include <kiln/vfs_testing/test_tree.hpp>

namespace kiln::fs {
namespace {

using namespace vfs::testing;
using namespace vfs;
using namespace abi;

Ref<FileSystem> make_devfs() {
    start_machine();
    return find_file_system_type("devtmpfs").value()->create({}).value();
}

class Devfs : public ::testing::Test {
protected:
    std::string read(const std::string& name, std::size_t size) {
        Ref<File> f = open(t.context, name, kO_RDONLY, 0).value();
        std::string text(size, 'x');
        mem::IoBuffer to = mem::IoBuffer::kernel(text.data(), size);
        text.resize(f->read_at_position(to).value());
        return text;
    }
    Result<std::size_t> write(const std::string& name, std::string_view text) {
        Ref<File> f = TRY(open(t.context, name, kO_WRONLY, 0));
        mem::IoBuffer from = mem::IoBuffer::kernel(std::as_bytes(std::span(text)));
        return f->write_at_position(from);
    }
    Tree t{make_devfs()};
};

TEST_F(Devfs, MemoryDevices) {
    EXPECT_EQ(read("/null", 10), "");
    EXPECT_EQ(write("/null", "text").value(), 4u);
    EXPECT_EQ(read("/zero", 10), std::string(10, '\0'));
    EXPECT_EQ(write("/zero", "text").value(), 4u);
    EXPECT_EQ(read("/full", 3), std::string(3, '\0'));
    EXPECT_ERRNO(kENOSPC, write("/full", "text"));
    EXPECT_EQ(read("/urandom", 1000).size(), 1000u);
    EXPECT_NE(read("/urandom", 32), read("/random", 32));
    EXPECT_EQ(t.stat("/null").value().rdev, make_device(1, 3));
    EXPECT_EQ(t.stat("/null").value().mode, kModeCharacter | 0666);
    Ref<File> zero = open(t.context, "/zero", kO_RDWR, 0).value();
    EXPECT_EQ(zero->seek(100, kSEEK_SET).value(), 0u);
    Ref<vm::MemoryObject> object = zero->memory_object().value();
    const vm::ObjectPage page = object->get_page(5, hal::Access::kWrite).value();
    EXPECT_TRUE(page.writable);
    mem::unref_page(page.page);
    EXPECT_NE(zero->memory_object().value().get(), object.get());
    Ref<File> null = open(t.context, "/null", kO_RDWR, 0).value();
    EXPECT_ERRNO(kENODEV, null->memory_object());
}

TEST_F(Devfs, NodesAreMadeOnce) {
    EXPECT_ERRNO(kENOENT, t.stat("/none"));
    const std::uint64_t number = t.stat("/null").value().inode_number;
    const auto names = t.list("/").value();
    EXPECT_EQ(std::count(names.begin(), names.end(), "null"), 1);
    EXPECT_EQ(std::count(names.begin(), names.end(), "stdin"), 1);
    EXPECT_EQ(t.stat("/null").value().inode_number, number);
    EXPECT_EQ(t.readlink("/fd"), "/proc/self/fd");
    EXPECT_OK(t.unlink("/full"));
    DentryCache::reclaim(10000);
    EXPECT_ERRNO(kENOENT, t.stat("/full"));
    EXPECT_OK(t.mkdir("/shm"));
    EXPECT_OK(t.write("/shm/f", "x"));
    EXPECT_OK(make_node(t.context, "/n2", kModeCharacter | 0666, make_device(1, 3)));
    EXPECT_EQ(write("/n2", "text").value(), 4u);
    // A name that somebody took before the device was looked for.
    Tree other(make_devfs());
    EXPECT_ERRNO(kEEXIST, other.mkdir("/null"));
}

TEST_F(Devfs, Console) {
    static const bool rooted = [] {
        return mount_root(make_devfs(), "dev").ok();  // "/dev" below is a symlink to it
    }();
    ASSERT_TRUE(rooted);
    EXPECT_OK(make_symlink(kernel_context(), ".", "/dev"));
    auto all = open_console({.stdin_terminal = true, .stdout_terminal = true}).value();
    EXPECT_EQ(all[0].get(), all[1].get());
    EXPECT_EQ(all[0]->attributes().value().rdev, make_device(5, 1));
    char name[32];
    EXPECT_EQ(std::string(name, all[0]->path().format(name, root_path()).value()), "/console");
    auto pipes = open_console({.stdin_escaped = true}).value();
    EXPECT_EQ(pipes[0]->attributes().value().mode & kModeTypeMask, kModeFifo);
    EXPECT_ERRNO(kENXIO, open(kernel_context(), "/tty", kO_RDWR, 0));
    EXPECT_EQ(pipes[1].get(), pipes[2].get());
    EXPECT_ERRNO(kENOTTY, pipes[1]->ioctl(0x5401, 0));
}

}  // namespace
}  // namespace kiln::fs
