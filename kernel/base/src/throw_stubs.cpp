// What the allocation-free standard headers and the compiler call when a contract is broken.
#include <new>

#include <kiln/base/panic.hpp>

namespace std {
void __throw_out_of_range_fmt(const char* what, ...) { ::kiln::panic(what); }
void __throw_length_error(const char* what) { ::kiln::panic(what); }

const nothrow_t nothrow{};
}  // namespace std

extern "C" [[noreturn]] void __cxa_pure_virtual() { ::kiln::panic("pure virtual function called"); }
