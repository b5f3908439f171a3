// The frame of the tests inside the kernel: cases in order, expectations, TAP lines on the console.
#pragma once

#include <kiln/base/format.hpp>
#include <kiln/hal/platform.hpp>

namespace kiln::tap {

template <typename... Args>
void print(std::string_view format, const Args&... args) {
    char line[256];
    hal::console_write({line, format_to(line, format, args...)});
}

inline int cases = 0;
inline int failures = 0;
inline bool case_failed = false;

inline void expect(bool holds, const char* expression, int line) {
    if (holds) return;
    case_failed = true;
    print("# line {}: {}\n", line, expression);
}

inline void run(const char* name, void (*test)()) {
    case_failed = false;
    test();
    cases++;
    failures += case_failed;
    print("{} {} - {}\n", case_failed ? "not ok" : "ok", cases, name);
}

/// Ends the list; the machine's exit status.
inline int finish() {
    print("1..{}\n", cases);
    return failures == 0 ? 0 : 1;
}

}  // namespace kiln::tap

#define EXPECT(condition) ::kiln::tap::expect((condition), #condition, __LINE__)
#define RUN(test) ::kiln::tap::run(#test, test)
