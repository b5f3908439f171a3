#include <kiln/posix/fd_table.hpp>

#include <gtest/gtest.h>

#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>

namespace kiln::posix {
namespace {

class CountedFile final : public vfs::File {
public:
    explicit CountedFile(int* alive) : File(0), alive_(alive) { ++*alive_; }
    ~CountedFile() override { --*alive_; }
    void descriptor_closed() override { ++closed; }
    static inline int closed = 0;

private:
    int* alive_;
};

constexpr std::uint64_t kLimit = 1024;

class FdTableTest : public testing::Test {
protected:
    void SetUp() override {
        table_ = std::move(FdTable::create()).value();
        CountedFile::closed = 0;
    }
    void TearDown() override {
        table_ = nullptr;
        EXPECT_EQ(alive_, 0) << "a file was leaked, or freed twice";
    }
    Ref<vfs::File> file() { return adopt_ref<vfs::File>(new CountedFile(&alive_)); }
    int open(bool cloexec = false, int minimum = 0, std::uint64_t limit = kLimit) {
        auto fd = table_->install(file(), cloexec, minimum, limit);
        return fd.ok() ? *fd : -static_cast<int>(fd.error());
    }

    Ref<FdTable> table_;
    int alive_ = 0;
};

TEST_F(FdTableTest, GivesTheLowestFreeNumber) {
    EXPECT_EQ(open(), 0);
    EXPECT_EQ(open(), 1);
    EXPECT_EQ(open(), 2);
    EXPECT_TRUE(table_->close(1).ok());
    EXPECT_TRUE(table_->close(0).ok());
    EXPECT_EQ(open(), 0);
    EXPECT_EQ(open(), 1);
    EXPECT_EQ(open(), 3);
    EXPECT_EQ(open(false, 10), 10);
    EXPECT_EQ(open(), 4);
    EXPECT_EQ(open(false, 3), 5);
}

TEST_F(FdTableTest, KeepsToTheLimit) {
    EXPECT_EQ(open(false, 0, 1), 0);
    EXPECT_EQ(open(false, 0, 1), -static_cast<int>(Errno::kEMFILE));
    EXPECT_EQ(table_->install_at(5, file(), false, 5).error(), Errno::kEBADF);
    EXPECT_EQ(table_->install_at(-1, file(), false, 5).error(), Errno::kEBADF);
    EXPECT_EQ(open(false, 0, 2), 1);
}

TEST_F(FdTableTest, GrowsAndKeepsWhatItHolds) {
    for (int i = 0; i < 1000; i++) ASSERT_EQ(open(i % 3 == 0), i);
    for (int i = 0; i < 1000; i++) {
        ASSERT_TRUE(table_->get(i).ok());
        ASSERT_EQ(*table_->close_on_exec_flag(i), i % 3 == 0);
    }
    ASSERT_TRUE(table_->install_at(1023, file(), true, kLimit).ok());
    EXPECT_EQ(table_->get(1022).error(), Errno::kEBADF);
    EXPECT_EQ(table_->next_open(1000), 1023);
    EXPECT_EQ(table_->next_open(1024), -1);
}

TEST_F(FdTableTest, BadNumbers) {
    EXPECT_EQ(table_->get(-1).error(), Errno::kEBADF);
    EXPECT_EQ(table_->get(0).error(), Errno::kEBADF);
    EXPECT_EQ(table_->get(INT32_MAX).error(), Errno::kEBADF);
    EXPECT_EQ(table_->close(64).error(), Errno::kEBADF);
    EXPECT_EQ(table_->close_on_exec_flag(3).error(), Errno::kEBADF);
    EXPECT_EQ(table_->set_close_on_exec(-5, true).error(), Errno::kEBADF);
}

TEST_F(FdTableTest, DupReplacesAndClosesTheOld) {
    ASSERT_EQ(open(), 0);
    ASSERT_EQ(open(), 1);
    auto first = std::move(table_->get(0)).value();
    ASSERT_TRUE(table_->install_at(1, first, true, kLimit).ok());
    EXPECT_EQ(alive_, 1);
    EXPECT_EQ(CountedFile::closed, 1);
    EXPECT_EQ(table_->get(1).value().get(), first.get());
    EXPECT_TRUE(*table_->close_on_exec_flag(1));
    EXPECT_FALSE(*table_->close_on_exec_flag(0));
}

TEST_F(FdTableTest, ExecClosesTheMarkedOnes) {
    for (int i = 0; i < 130; i++) open(i % 2 == 1);
    table_->close_on_exec();
    EXPECT_EQ(alive_, 65);
    for (int i = 0; i < 130; i++) EXPECT_EQ(table_->get(i).ok(), i % 2 == 0);
    EXPECT_EQ(open(), 1);
}

TEST_F(FdTableTest, CloseRange) {
    for (int i = 0; i < 10; i++) open();
    table_->close_range(3, 5, true);
    EXPECT_EQ(alive_, 10);
    EXPECT_TRUE(*table_->close_on_exec_flag(4));
    EXPECT_FALSE(*table_->close_on_exec_flag(6));
    table_->close_range(8, UINT32_MAX, false);
    EXPECT_EQ(alive_, 8);
    EXPECT_EQ(table_->next_open(6), 6);
    EXPECT_EQ(table_->next_open(8), -1);
    EXPECT_EQ(open(), 8);
}

TEST_F(FdTableTest, CloneHoldsTheSameFiles) {
    open();
    open(true);
    table_->install_at(70, file(), false, kLimit).value();
    auto copy = std::move(table_->clone()).value();
    EXPECT_EQ(alive_, 3);
    EXPECT_EQ(copy->get(70).value().get(), table_->get(70).value().get());
    EXPECT_TRUE(*copy->close_on_exec_flag(1));
    table_->close_all();
    EXPECT_EQ(alive_, 3);
    EXPECT_TRUE(copy->get(0).ok());
}

TEST_F(FdTableTest, FailsCleanlyWithoutMemory) {
    for (int i = 0; i < 64; i++) open();
    mem::inject_allocation_failures(1);
    const int refused = open();
    mem::inject_allocation_failures(0);
    EXPECT_EQ(refused, -static_cast<int>(Errno::kENOMEM));
    EXPECT_EQ(alive_, 64);
    EXPECT_EQ(open(), 64);
}

}  // namespace
}  // namespace kiln::posix
