// Counters that anybody declares in one line and the tools read by name.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include <kiln/base/registry.hpp>

namespace kiln::metrics {

/// A number that only grows. Any context; one instruction.
class Counter {
public:
    constexpr Counter() = default;
    void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

/// What the registry knows of a counter.
struct CounterInfo {
    std::string_view name;  ///< "library_what_is_counted"
    std::string_view help;  ///< one line, with the unit
    const Counter* counter;
};

/// Calls `visit` for each counter of the image; stops on false.
void for_each(bool (*visit)(const CounterInfo& info, void* cookie), void* cookie);
/// Null: no counter of this name.
const Counter* find(std::string_view name);

}  // namespace kiln::metrics

/// At namespace scope of a source file: `KILN_COUNTER(vm_faults, "page faults served");`, then `vm_faults.add();`.
#define KILN_COUNTER(ident, help_text)                                                \
    constinit ::kiln::metrics::Counter ident;                                         \
    KILN_REGISTER(::kiln::metrics::CounterInfo, kiln_counters) kiln_counter_##ident { \
#ident, help_text, &ident                                                     \
    }
