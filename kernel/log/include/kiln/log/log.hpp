// The kernel log: a ring of lines in static memory, from the first instruction on. Lines at or above
// the console level are also written to the console, so that by default a program's output is all
// that a user sees.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/format.hpp>

namespace kiln::log {

/// Numbers as syslog(2)'s.
enum class Level : std::uint8_t { kError = 3, kWarn = 4, kInfo = 6, kDebug = 7 };

inline constexpr std::size_t kRingBytes = 16 * 1024;
inline constexpr std::size_t kMaxLine = 240;  ///< longer texts are cut

/// Lines up to this level reach the console (kernel option loglevel=).
extern constinit std::atomic<Level> console_level;
/// Lines up to this level are kept in the ring.
extern constinit std::atomic<Level> ring_level;

/// Any context, also with interrupts off and locks held.
void write(Level level, std::string_view component, std::string_view format,
           std::span<const FormatArg> args);

inline bool is_enabled(Level level) {
    return level <= console_level.load(std::memory_order_relaxed) ||
           level <= ring_level.load(std::memory_order_relaxed);
}

template <typename... Args>
void line(Level level, std::string_view component, std::string_view format, const Args&... args) {
    if (!is_enabled(level)) return;
    if constexpr (sizeof...(Args) == 0) {
        write(level, component, format, {});
    } else {
        const FormatArg list[] = {FormatArg::of(args)...};
        write(level, component, format, list);
    }
}
template <typename... Args>
void error(std::string_view component, std::string_view format, const Args&... args) {
    line(Level::kError, component, format, args...);
}
template <typename... Args>
void warn(std::string_view component, std::string_view format, const Args&... args) {
    line(Level::kWarn, component, format, args...);
}
template <typename... Args>
void info(std::string_view component, std::string_view format, const Args&... args) {
    line(Level::kInfo, component, format, args...);
}
template <typename... Args>
void debug(std::string_view component, std::string_view format, const Args&... args) {
    line(Level::kDebug, component, format, args...);
}

/// True the first time only: `static constinit log::Once once; if (once()) log::warn(…);`
class Once {
public:
    bool operator()() { return !done_.exchange(true, std::memory_order_relaxed); }

private:
    std::atomic<bool> done_{false};
};

/// Where the next line will go, in bytes since boot; lines below end() - kRingBytes are lost.
std::uint64_t end();
/// Copies whole lines from stream position `*position` (moved on; corrected when they are lost already)
/// into `out`, as "<level>[seconds.micros] component: text\n". Returns the bytes.
std::size_t read(std::uint64_t* position, std::span<char> out);

/// Gives lines their time; until it is set they carry 0. Installed by time.
void set_clock(std::uint64_t (*monotonic_ns)());

}  // namespace kiln::log
