#include <kiln/fs/cpio.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <string>

namespace kiln::fs {
namespace {

void add(std::string* archive, const std::string& name, unsigned mode, const std::string& data) {
    char header[111];
    std::snprintf(header, sizeof(header),
                  "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 7u, mode, 1u, 2u,
                  1u, 9u, static_cast<unsigned>(data.size()), 0u, 1u, 4u, 5u,
                  static_cast<unsigned>(name.size() + 1), 0u);
    archive->append(header, 110);
    archive->append(name).push_back('\0');
    while (archive->size() % 4) archive->push_back('\0');
    archive->append(data);
    while (archive->size() % 4) archive->push_back('\0');
}

std::span<const std::byte> bytes(const std::string& s) { return std::as_bytes(std::span(s)); }

TEST(Cpio, ReadsMembersInTurn) {
    std::string archive;
    add(&archive, "dir", 040755, "");
    add(&archive, "dir/file", 0100644, "hello");
    add(&archive, "TRAILER!!!", 0, "");
    const std::size_t length = archive.size();
    archive.append(512, '\0');
    CpioReader reader(bytes(archive));
    const char* reason = nullptr;
    EXPECT_EQ(reader.next(&reason)->name, "dir");
    auto file = reader.next(&reason);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(file->name, "dir/file");
    EXPECT_EQ(file->mode, 0100644u);
    EXPECT_EQ(file->uid, 1u);
    EXPECT_EQ(file->gid, 2u);
    EXPECT_EQ(file->mtime, 9u);
    EXPECT_EQ(file->rdev, 0x405u);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->data.data()), file->data.size()),
              "hello");
    EXPECT_EQ(reader.next(&reason).error(), Errno::kENOENT);
    EXPECT_EQ(reader.position(), length);
}

TEST(Cpio, RefusesEveryCut) {
    std::string archive;
    add(&archive, "file", 0100644, "hello");
    add(&archive, "TRAILER!!!", 0, "");
    for (std::size_t size = 0; size < 120; ++size) {
        const std::string cut(archive, 0, size);
        CpioReader reader(bytes(cut));
        const char* reason = nullptr;
        EXPECT_EQ(reader.next(&reason).error(), Errno::kEINVAL) << size;
        EXPECT_NE(reason, nullptr);
    }
}

TEST(Cpio, NamesThatLeaveTheRoot) {
    EXPECT_TRUE(cpio_name_is_safe("a/b"));
    EXPECT_TRUE(cpio_name_is_safe("./a/..b"));
    EXPECT_TRUE(cpio_name_is_safe("/etc/x"));
    EXPECT_FALSE(cpio_name_is_safe("../a"));
    EXPECT_FALSE(cpio_name_is_safe("a/../../b"));
    EXPECT_FALSE(cpio_name_is_safe("a/.."));
    EXPECT_FALSE(cpio_name_is_safe(""));
    EXPECT_FALSE(cpio_name_is_safe(std::string(256, 'a')));
}

}  // namespace
}  // namespace kiln::fs
