#include <cstring>

#include <gtest/gtest.h>

#include <kiln/arch/host.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/user_access.hpp>

namespace kiln {
namespace {

TEST(ArchHost, InterruptStateNests) {
    ASSERT_TRUE(hal::irqs_enabled());
    const hal::IrqState outer = hal::irq_save();
    const hal::IrqState inner = hal::irq_save();
    EXPECT_FALSE(hal::irqs_enabled());
    hal::irq_restore(inner);
    EXPECT_FALSE(hal::irqs_enabled());
    hal::irq_restore(outer);
    EXPECT_TRUE(hal::irqs_enabled());
}

int hook_calls = 0;

TEST(ArchHost, PreemptHookRunsWhenTheCountReachesZero) {
    hal::set_preempt_hook([] {
        hal::cpu_local().need_resched = false;
        ++hook_calls;
    });
    hal::preempt_disable();
    hal::preempt_disable();
    hal::cpu_local().need_resched = true;
    hal::preempt_enable();
    EXPECT_EQ(hook_calls, 0);
    hal::preempt_enable();
    EXPECT_EQ(hook_calls, 1);
    hal::set_preempt_hook(nullptr);
}

TEST(ArchHost, UserCopiesStopAtBadMemory) {
    char from[16];
    char to[16] = {};
    std::memset(from, 'x', sizeof(from));
    host::set_bad_user_range(from + 10, 6);
    const auto address = reinterpret_cast<std::uintptr_t>(from);
    EXPECT_EQ(hal::copy_from_user(to, address, 16), 6u);
    EXPECT_EQ(to[9], 'x');
    EXPECT_EQ(to[10], 0);
    EXPECT_EQ(hal::copy_to_user(address + 10, to, 1), 1u);
    EXPECT_EQ(hal::zero_user(address, 10), 0u);
    EXPECT_EQ(hal::copy_from_user(to, 8, 1), 1u) << "null page";
    host::set_bad_user_range(nullptr, 0);
    std::strcpy(from, "abc");
    EXPECT_EQ(hal::strnlen_user(address, 16), 3);
    EXPECT_EQ(hal::strnlen_user(address, 2), 2);
    EXPECT_EQ(hal::strnlen_user(0, 2), -1);
}

struct PingPong {
    hal::ThreadContext main;
    hal::ThreadContext other;
    int turns = 0;
};

TEST(ArchHost, SwitchContextRunsTheEntryAndComesBack) {
    PingPong state;
    hal::ThreadContext* before = hal::cpu_local().current;
    hal::cpu_local().current = &state.main;
    hal::init_context(
        &state.other, 0x1000,
        [](hal::ThreadContext* previous, void* argument) {
            auto* s = static_cast<PingPong*>(argument);
            EXPECT_EQ(previous, &s->main);
            for (;;) {
                EXPECT_EQ(hal::current_context(), &s->other);
                ++s->turns;
                EXPECT_EQ(hal::switch_context(&s->other, &s->main), &s->main);
            }
        },
        &state);
    for (int i = 1; i <= 3; ++i) {
        EXPECT_EQ(hal::switch_context(&state.main, &state.other), &state.other);
        EXPECT_EQ(state.turns, i);
    }
    hal::cpu_local().current = before;
}

}  // namespace
}  // namespace kiln
