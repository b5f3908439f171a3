#include <gtest/gtest.h>

#include <kiln/arch/host.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/plat/host.hpp>

namespace kiln {
namespace {

TEST(PlatformHost, BootInfoDescribesTheArena) {
    host::set_ram_size(8_MiB);
    const std::byte image[5] = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                std::byte{5}};
    host::set_boot_info("a=b", image);
    const hal::BootInfo& info = hal::boot_info();
    EXPECT_EQ(info.command_line, "a=b");
    ASSERT_EQ(info.ram.size(), 2u);
    EXPECT_EQ(info.ram[1].end.value, 8_MiB);
    ASSERT_EQ(info.initrd.size(), sizeof(image));
    EXPECT_EQ(info.initrd[4], std::byte{5});
    EXPECT_EQ(hal::virt_to_phys(info.initrd.data()), info.initrd_phys);
    EXPECT_EQ(info.initrd_phys.value, 8_MiB - 4_KiB);
}

std::uint32_t delivered = 0;

TEST(PlatformHost, TimerFiresOnceAtItsDeadline) {
    hal::set_interrupt_handler([](std::uint32_t vector, hal::TrapFrame&) {
        EXPECT_TRUE(hal::cpu_local().in_interrupt);
        EXPECT_FALSE(hal::irqs_enabled());
        delivered = vector;
    });
    host::set_time_ns(1000);
    hal::timer_arm(1500);
    EXPECT_FALSE(host::fire_timer_if_due());
    host::advance_time_ns(500);
    EXPECT_TRUE(host::fire_timer_if_due());
    EXPECT_EQ(delivered, hal::timer_vector());
    EXPECT_FALSE(host::fire_timer_if_due());
    host::use_real_time();
}

TEST(PlatformHost, Console) {
    hal::console_write("out");
    EXPECT_EQ(host::take_console_output(), "out");
    EXPECT_EQ(host::take_console_output(), "");
    host::type_on_console("xy");
    char c = 0;
    EXPECT_TRUE(hal::console_read(&c));
    EXPECT_EQ(c, 'x');
    EXPECT_TRUE(hal::console_read(&c));
    EXPECT_FALSE(hal::console_read(&c));
}

}  // namespace
}  // namespace kiln
