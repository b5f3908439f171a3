#include <random>

#include <kiln/fs/ramfs.hpp>

#include <kiln/vfs_testing/test_tree.hpp>

namespace kiln::fs {
namespace {

using namespace vfs::testing;
using namespace vfs;
using namespace abi;

class Ramfs : public ::testing::Test {
protected:
    static Ref<FileSystem> make(std::string_view options = {}) {
        start_machine();
        MountSource source{};
        source.options = options;
        return find_file_system_type("tmpfs").value()->create(source).value();
    }
    Ref<FileSystem> fs = make();
    Tree t{fs};
    Ref<File> file(std::string_view name) {
        return open(t.context, name, kO_RDWR | kO_CREAT, 0600).value();
    }
    static Result<std::size_t> write_at(File& f, std::string_view text, std::uint64_t offset) {
        mem::IoBuffer from = mem::IoBuffer::kernel(std::as_bytes(std::span(text)));
        return f.write_at(from, offset);
    }
    static std::string read_at(File& f, std::size_t size, std::uint64_t offset) {
        std::string text(size, 'x');
        mem::IoBuffer to = mem::IoBuffer::kernel(text.data(), size);
        text.resize(f.read_at(to, offset).value());
        return text;
    }
};

TEST_F(Ramfs, SparseFiles) {
    Ref<File> f = file("/f");
    const std::uint64_t far = std::uint64_t{1} << 40;
    EXPECT_EQ(write_at(*f, "end", far).value(), 3u);
    EXPECT_EQ(f->attributes().value().size, far + 3);
    EXPECT_LE(f->attributes().value().blocks, 8u);
    EXPECT_EQ(read_at(*f, 5, far - 2), std::string("\0\0end", 5));
    EXPECT_EQ(read_at(*f, 4, 12345), std::string(4, '\0'));
    EXPECT_EQ(f->seek(0, kSEEK_DATA).value(), far);
    EXPECT_EQ(f->seek(far, kSEEK_HOLE).value(), far + 3);
    EXPECT_EQ(f->seek(7, kSEEK_HOLE).value(), 7u);
    EXPECT_OK(f->truncate(10));
    EXPECT_EQ(f->attributes().value().blocks, 0u);
    EXPECT_ERRNO(kENXIO, f->seek(0, kSEEK_DATA));
    EXPECT_ERRNO(kEFBIG, f->truncate(std::uint64_t{1} << 63));
}

TEST_F(Ramfs, AgreesWithAString) {
    std::minstd_rand random(3);
    Ref<File> f = file("/f");
    std::string model;
    for (int i = 0; i < 2000; i++) {
        const std::uint64_t offset = random() % 60000;
        const std::size_t size = 1 + random() % 9000;
        switch (random() % 5) {
            case 0:
            case 1: {
                const std::string text(size, static_cast<char>('a' + i % 26));
                ASSERT_EQ(write_at(*f, text, offset).value(), size);
                if (model.size() < offset + size) model.resize(offset + size);
                model.replace(offset, size, text);
                break;
            }
            case 2:
                ASSERT_TRUE(f->truncate(offset).ok());
                model.resize(offset);
                break;
            case 3: {
                ASSERT_TRUE(
                    f->allocate(kFALLOC_FL_PUNCH_HOLE | kFALLOC_FL_KEEP_SIZE, offset, size).ok());
                for (std::size_t k = offset; k < std::min(model.size(), offset + size); k++)
                    model[k] = 0;
                break;
            }
            default: {
                const std::string want =
                    offset < model.size() ? model.substr(offset, size) : std::string();
                ASSERT_EQ(read_at(*f, size, offset), want) << i;
            }
        }
        ASSERT_EQ(f->attributes().value().size, model.size());
    }
}

TEST_F(Ramfs, MappingsSeeTheSameBytes) {
    Ref<File> f = file("/f");
    EXPECT_OK(f->truncate(8192));
    Ref<vm::MemoryObject> object = f->memory_object().value();
    const vm::ObjectPage page = object->get_page(1, hal::Access::kWrite).value();
    std::memcpy(hal::phys_to_virt(page.page), "mapped", 6);
    EXPECT_EQ(read_at(*f, 6, 4096), "mapped");
    EXPECT_EQ(write_at(*f, "W", 4096).value(), 1u);
    EXPECT_EQ(std::memcmp(hal::phys_to_virt(page.page), "Wapped", 6), 0);
    mem::unref_page(page.page);
    EXPECT_ERRNO(kENXIO, object->get_page(2, hal::Access::kRead));
    EXPECT_OK(f->truncate(4100));
    EXPECT_OK(f->truncate(8192));
    EXPECT_EQ(read_at(*f, 6, 4096), std::string("Wapp\0\0", 6));  // cut and grown: zeros
    EXPECT_OK(t.unlink("/f"));
    f = nullptr;
    EXPECT_OK(object->get_page(0, hal::Access::kRead).ok() ? Result<void>()
                                                           : Result<void>(Errno::kEIO));
}

TEST_F(Ramfs, PagesComeBack) {
    const std::uint64_t before = mem::page_stats().free;
    const std::string megabyte(1_MiB, 'x');
    {
        Ref<File> f = file("/big");
        for (std::uint64_t i = 0; i < 20; i++)
            ASSERT_EQ(write_at(*f, megabyte, i * 1_MiB).value(), 1_MiB);
        EXPECT_LE(mem::page_stats().free, before - 20 * 256);
        EXPECT_OK(f->truncate(1_MiB));
        EXPECT_GE(mem::page_stats().free + 256 + 16, before);
        EXPECT_OK(t.unlink("/big"));
        EXPECT_EQ(read_at(*f, 3, 0), "xxx");
    }
    EXPECT_GE(mem::page_stats().free + 16, before);
}

TEST_F(Ramfs, FullMemoryIsENOSPC) {
    Ref<File> f = file("/big");
    const std::string megabyte(1_MiB, 'x');
    std::uint64_t offset = 0;
    Errno failure = Errno::kOk;
    while (failure == Errno::kOk && offset < 200_MiB) {
        const auto n = write_at(*f, megabyte, offset);
        failure = n.error();
        if (n.ok()) offset += n.value();
    }
    EXPECT_EQ(failure, Errno::kENOSPC);
    EXPECT_GT(offset, 32_MiB);
    EXPECT_EQ(f->attributes().value().size, offset);
    EXPECT_ERRNO(kENOSPC, f->allocate(0, 0, std::uint64_t{1} << 40));
    EXPECT_OK(f->truncate(0));
    EXPECT_OK(t.write("/small", "fits again"));
}

TEST_F(Ramfs, SizeOption) {
    Tree limited(make("size=16k,mode=0700,uid=5"));
    EXPECT_EQ(limited.stat("/").value().mode, kModeDirectory | 0700);
    EXPECT_EQ(limited.stat("/").value().uid, 5u);
    Ref<File> f = open(limited.context, "/f", kO_RDWR | kO_CREAT, 0600).value();
    const std::string text(20000, 'x');
    EXPECT_EQ(write_at(*f, text, 0).value(), 16384u);
    EXPECT_ERRNO(kENOSPC, write_at(*f, text, 16384));
    EXPECT_OK(f->truncate(0));
    EXPECT_EQ(write_at(*f, text, 100).value(), 16284u);
    MountSource source{};
    for (const char* bad : {"size=x", "size=1q", "mode=9", "what=1", "size", "size=200%"}) {
        source.options = bad;
        EXPECT_ERRNO(kEINVAL, find_file_system_type("tmpfs").value()->create(source));
    }
}

TEST_F(Ramfs, Allocate) {
    Ref<File> f = file("/f");
    EXPECT_OK(f->allocate(0, 100, 5000));
    EXPECT_EQ(f->attributes().value().size, 5100u);
    EXPECT_EQ(f->attributes().value().blocks, 16u);
    EXPECT_OK(f->allocate(kFALLOC_FL_KEEP_SIZE, 0, 100000));
    EXPECT_EQ(f->attributes().value().size, 5100u);
    EXPECT_ERRNO(kEOPNOTSUPP, f->allocate(kFALLOC_FL_PUNCH_HOLE, 0, 1));
    EXPECT_ERRNO(kEOPNOTSUPP, f->allocate(kFALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    EXPECT_ERRNO(kEINVAL, f->allocate(0, 0, 0));
    EXPECT_ERRNO(kEFBIG, f->allocate(0, INT64_MAX, 1));
}

TEST_F(Ramfs, Times) {
    host::set_time_ns(1'000'000'000);
    EXPECT_OK(t.write("/f", "x"));
    const Attributes made = t.stat("/f").value();
    host::advance_time_ns(5'000'000'000);
    EXPECT_EQ(t.read("/f").value(), "x");
    const Attributes read = t.stat("/f").value();
    EXPECT_EQ(read.mtime, made.mtime);
    EXPECT_EQ(read.atime.seconds, made.atime.seconds + 5);
    EXPECT_OK(t.write("/f", "y"));
    EXPECT_EQ(t.stat("/f").value().mtime.seconds, made.mtime.seconds + 5);
    Attributes wanted{};
    wanted.atime = {-5, 999'999'999};
    wanted.mtime = {std::int64_t{1} << 60, 1};
    EXPECT_OK(set_attributes(lookup(t.context, "/f", 0).value(), wanted, kSetAtime | kSetMtime,
                             t.context.credentials));
    EXPECT_EQ(t.stat("/f").value().atime, (Timestamp{-5, 999'999'999}));
    EXPECT_GT(t.stat("/f").value().mtime.seconds, std::int64_t{9'000'000'000});
    host::use_real_time();
}

TEST_F(Ramfs, LargeDirectory) {
    EXPECT_OK(t.mkdir("/d"));
    for (int i = 0; i < 5000; i++) ASSERT_TRUE(t.write("/d/" + std::to_string(i), "").ok());
    EXPECT_EQ(t.list("/d").value().size(), 5002u);
    for (int i = 0; i < 5000; i += 2) ASSERT_TRUE(t.unlink("/d/" + std::to_string(i)).ok());
    for (int i = 0; i < 5000; i++) ASSERT_EQ(t.exists("/d/" + std::to_string(i)), i % 2 == 1);
    for (int i = 0; i < 3000; i++) {
        ASSERT_TRUE(t.write("/d/churn", "").ok());
        ASSERT_TRUE(t.unlink("/d/churn").ok());
    }
    EXPECT_EQ(t.list("/d").value().size(), 2502u);
}

TEST_F(Ramfs, MemoryFile) {
    Ref<File> f = open_memory_file("memfd:test", kO_RDWR).value();
    EXPECT_EQ(write_at(*f, "x", 0).value(), 1u);
    char name[64];
    EXPECT_EQ(std::string(name, f->path().format(name, t.context.root).value()),
              "/memfd:test (deleted)");
    EXPECT_EQ(f->attributes().value().links, 0u);
}

}  // namespace
}  // namespace kiln::fs
