#include <kiln/irq/irq.hpp>

#include <gtest/gtest.h>

#include <vector>

#include <kiln/arch/host.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/plat/host.hpp>

namespace kiln {
namespace {

std::vector<int> calls;

void note(void* cookie) {
    EXPECT_TRUE(irq::in_interrupt());
    calls.push_back(*static_cast<int*>(cookie));
}

class Irq : public ::testing::Test {
protected:
    void SetUp() override {
        calls.clear();
        irq::init();
    }
};

TEST_F(Irq, HandlerOfAVectorIsCalledWithItsCookie) {
    int a = 1;
    int b = 2;
    const std::uint32_t first = irq::allocate_vector(note, &a).value();
    const std::uint32_t second = irq::allocate_vector(note, &b).value();
    ASSERT_NE(first, second);
    host::interrupt(second);
    host::interrupt(first);
    EXPECT_EQ(calls, (std::vector<int>{2, 1}));
    EXPECT_EQ(irq::count(first), 1u);
    irq::free_vector(first);
    host::interrupt(first);
    EXPECT_EQ(calls.size(), 2u);
    EXPECT_EQ(irq::allocate_vector(note, &a).value(), first);
    irq::free_vector(first);
    irq::free_vector(second);
}

TEST_F(Irq, RunsOutOfVectors) {
    int a = 1;
    std::vector<std::uint32_t> all;
    for (;;) {
        auto vector = irq::allocate_vector(note, &a);
        if (!vector.ok()) {
            EXPECT_EQ(vector.error(), Errno::kENOSPC);
            break;
        }
        all.push_back(vector.value());
    }
    EXPECT_EQ(all.size(), hal::kLastDeviceVector - hal::kFirstDeviceVector + 1);
    for (const std::uint32_t vector : all) irq::free_vector(vector);
}

TEST_F(Irq, DevicesShareALine) {
    static int a = 1;
    static int b = 2;
    const std::uint32_t next = irq::allocate_vector(note, &a).value();
    irq::free_vector(next);
    ASSERT_TRUE(irq::connect_line(10, note, &a).ok());
    ASSERT_TRUE(irq::connect_line(10, note, &b).ok());
    host::interrupt(next);
    EXPECT_EQ(calls, (std::vector<int>{1, 2}));
}

irq::Deferred* again = nullptr;

TEST_F(Irq, DeferredWorkRunsAfterTheHandlerOnceInOrder) {
    static irq::Deferred one{[](void*) {
                                 EXPECT_TRUE(hal::irqs_enabled());
                                 calls.push_back(10);
                             },
                             nullptr};
    static irq::Deferred two{[](void*) {
                                 calls.push_back(20);
                                 if (again != nullptr) std::exchange(again, nullptr)->queue();
                             },
                             nullptr};
    const std::uint32_t vector = irq::allocate_vector(
                                     [](void*) {
                                         one.queue();
                                         two.queue();
                                         one.queue();
                                         calls.push_back(1);
                                     },
                                     nullptr)
                                     .value();
    again = &one;
    host::interrupt(vector);
    EXPECT_EQ(calls, (std::vector<int>{1, 10, 20, 10}));
    irq::free_vector(vector);
}

}  // namespace
}  // namespace kiln
