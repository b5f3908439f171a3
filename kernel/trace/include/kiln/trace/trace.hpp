// Tracepoints: what happened when, in a ring of the last events. Declared in one line, near free when off.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include <kiln/base/registry.hpp>
#include <kiln/base/result.hpp>

#include <config/trace.hpp>

namespace kiln::trace {

inline constexpr std::size_t kMaxArguments = 4;

/// What the registry knows of a tracepoint.
struct Point {
    std::string_view name;    ///< "library_event"
    std::string_view fields;  ///< names of the arguments, separated by blanks
    std::atomic<bool>* enabled;
};

struct Event {
    std::uint64_t sequence;  ///< counts all events since start()
    std::uint64_t time_ns;   ///< monotonic
    const Point* point;
    std::uint32_t cpu;
    std::uint64_t arguments[kMaxArguments];
};

/// Makes room for the last `events` events (a power of two) and records from now on. ENOMEM, EINVAL, EBUSY (started).
Result<void> start(std::size_t events);
/// Switches tracepoints whose name begins with `prefix` on or off; returns how many there are.
std::uint32_t enable(std::string_view prefix, bool on);
/// Calls `visit` with the events still there from number `first` on, oldest first; stops on false. Returns the number
/// of the next event to come, for the next call. Events that are overwritten meanwhile are left out.
std::uint64_t read(std::uint64_t first, bool (*visit)(const Event& event, void* cookie),
                   void* cookie);

/// KILN_TRACE's slow path. Any context.
void record(const Point& point, const std::uint64_t* arguments, std::size_t count);

template <typename... Args>
[[gnu::noinline, gnu::cold]] void record_values(const Point& point, Args... args) {
    static_assert(sizeof...(Args) <= kMaxArguments);
    const std::uint64_t values[] = {static_cast<std::uint64_t>(args)..., 0};
    record(point, values, sizeof...(Args));
}

}  // namespace kiln::trace

/// At namespace scope of a source file: `KILN_TRACEPOINT(sched_switch, "from to");`
#define KILN_TRACEPOINT(ident, field_names)                                          \
    constinit std::atomic<bool> kiln_trace_on_##ident{false};                        \
    KILN_REGISTER(::kiln::trace::Point, kiln_tracepoints) kiln_trace_point_##ident { \
#ident, field_names, &kiln_trace_on_##ident                                  \
    }
/// `KILN_TRACE(sched_switch, from, to);` with up to four integers.
#define KILN_TRACE(ident, ...)                                                                     \
    do {                                                                                           \
        if constexpr (::kiln::config::trace) {                                                     \
            if (kiln_trace_on_##ident.load(std::memory_order_relaxed)) [[unlikely]]                \
                ::kiln::trace::record_values(kiln_trace_point_##ident __VA_OPT__(, ) __VA_ARGS__); \
        }                                                                                          \
    } while (false)
