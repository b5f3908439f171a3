// Typed face of user_copy.S.
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/user_access.hpp>

#include "cpu_data.hpp"
#include "user_access.hpp"

extern "C" {
std::size_t kiln_user_copy(void* to, const void* from, std::size_t length);
std::size_t kiln_user_zero(void* to, std::size_t length);
std::ptrdiff_t kiln_user_strnlen(const char* from, std::size_t limit);
bool kiln_user_load_u32(const std::uint32_t* from, std::uint32_t* value);
bool kiln_user_cmpxchg_u32(std::uint32_t* at, std::uint32_t* expected, std::uint32_t desired);
bool kiln_probe_u64(const std::uint64_t* from, std::uint64_t* value);
}

namespace kiln {
namespace {

struct [[gnu::packed]] ExceptionTableEntry {
    std::int32_t fault;  ///< relative to this field
    std::int32_t fixup;  ///< relative to this field
};

extern "C" const ExceptionTableEntry __ex_table_start[];
extern "C" const ExceptionTableEntry __ex_table_end[];

}  // namespace

std::uintptr_t arch::find_fixup(std::uintptr_t ip) {
    for (const ExceptionTableEntry* e = __ex_table_start; e != __ex_table_end; ++e) {
        if (reinterpret_cast<std::uintptr_t>(&e->fault) + static_cast<std::intptr_t>(e->fault) ==
            ip)
            return reinterpret_cast<std::uintptr_t>(&e->fixup) +
                   static_cast<std::intptr_t>(e->fixup);
    }
    return 0;
}

bool arch::user_faults_are_fatal() { return this_cpu().nofault_depth != 0; }

namespace hal {

std::size_t copy_from_user(void* to, std::uintptr_t from, std::size_t length) {
    return kiln_user_copy(to, reinterpret_cast<const void*>(from), length);
}
std::size_t copy_to_user(std::uintptr_t to, const void* from, std::size_t length) {
    return kiln_user_copy(reinterpret_cast<void*>(to), from, length);
}
std::size_t zero_user(std::uintptr_t to, std::size_t length) {
    return kiln_user_zero(reinterpret_cast<void*>(to), length);
}
std::ptrdiff_t strnlen_user(std::uintptr_t from, std::size_t limit) {
    // The application's half ends before the address space does, so that the sum cannot wrap.
    if (from >= kUserEnd) return -1;
    const std::size_t room = kUserEnd - from;
    const std::ptrdiff_t length =
        kiln_user_strnlen(reinterpret_cast<const char*>(from), limit < room ? limit : room);
    return limit > room && length == static_cast<std::ptrdiff_t>(room) ? -1 : length;
}
bool load_user_u32(std::uintptr_t address, std::uint32_t* value) {
    return kiln_user_load_u32(reinterpret_cast<const std::uint32_t*>(address), value);
}
bool cmpxchg_user_u32(std::uintptr_t address, std::uint32_t* expected, std::uint32_t desired) {
    return kiln_user_cmpxchg_u32(reinterpret_cast<std::uint32_t*>(address), expected, desired);
}

// Preemption stays off in between, so that the count can be the CPU's.
void user_access_nofault_begin() {
    preempt_disable();
    ++arch::this_cpu().nofault_depth;
}
void user_access_nofault_end() {
    --arch::this_cpu().nofault_depth;
    preempt_enable();
}

bool read_memory_safely(void* to, std::uintptr_t from, std::size_t length) {
    // Aligned words: each lies in one page, so a readable byte never makes an unreadable one be touched.
    auto* out = static_cast<std::byte*>(to);
    user_access_nofault_begin();
    bool ok = true;
    while (length != 0 && ok) {
        const std::size_t offset = from % sizeof(std::uint64_t);
        const std::size_t n =
            length < sizeof(std::uint64_t) - offset ? length : sizeof(std::uint64_t) - offset;
        std::uint64_t word;
        ok = kiln_probe_u64(reinterpret_cast<const std::uint64_t*>(from - offset), &word);
        if (ok) __builtin_memcpy(out, reinterpret_cast<const std::byte*>(&word) + offset, n);
        out += n;
        from += n;
        length -= n;
    }
    user_access_nofault_end();
    return ok;
}

}  // namespace hal
}  // namespace kiln
