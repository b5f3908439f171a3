#include <kiln/trace/trace.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace kiln::trace {
namespace {

KILN_TRACEPOINT(test_one, "value");
KILN_TRACEPOINT(test_two, "a b");
KILN_TRACEPOINT(other, "");

constexpr std::size_t kEvents = 16;

class Trace : public ::testing::Test {
protected:
    void SetUp() override {
        static const bool started = start(kEvents).ok();
        ASSERT_TRUE(started);
        next = read(
            0, [](const Event&, void*) { return true; }, nullptr);
    }
    void TearDown() override { enable("", false); }
    std::vector<Event> events() {
        std::vector<Event> all;
        next = read(
            next,
            [](const Event& e, void* out) {
                static_cast<std::vector<Event>*>(out)->push_back(e);
                return true;
            },
            &all);
        return all;
    }
    std::uint64_t next = 0;
};

TEST_F(Trace, OnlyWhatIsEnabledIsRecorded) {
    KILN_TRACE(test_one, 1);
    EXPECT_EQ(enable("test_", true), 2u);
    KILN_TRACE(test_one, 2);
    KILN_TRACE(test_two, 3, 4);
    KILN_TRACE(other);
    const auto all = events();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].point->name, "test_one");
    EXPECT_EQ(all[0].arguments[0], 2u);
    EXPECT_EQ(all[1].point->fields, "a b");
    EXPECT_EQ(all[1].arguments[1], 4u);
    EXPECT_LE(all[0].time_ns, all[1].time_ns);
    EXPECT_TRUE(events().empty()) << "each is read once";
    EXPECT_EQ(enable("nothing", true), 0u);
}

TEST_F(Trace, TheLastOnesStay) {
    enable("test_one", true);
    for (int i = 0; i < 40; i++) KILN_TRACE(test_one, i);
    const auto all = events();
    ASSERT_EQ(all.size(), kEvents);
    EXPECT_EQ(all.front().arguments[0], 40 - kEvents);
    EXPECT_EQ(all.back().arguments[0], 39u);
}

TEST_F(Trace, StartWantsAPowerOfTwoAndOnlyOnce) {
    EXPECT_EQ(start(24).error(), Errno::kEINVAL);
    EXPECT_EQ(start(32).error(), Errno::kEBUSY);
}

}  // namespace
}  // namespace kiln::trace
