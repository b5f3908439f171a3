#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <optional>

#include <kiln/arch/host.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/plat/host.hpp>

namespace kiln {
namespace {

constexpr std::uint32_t kTimerVector = 224;

struct Boot {
    std::string command_line;
    hal::MemoryRange ram[2];
    hal::MemoryRange reserved[3];
    hal::BootInfo info;
};
Boot& boot() {
    static Boot instance;
    return instance;
}

struct Console {
    std::mutex mutex;
    std::string output;
    std::string input;
    void (*handler)() = nullptr;
    bool paused = false;
};
Console& console() {
    static Console instance;
    return instance;
}

thread_local std::uint64_t deadline = UINT64_MAX;

}  // namespace

void host::set_boot_info(std::string_view command_line, std::span<const std::byte> initrd) {
    const std::uint64_t size = ram_size();
    const std::uint64_t initrd_bytes = page_up(initrd.size());
    KILN_ASSERT(initrd_bytes < size - 2_MiB);
    const std::uint64_t initrd_begin = size - initrd_bytes;
    Boot& b = boot();
    b.command_line = command_line;
    b.ram[0] = {{0}, {640_KiB}};
    b.ram[1] = {{1_MiB}, {size}};
    b.reserved[0] = {{0}, {64_KiB}};
    b.reserved[1] = {{1_MiB}, {1_MiB + 64_KiB}};
    b.reserved[2] = {{initrd_begin}, {size}};
    b.info = {};
    b.info.ram = b.ram;
    b.info.reserved = std::span(b.reserved).first(initrd.empty() ? 2 : 3);
    b.info.command_line = b.command_line;
    b.info.protocol = "host";
    if (!initrd.empty()) {
        void* to = hal::phys_to_virt({initrd_begin});
        std::memcpy(to, initrd.data(), initrd.size());
        b.info.initrd = {static_cast<const std::byte*>(to), initrd.size()};
        b.info.initrd_phys = {initrd_begin};
    }
}

std::string host::take_console_output() {
    Console& c = console();
    const std::lock_guard guard(c.mutex);
    return std::exchange(c.output, {});
}

void host::type_on_console(std::string_view bytes) {
    Console& c = console();
    {
        const std::lock_guard guard(c.mutex);
        c.input += bytes;
    }
    if (c.handler != nullptr && !c.paused) c.handler();
}

std::uint64_t host::armed_deadline_cycles() { return deadline; }
bool host::fire_timer_if_due() {
    if (hal::cycle_counter() < deadline) return false;
    deadline = UINT64_MAX;
    interrupt(kTimerVector);
    return true;
}

namespace hal {

const BootInfo& boot_info() {
    if (boot().info.protocol == nullptr) host::set_boot_info();
    return boot().info;
}

void console_write(std::string_view bytes) {
    Console& c = console();
    const std::lock_guard guard(c.mutex);
    c.output += bytes;
}
bool console_read(char* c) {
    Console& con = console();
    const std::lock_guard guard(con.mutex);
    if (con.input.empty()) return false;
    *c = con.input.front();
    con.input.erase(0, 1);
    return true;
}
void console_enable_input_interrupt(void (*handler)()) { console().handler = handler; }
void set_console_device(const ConsoleDevice&) {}
ConsoleChoice console_choice() { return ConsoleChoice::kPlatform; }
bool has_pci() { return false; }
void console_pause_input(bool paused) {
    Console& c = console();
    c.paused = paused;
    if (!paused && !c.input.empty() && c.handler != nullptr) c.handler();
}

const ClockScale& clock_scale() {
    static constexpr ClockScale kScale = {.base_cycles = 0,
                                          .mult = 1u << 24,
                                          .shift = 24,
                                          .frequency_hz = kNsPerSec,
                                          .source = "host"};
    return kScale;
}
std::uint64_t boot_wall_clock_ns() {
    static const std::uint64_t at_start = [] {
        timespec now{};
        clock_gettime(CLOCK_REALTIME, &now);
        return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSec +
               static_cast<std::uint64_t>(now.tv_nsec);
    }();
    return at_start;
}

void timer_arm(std::uint64_t deadline_cycles) { deadline = deadline_cycles; }
void timer_disarm() { deadline = UINT64_MAX; }
std::uint32_t timer_vector() { return kTimerVector; }
void interrupt_end(std::uint32_t) {}
void interrupt_route(std::uint32_t, std::uint32_t) {}
bool handle_platform_interrupt(std::uint32_t) { return false; }

void power_off(std::string_view end_record, std::uint8_t status) {
    std::fprintf(stderr, "power off: %.*s", static_cast<int>(end_record.size()), end_record.data());
    std::exit(status);
}

std::size_t platform_entropy(std::span<std::byte> out) {
    for (std::byte& b : out) {
        std::uint64_t r = 0;
        hw_random(&r);
        b = static_cast<std::byte>(r);
    }
    return out.size();
}

}  // namespace hal
}  // namespace kiln
