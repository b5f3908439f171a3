#include <kiln/virtio/virtqueue.hpp>

#include <cstring>

#include <gtest/gtest.h>

#include "parse_mmio.hpp"

namespace kiln::virtio {
namespace {

/// The device's side, over the same memory.
class VirtqueueTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::memset(memory_, 0, sizeof(memory_));
        ASSERT_TRUE(queue_.init(memory_, {0x10000}, 4).ok());
    }
    std::uint16_t available_index() { return words(4 * 16)[1]; }
    std::uint16_t available(std::size_t i) { return words(4 * 16)[2 + i]; }
    void complete(std::uint32_t id, std::uint32_t length) {
        std::uint16_t* used = words(kPageSize);
        const std::uint32_t element[2] = {id, length};
        std::memcpy(&used[2 + 4 * (used[1] % 4)], element, sizeof(element));
        ++used[1];
    }
    std::uint16_t* words(std::size_t offset) {
        return reinterpret_cast<std::uint16_t*>(memory_ + offset);
    }

    alignas(4096) std::byte memory_[Virtqueue::kMemoryBytes];
    Virtqueue queue_;
};

TEST_F(VirtqueueTest, BuffersGoAndComeBackInAnyOrder) {
    int a = 0;
    int b = 0;
    ASSERT_TRUE(queue_.add({0x5000}, 100, true, &a).ok());
    ASSERT_TRUE(queue_.add({0x6000}, 200, false, &b).ok());
    ASSERT_EQ(available_index(), 2);
    Virtqueue::Completion done{};
    EXPECT_FALSE(queue_.take(&done));
    complete(available(1), 0);
    complete(available(0), 60);
    ASSERT_TRUE(queue_.take(&done));
    EXPECT_EQ(done.token, &b);
    ASSERT_TRUE(queue_.take(&done));
    EXPECT_EQ(done.token, &a);
    EXPECT_EQ(done.length, 60u);
    EXPECT_FALSE(queue_.take(&done));
}

TEST_F(VirtqueueTest, FullQueueIsAnError) {
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(queue_.add({0x5000}, 1, true, nullptr).ok());
    EXPECT_EQ(queue_.add({0x5000}, 1, true, nullptr).error(), Errno::kEAGAIN);
    complete(2, 0);
    Virtqueue::Completion done{};
    ASSERT_TRUE(queue_.take(&done));
    EXPECT_TRUE(queue_.add({0x5000}, 1, true, nullptr).ok());
}

TEST_F(VirtqueueTest, WrapsAround) {
    Virtqueue::Completion done{};
    for (int i = 0; i < 70000; ++i) {
        ASSERT_TRUE(queue_.add({0x5000}, 8, true, &done).ok());
        complete(available(static_cast<std::size_t>(i) % 4), 8);
        ASSERT_TRUE(queue_.take(&done));
    }
}

TEST_F(VirtqueueTest, DeviceThatLies) {
    int a = 0;
    ASSERT_TRUE(queue_.add({0x5000}, 100, true, &a).ok());
    complete(17, 1);  // no such descriptor
    complete(0xffffffff, 1);
    complete(3, 1);               // not given to it
    complete(available(0), ~0u);  // more than fits
    Virtqueue::Completion done{};
    ASSERT_TRUE(queue_.take(&done));
    EXPECT_EQ(done.token, &a);
    EXPECT_EQ(done.length, 100u);
    EXPECT_EQ(queue_.bad_answers(), 3u);
    complete(available(0), 1);  // twice
    EXPECT_FALSE(queue_.take(&done));
    EXPECT_EQ(queue_.bad_answers(), 4u);
}

TEST(Virtqueue, SizesThatCannotBe) {
    alignas(4096) static std::byte memory[Virtqueue::kMemoryBytes];
    Virtqueue queue;
    for (const std::uint16_t size : {0, 3, 128})
        EXPECT_EQ(queue.init(memory, {0}, static_cast<std::uint16_t>(size)).error(),
                  Errno::kEINVAL);
}

TEST(MmioPlace, AsLinuxHasIt) {
    MmioPlace place;
    ASSERT_TRUE(parse_mmio_place("4K@0xd0000000:5", &place));
    EXPECT_EQ(place.base, 0xd0000000u);
    EXPECT_EQ(place.size, 4096u);
    EXPECT_EQ(place.line, 5u);
    EXPECT_TRUE(parse_mmio_place("0x200@0xfeb00e00:12:7", &place));
    for (const char* bad :
         {"", "4K", "4K@", "4K@0x10", "4K@0x10:", "@1:1", "4K@0x10:5x", "4K@0xfffffffffffffff0:5",
          "99999999999999999999@1:1", "1@0x1000:5", "4G@1:1"})
        EXPECT_FALSE(parse_mmio_place(bad, &place)) << bad;
}

}  // namespace
}  // namespace kiln::virtio
