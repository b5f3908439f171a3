#include <kiln/debug/backtrace.hpp>

#include <atomic>
#include <string_view>

#include <config/kallsyms.hpp>
#include <kiln/base/format.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/kallsyms/kallsyms.hpp>

namespace kiln::debug {
namespace {

constinit std::atomic<ApplicationSymbolizer> application_symbolizer{nullptr};
constexpr std::size_t kLineBytes = 288;

std::size_t kernel_name(std::uintptr_t ip, std::span<char> out) {
    if constexpr (config::kallsyms) {
        char name[kallsyms::kMaxName];
        if (const auto function = kallsyms::find(ip, name))
            return format_to(out, "{}+0x{:x}", function->name, function->offset);
    }
    return 0;
}

/// `cookie`: the number of frames so far. A return address may be the first of the next function: what was called ended
/// before it, so all but the first are looked up one byte earlier.
bool print_line(std::uintptr_t ip, void* cookie) {
    unsigned& index = *static_cast<unsigned*>(cookie);
    char name[kLineBytes];
    std::size_t length = 0;
    const std::uintptr_t asked = index == 0 ? ip : ip - 1;
    if (ip >= hal::kUserEnd) {
        length = kernel_name(asked, std::span<char>(name));
    } else if (const ApplicationSymbolizer symbolize = application_symbolizer.load()) {
        length = symbolize(asked, std::span<char>(name));
    }
    char line[kLineBytes];
    const std::size_t n =
        format_to(line, "  #{:2} {:016x}  {}\n", index, ip, std::string_view(name, length));
    hal::console_write({line, n});
    ++index;
    return true;
}

}  // namespace

void set_application_symbolizer(ApplicationSymbolizer symbolizer) {
    application_symbolizer = symbolizer;
}

void print_backtrace(std::uintptr_t ip, std::uintptr_t fp) {
    unsigned index = 0;
    hal::walk_stack(ip, fp, print_line, &index);
}

void print_frame(const hal::TrapFrame& frame) {
    char text[768];
    hal::console_write({text, hal::format_registers(frame, text)});
    print_backtrace(hal::instruction_pointer(frame), hal::frame_pointer(frame));
}

}  // namespace kiln::debug
