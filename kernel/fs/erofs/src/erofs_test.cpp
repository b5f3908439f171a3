// The reader against images made by mkfs.erofs, whole and spoilt.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <kiln/fs/erofs_format.hpp>

namespace kiln::fs {
namespace {

namespace stdfs = std::filesystem;

class ErofsTest : public testing::Test {
protected:
    static void SetUpTestSuite() {
        char pattern[] = "/tmp/kiln-erofs-XXXXXX";
        ASSERT_NE(mkdtemp(pattern), nullptr);
        const stdfs::path dir(pattern);
        const stdfs::path tree = dir / "tree";
        stdfs::create_directories(tree / "etc");
        std::ofstream(tree / "etc/hostname") << "kiln\n";
        std::ofstream(tree / "big") << std::string(3 * 4096 + 17, 'x');
        std::ofstream(tree / "pages") << std::string(2 * 4096, 'y');
        std::ofstream(tree / "empty");
        stdfs::create_symlink("etc/hostname", tree / "link");
        stdfs::create_directories(tree / "many");
        for (int i = 0; i < 1000; ++i)
            std::ofstream(tree / "many" / ("file-" + std::to_string(i))) << i;
        const std::string image = (dir / "image").string();
        ASSERT_EQ(
            std::system(
                ("mkfs.erofs --quiet " + image + " " + tree.string() + " >/dev/null 2>&1").c_str()),
            0)
            << "mkfs.erofs (package erofs-utils) failed";
        std::ifstream in(image, std::ios::binary);
        bytes_.assign(std::istreambuf_iterator<char>(in), {});
        stdfs::remove_all(dir);
    }
    static std::span<const std::byte> bytes() { return std::as_bytes(std::span(bytes_)); }
    static ErofsImage open() {
        const char* reason = "";
        auto image = ErofsImage::open(bytes(), &reason);
        EXPECT_TRUE(image.ok()) << reason;
        return image.value();
    }
    static ErofsInodeInfo at(const ErofsImage& image, std::initializer_list<const char*> path) {
        ErofsInodeInfo info = image.inode(image.root_nid()).value();
        for (const char* name : path)
            info = image.inode(image.find(info, name).value().nid).value();
        return info;
    }
    static std::string content(const ErofsImage& image, const ErofsInodeInfo& info) {
        std::string all;
        while (all.size() < info.size) {
            const auto part = image.data(info, all.size());
            all.append(reinterpret_cast<const char*>(part.data()), part.size());
        }
        return all;
    }
    static inline std::vector<char> bytes_;
};

TEST_F(ErofsTest, ReadsFiles) {
    const ErofsImage image = open();
    EXPECT_EQ(content(image, at(image, {"etc", "hostname"})), "kiln\n");
    EXPECT_EQ(content(image, at(image, {"big"})), std::string(3 * 4096 + 17, 'x'));
    EXPECT_EQ(content(image, at(image, {"pages"})), std::string(2 * 4096, 'y'));
    EXPECT_EQ(at(image, {"empty"}).size, 0u);
    EXPECT_EQ(content(image, at(image, {"link"})), "etc/hostname");
    EXPECT_EQ(image.find(at(image, {}), "absent").error(), Errno::kENOENT);
    EXPECT_EQ(image.find(at(image, {}), "").error(), Errno::kENOENT);
}

TEST_F(ErofsTest, FindsEveryNameOfALargeDirectory) {
    const ErofsImage image = open();
    const ErofsInodeInfo many = at(image, {"many"});
    ASSERT_GT(many.size, 2 * kErofsBlockSize);
    for (int i = 0; i < 1000; ++i) {
        const std::string name = "file-" + std::to_string(i);
        auto entry = image.find(many, name);
        ASSERT_TRUE(entry.ok()) << name;
        EXPECT_EQ(content(image, image.inode(entry->nid).value()), std::to_string(i));
    }
    std::size_t count = 0;
    std::uint64_t position = 0;
    while (image.entry_at(many, &position).ok()) ++count;
    EXPECT_EQ(count, 1002u);  // with "." and ".."
}

TEST_F(ErofsTest, RefusesOtherImages) {
    const char* reason = "";
    EXPECT_EQ(ErofsImage::open(bytes().first(100), &reason).error(), Errno::kEINVAL);
    EXPECT_EQ(ErofsImage::open(bytes().first(bytes().size() - 1), &reason).error(),
              Errno::kEUCLEAN);
    EXPECT_STREQ(reason, "EROFS image cut short");
    std::vector<char> other = bytes_;
    other[1024] ^= 1;
    EXPECT_EQ(ErofsImage::open(std::as_bytes(std::span(other)), &reason).error(), Errno::kEINVAL);
    other = bytes_;
    other[1024 + 80] |= 0x10;  // a feature this reader does not know
    EXPECT_EQ(ErofsImage::open(std::as_bytes(std::span(other)), &reason).error(),
              Errno::kEOPNOTSUPP);
    EXPECT_EQ(open().inode(1ull << 60).error(), Errno::kEUCLEAN);
}

// Any spoilt image gives answers or errors; the address sanitizer watches.
TEST_F(ErofsTest, SurvivesSpoiltMetadata) {
    std::mt19937 random(1);
    for (int round = 0; round < 300; ++round) {
        std::vector<char> spoilt = bytes_;
        for (int i = 0; i < 20; ++i)
            spoilt[1024 + random() % (spoilt.size() - 1024)] = static_cast<char>(random());
        const char* reason = "";
        auto image = ErofsImage::open(std::as_bytes(std::span(spoilt)), &reason);
        if (!image.ok()) continue;
        for (std::uint64_t nid = 0; nid < 400; ++nid) {
            auto info = image->inode(nid);
            if (!info.ok()) continue;
            std::uint64_t position = 0;
            for (int n = 0; n < 50 && image->entry_at(*info, &position).ok(); ++n) {
            }
            (void)image->find(*info, "hostname").ok();
            for (std::uint64_t offset = 0; offset < info->size; offset += 4096) {
                const auto part = image->data(*info, offset);
                ASSERT_FALSE(part.empty());
                volatile std::byte last = part.back();
                (void)last;
            }
        }
    }
}

}  // namespace
}  // namespace kiln::fs
