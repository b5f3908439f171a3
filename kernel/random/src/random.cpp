#include <kiln/random/random.hpp>

#include <cstring>

#include <kiln/base/option.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/random/chacha20.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::random {
namespace {

constexpr std::size_t kKeyWords = 8;

struct Generator {
    std::uint32_t key[kKeyWords] = {};
    std::uint64_t counter = 0;
    /// Output of the last block not given out yet; what was given out is zeroed.
    std::uint32_t pool[16] = {};
    std::size_t pool_used = 16;
    bool seeded = false;
    bool hardware = false;

    void block(std::uint32_t out[16]) {
        ChaChaState state = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};  // "expand 32-byte k"
        std::memcpy(&state[4], key, sizeof(key));
        std::memcpy(&state[12], &counter, sizeof(counter));
        ++counter;
        chacha20_block(state, out);
    }
    /// New key from the first half of a block; the second half is output.
    void refill() {
        block(pool);
        std::memcpy(key, pool, sizeof(key));
        std::memset(pool, 0, sizeof(key));
        pool_used = kKeyWords;
    }
    void mix(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const std::size_t n = bytes.size() < sizeof(key) ? bytes.size() : sizeof(key);
            auto* k = reinterpret_cast<std::byte*>(key);
            for (std::size_t i = 0; i < n; ++i) k[i] ^= bytes[i];
            refill();
            bytes = bytes.subspan(n);
        }
    }
    void seed() {
        seeded = true;
        std::uint64_t words[4 + 2];
        for (int i = 0; i < 4; ++i) {
            words[i] = 0;
            if (hal::hw_random(&words[i])) hardware = true;
        }
        words[4] = hal::cycle_counter();
        words[5] = reinterpret_cast<std::uintptr_t>(this);
        mix(std::as_bytes(std::span(words)));
        if (!hardware) {
            // No instruction for it: the platform's source, and the jitter of reading the counter.
            std::byte platform[32];
            const std::size_t n = hal::platform_entropy(platform);
            if (n >= 16) hardware = true;
            mix({platform, n});
            std::uint64_t jitter[32];
            for (std::uint64_t& j : jitter) j = hal::cycle_counter();
            mix(std::as_bytes(std::span(jitter)));
        }
    }
    void take(std::span<std::byte> out) {
        if (!seeded) seed();
        while (!out.empty()) {
            if (pool_used == 16) refill();
            auto* bytes = reinterpret_cast<std::byte*>(pool + pool_used);
            const std::size_t left = (16 - pool_used) * sizeof(std::uint32_t);
            const std::size_t n = out.size() < left ? out.size() : left;
            std::memcpy(out.data(), bytes, n);
            const std::size_t words = (n + 3) / 4;
            std::memset(bytes, 0, words * 4);
            pool_used += words;
            out = out.subspan(n);
        }
    }
};

constinit sync::SpinProtected<Generator> generator{sync::LockRank::kRandom};

/// Up to 256 bits in hexadecimal, most significant digit first.
bool apply_seed(std::string_view text) {
    std::byte key[kKeyWords * sizeof(std::uint32_t)] = {};
    if (text.empty() || text.size() > 2 * sizeof(key)) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[text.size() - 1 - i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return false;
        key[i / 2] |= static_cast<std::byte>(digit << (i % 2 * 4));
    }
    set_fixed_seed(key);
    return true;
}
KILN_OPTION(seed, "seed", apply_seed);

}  // namespace

void fill(std::span<std::byte> out) {
    // In pieces, so that a large request does not keep interrupts off.
    constexpr std::size_t kPiece = 256;
    while (!out.empty()) {
        const std::size_t n = out.size() < kPiece ? out.size() : kPiece;
        generator.lock()->take(out.first(n));
        out = out.subspan(n);
    }
}

std::uint64_t next() {
    std::uint64_t value;
    fill(std::as_writable_bytes(std::span(&value, 1)));
    return value;
}

void add_entropy(std::span<const std::byte> bytes) {
    auto g = generator.lock();
    if (!g->seeded) g->seed();
    g->mix(bytes);
}

void set_fixed_seed(std::span<const std::byte> seed) {
    auto g = generator.lock();
    *g = Generator{};
    g->seeded = true;
    std::memcpy(g->key, seed.data(), seed.size() < sizeof(g->key) ? seed.size() : sizeof(g->key));
}

bool is_seeded_by_hardware() {
    auto g = generator.lock();
    if (!g->seeded) g->seed();
    return g->hardware;
}

}  // namespace kiln::random
