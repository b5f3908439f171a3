// Host tests: a panic is an abort with a message (GoogleTest death tests see it).
#include <cstdio>
#include <cstdlib>

#include <kiln/base/panic.hpp>

void kiln::panic(std::string_view reason) {
    std::fprintf(stderr, "panic: %.*s\n", static_cast<int>(reason.size()), reason.data());
    std::abort();
}
