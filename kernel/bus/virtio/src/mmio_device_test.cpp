#include <kiln/virtio/mmio_device.hpp>

#include <gtest/gtest.h>

namespace kiln::virtio {
namespace {

struct Registers {
    alignas(4096) std::uint32_t words[0x80] = {};
    std::uint32_t& at(std::size_t offset) { return words[offset / 4]; }
};

Registers device(std::uint32_t version) {
    Registers r;
    r.at(0x000) = 0x74726976;
    r.at(0x004) = version;
    r.at(0x008) = kDeviceConsole;
    r.at(0x034) = 1024;
    return r;
}

TEST(MmioDevice, Probe) {
    Registers r = device(2);
    EXPECT_EQ(MmioDevice::probe(r.words).value().device_id(), kDeviceConsole);
    r.at(0x008) = 0;
    EXPECT_FALSE(MmioDevice::probe(r.words).ok()) << "an empty slot";
    r = device(3);
    EXPECT_FALSE(MmioDevice::probe(r.words).ok());
    r = device(2);
    r.at(0) = 0;
    EXPECT_FALSE(MmioDevice::probe(r.words).ok());
}

TEST(MmioDevice, LegacyQueueIsGivenByItsPageNumber) {
    Registers r = device(1);
    MmioDevice d = MmioDevice::probe(r.words).value();
    ASSERT_TRUE(d.begin(0).ok());
    EXPECT_EQ(r.at(0x028), kPageSize);
    alignas(4096) static std::byte memory[Virtqueue::kMemoryBytes];
    Virtqueue queue;
    ASSERT_TRUE(d.setup_queue(1, &queue, memory, {0x123000}).ok());
    EXPECT_EQ(r.at(0x030), 1u);
    EXPECT_EQ(r.at(0x038), Virtqueue::kMaxSize);
    EXPECT_EQ(r.at(0x040), 0x123u);
    d.start();
    EXPECT_EQ(r.at(0x070), 1u | 2 | 4);
}

TEST(MmioDevice, DeviceThatRefusesVersion1) {
    Registers r = device(2);  // offers no feature at all
    MmioDevice d = MmioDevice::probe(r.words).value();
    EXPECT_EQ(d.begin(0).error(), Errno::kEIO);
}

TEST(MmioDevice, QueueThatIsNotThere) {
    Registers r = device(2);
    r.at(0x034) = 0;
    MmioDevice d = MmioDevice::probe(r.words).value();
    Virtqueue queue;
    EXPECT_EQ(d.setup_queue(0, &queue, nullptr, {}).error(), Errno::kENODEV);
}

}  // namespace
}  // namespace kiln::virtio
