#include <kiln/posix/report.hpp>

#include <atomic>

#include <kiln/base/format.hpp>
#include <kiln/hal/platform.hpp>

namespace kiln::posix {
namespace {

/// Whether this pair is seen for the first time. A small set without removal: when it is full,
/// nothing new is reported any more.
bool is_first(const char* what, std::uint64_t value) {
    static constinit std::atomic<std::uint64_t> seen[128]{};
    std::uint64_t key = (reinterpret_cast<std::uintptr_t>(what) ^ value * 0x9e3779b97f4a7c15ull) | 1;
    for (std::size_t i = 0; i < std::size(seen); i++) {
        std::atomic<std::uint64_t>& slot = seen[(key + i) % std::size(seen)];
        std::uint64_t found = slot.load(std::memory_order_relaxed);
        if (found == key) return false;
        if (found == 0 && slot.compare_exchange_strong(found, key, std::memory_order_relaxed)) return true;
        if (found == key) return false;
    }
    return false;
}

void write(std::string_view text) { hal::console_write(text); }

}  // namespace

void report_unsupported(const char* what, std::uint64_t value) {
    if (!is_first(what, value)) return;
    char line[160];
    const std::size_t n = format_to(line, "kiln: unsupported: {} 0x{:x}\n", what, value);
    write({line, n});
}

void report_missing_syscall(std::uint32_t number, std::string_view name) {
    char line[160];
    const std::size_t n = name.empty() ? format_to(line, "kiln: no system call {}\n", number)
                                       : format_to(line, "kiln: no system call {} ({})\n", name, number);
    write({line, n});
}

}  // namespace kiln::posix
