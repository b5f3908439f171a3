#include "table.hpp"

#include <array>
#include <atomic>
#include <string_view>

#include <config/syscall_trace.hpp>
#include <kiln/abi/linux/errno.hpp>
#include <kiln/base/init_call.hpp>
#include <kiln/posix/report.hpp>

#include "adapt.hpp"
#include "handlers.hpp"

namespace kiln::syscalls {
namespace {

constexpr std::size_t text_length(const char* text) { return std::string_view(text).size(); }

// A row's decoder letters and its handler tell the same number of arguments.
#define KILN_CHECK_full(name, args) \
    static_assert(arity(&sys_##name) == text_length(args), "arguments of " #name);
#define KILN_CHECK_partial KILN_CHECK_full
#define KILN_CHECK_none(name, args) static_assert(text_length(args) <= 6);
#define KILN_SYSCALL(number, name, level, args, note) KILN_CHECK_##level(name, args)
#include "../table.def"
#undef KILN_SYSCALL

std::int64_t absent(std::uint32_t number) {
    static constinit std::array<std::atomic<std::uint64_t>, (kSyscallCount + 63) / 64> named{};
    const std::uint64_t bit = 1ull << (number % 64);
    if ((named[number / 64].fetch_or(bit, std::memory_order_relaxed) & bit) == 0)
        posix::report_missing_syscall(number, syscall_name(number));
    return -static_cast<std::int64_t>(Errno::kENOSYS);
}

/// Null: no handler.
constexpr auto kHandlers = [] {
    std::array<Handler, kSyscallCount> table{};
#define KILN_ROW_full(number, name) table[number] = adapt<&sys_##name>;
#define KILN_ROW_partial KILN_ROW_full
#define KILN_ROW_none(number, name)
#define KILN_SYSCALL(number, name, level, args, note) KILN_ROW_##level(number, name)
#include "../table.def"
#undef KILN_SYSCALL
    return table;
}();

constexpr auto kTexts = [] {
    std::array<SyscallText, kSyscallCount> table{};
#define KILN_SYSCALL(number, name, level, args, note) table[number] = {#name, args};
#include "../table.def"
#undef KILN_SYSCALL
    return table;
}();

void dispatch(hal::TrapFrame& frame) { hal::set_syscall_result(frame, run_syscall(frame)); }

}  // namespace

std::int64_t run_syscall(hal::TrapFrame& frame) {
    // Linux looks at the lower half of the register only.
    const auto number = static_cast<std::uint32_t>(hal::syscall_number(frame));
    if (number >= kSyscallCount) [[unlikely]]
        return -static_cast<std::int64_t>(Errno::kENOSYS);
    const Handler handler = kHandlers[number];
    if (!handler) [[unlikely]]
        return absent(number);
    const Result<std::int64_t> result =
        handler(hal::syscall_argument(frame, 0), hal::syscall_argument(frame, 1),
                hal::syscall_argument(frame, 2), hal::syscall_argument(frame, 3),
                hal::syscall_argument(frame, 4), hal::syscall_argument(frame, 5));
    return result.ok() ? result.value() : -static_cast<std::int64_t>(result.error());
}

const SyscallText& syscall_text(std::uint32_t number) {
    static constexpr SyscallText kUnknown = {nullptr, ""};
    return number < kSyscallCount ? kTexts[number] : kUnknown;
}

bool has_handler(std::uint32_t number) {
    return number < kSyscallCount && kHandlers[number] != nullptr;
}

std::string_view syscall_name(std::uint32_t number) {
    const char* name = syscall_text(number).name;
    return name ? name : "";
}

void init() {
    if constexpr (config::syscall_trace) {
        if (is_tracing_wanted()) {
            hal::set_syscall_handler(traced_dispatch);
            return;
        }
    }
    hal::set_syscall_handler(dispatch);
}
KILN_INIT_CALL(syscalls, InitLevel::kCore, init);

}  // namespace kiln::syscalls
