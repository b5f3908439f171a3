#include <kiln/posix/report.hpp>

#include <atomic>

#include <kiln/log/log.hpp>

namespace kiln::posix {
namespace {

/// Whether this pair is seen for the first time. A small set without removal: when it is full,
/// nothing new is reported any more.
bool is_first(const char* what, std::uint64_t value) {
    static constinit std::atomic<std::uint64_t> seen[128]{};
    const std::uint64_t key =
        (reinterpret_cast<std::uintptr_t>(what) ^ value * 0x9e3779b97f4a7c15ull) | 1;
    for (std::size_t i = 0; i < std::size(seen); i++) {
        std::atomic<std::uint64_t>& slot = seen[(key + i) % std::size(seen)];
        std::uint64_t found = slot.load(std::memory_order_relaxed);
        if (found == 0 && slot.compare_exchange_strong(found, key, std::memory_order_relaxed))
            return true;
        if (found == key) return false;
    }
    return false;
}

}  // namespace

void report_unsupported(const char* what, std::uint64_t value) {
    if (is_first(what, value)) log::info("posix", "unsupported: {} 0x{:x}", what, value);
}

void report_missing_syscall(std::uint32_t number, std::string_view name) {
    if (name.empty()) {
        log::info("posix", "no system call {}", number);
    } else {
        log::info("posix", "no system call {} ({})", name, number);
    }
}

}  // namespace kiln::posix
