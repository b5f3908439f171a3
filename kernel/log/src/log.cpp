#include <kiln/log/log.hpp>

#include <config/log_level_default.hpp>

#include <kiln/base/option.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::log {

namespace {

// As Kconfig counts them.
constexpr Level kConfigured[] = {Level::kError, Level::kWarn, Level::kInfo, Level::kDebug};

}  // namespace

constinit std::atomic<Level> console_level{kConfigured[config::log_level_default]};
constinit std::atomic<Level> ring_level{Level::kInfo};

namespace {

// Apart from the lock, which is not all zero: so the image's file does not hold the ring.
constinit char ring_bytes[kRingBytes]{};

struct Ring {
    std::uint64_t end = 0;  ///< bytes ever written
    char* bytes = ring_bytes;

    void put(std::string_view text) {
        for (const char c : text) bytes[end++ % kRingBytes] = c;
    }
};
constinit sync::SpinProtected<Ring> ring{sync::LockRank::kLog};
constinit std::atomic<std::uint64_t (*)()> clock{nullptr};

std::string_view level_name(Level level) {
    switch (level) {
        case Level::kError: return "error";
        case Level::kWarn: return "warn";
        case Level::kInfo: return "info";
        case Level::kDebug: return "debug";
    }
    return "?";
}

bool apply_level(std::string_view value) {
    for (const Level level : {Level::kError, Level::kWarn, Level::kInfo, Level::kDebug}) {
        if (value != level_name(level)) continue;
        console_level.store(level, std::memory_order_relaxed);
        if (level > ring_level.load(std::memory_order_relaxed))
            ring_level.store(level, std::memory_order_relaxed);
        return true;
    }
    return false;
}
KILN_OPTION(loglevel, "loglevel", apply_level);

}  // namespace

void write(Level level, std::string_view component, std::string_view format,
           std::span<const FormatArg> args) {
    const auto now = clock.load(std::memory_order_relaxed);
    const std::uint64_t us = now ? now() / 1000 : 0;
    char text[kMaxLine];
    std::size_t n =
        format_to(text, "<{}>[{:5}.{:06}] {}: ", level, us / 1'000'000, us % 1'000'000, component);
    // Room for the newline, however long the text.
    n += vformat_to(std::span(text + n, sizeof(text) - 1 - n), format, args);
    text[n++] = '\n';
    if (level <= ring_level.load(std::memory_order_relaxed)) ring.lock()->put({text, n});
    if (level <= console_level.load(std::memory_order_relaxed)) {
        // "[time] level component: text": the reader of a console wants the word, not the number.
        const std::string_view line(text, n);
        const std::size_t time_end = line.find("] ");
        char head[48];
        const std::size_t head_length = format_to(
            head, "{}] {:5} ", std::string_view(text + 3, time_end - 3), level_name(level));
        hal::console_write({head, head_length});
        hal::console_write({text + time_end + 2, n - time_end - 2});
    }
}

std::uint64_t end() { return ring.lock()->end; }

std::size_t read(std::uint64_t* position, std::span<char> out) {
    auto r = ring.lock();
    const std::uint64_t oldest = r->end > kRingBytes ? r->end - kRingBytes : 0;
    if (*position < oldest) {
        // The oldest line is probably cut: start behind its end.
        *position = oldest;
        while (*position < r->end && r->bytes[(*position)++ % kRingBytes] != '\n') {
        }
    }
    std::size_t whole = 0;
    for (std::size_t n = 0; n < out.size() && *position + n < r->end; ++n) {
        out[n] = r->bytes[(*position + n) % kRingBytes];
        if (out[n] == '\n') whole = n + 1;
    }
    *position += whole;
    return whole;
}

void set_clock(std::uint64_t (*monotonic_ns)()) {
    clock.store(monotonic_ns, std::memory_order_relaxed);
}

}  // namespace kiln::log
