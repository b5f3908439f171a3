// In host tests there is no machine to look back on: addresses alone go to the pretended console.
#include <kiln/base/format.hpp>
#include <kiln/debug/backtrace.hpp>
#include <kiln/hal/platform.hpp>

namespace kiln::debug {

void set_application_symbolizer(ApplicationSymbolizer) {}

void print_backtrace(std::uintptr_t ip, std::uintptr_t) {
    char line[32];
    hal::console_write({line, format_to(line, "  # 0 {:016x}\n", ip)});
}

void print_frame(const hal::TrapFrame& frame) {
    print_backtrace(hal::instruction_pointer(frame), hal::frame_pointer(frame));
}

}  // namespace kiln::debug
