// Ends badly on purpose; the seed on the command line (`seed=N`) picks how, so that one image shows every way.
#include <cstdint>
#include <cstdlib>

#include <kiln/base/panic.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/init/application.hpp>
#include <kiln/sync/spinlock.hpp>

#include "tap.hpp"

namespace kiln {
namespace {

[[gnu::noinline]] void panic_deep(int depth) {
    if (depth == 0) panic("the test asked for it");
    if (depth > 0) panic_deep(depth - 1);
    asm volatile("");
}

[[gnu::noinline]] void write_to_text() {
    *reinterpret_cast<volatile unsigned char*>(reinterpret_cast<std::uintptr_t>(&panic_deep)) =
        0xcc;
}

[[gnu::noinline]] void run_data() {
    static unsigned char code[16] = {0xc3};
    reinterpret_cast<void (*)()>(reinterpret_cast<std::uintptr_t>(code))();
}

[[gnu::noinline]] int overflow_stack(volatile int* previous) {
    volatile int frame[200];
    frame[0] = *previous + 1;
    return frame[0] == 0 ? 0 : overflow_stack(frame) + frame[0];
}

[[gnu::noinline]] void read_null() {
    std::uintptr_t address = 8;
    asm volatile("" : "+r"(address));
    (void)*reinterpret_cast<volatile int*>(address);
}

}  // namespace
}  // namespace kiln

int kiln_application_main() {
    using namespace kiln;
    const std::string_view words = hal::boot_info().command_line;
    const auto asked = [&](std::string_view what) {
        return words.find(what) != std::string_view::npos;
    };
    int zero = 0;
    if (asked("seed=1")) panic_deep(3);
    if (asked("seed=2")) write_to_text();
    if (asked("seed=3")) run_data();
    if (asked("seed=4")) return overflow_stack(&zero);
    if (asked("seed=5")) read_null();
    if (asked("seed=6")) KILN_ASSERT(zero == 1);
    return 99;
}
