// Ending the machine when the kernel's own state can't be trusted any more.
#pragma once

#include <string_view>

namespace kiln {

/// Ends the machine with a backtrace and `reason`. Implemented by `debug` in the guest, by abort()
/// in host tests. Callable in any context, also with locks held.
[[noreturn]] void panic(std::string_view reason);

/// Slow path of KILN_ASSERT.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace kiln

/// Checks a condition that holds unless the kernel has a bug; always compiled in. Never used on
/// outside input.
#define KILN_ASSERT(expr)                    \
    (__builtin_expect(!!(expr), 1) ? (void)0 \
                                   : ::kiln::assertion_failed(#expr, __builtin_FILE(), __LINE__))
