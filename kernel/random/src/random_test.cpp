#include <kiln/random/random.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <set>
#include <vector>

#include <kiln/random/chacha20.hpp>

namespace kiln::random {
namespace {

void fix_seed(unsigned char seed) { set_fixed_seed(std::as_bytes(std::span(&seed, 1))); }

// RFC 8439, 2.3.2: test vector of the block function.
TEST(ChaCha20, Rfc8439Vector) {
    const ChaChaState state = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574,
                               0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c,
                               0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c,
                               0x00000001, 0x09000000, 0x4a000000, 0x00000000};
    const std::uint32_t expected[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3,
                                        0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
                                        0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
                                        0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
    std::uint32_t out[16];
    chacha20_block(state, out);
    EXPECT_EQ(std::memcmp(out, expected, sizeof(out)), 0);
}

TEST(Random, FixedSeedRepeats) {
    fix_seed(7);
    const std::uint64_t a = next();
    const std::uint64_t b = next();
    EXPECT_NE(a, b);
    fix_seed(7);
    EXPECT_EQ(next(), a);
    fix_seed(8);
    EXPECT_NE(next(), a);
}

TEST(Random, FillsEverySizeAndBalancesBits) {
    fix_seed(1);
    for (std::size_t size = 0; size < 300; ++size) {
        std::vector<std::byte> bytes(size);
        fill(bytes);
    }
    std::vector<std::uint64_t> words(4096);
    fill(std::as_writable_bytes(std::span(words)));
    std::size_t ones = 0;
    for (std::uint64_t w : words) ones += static_cast<std::size_t>(std::popcount(w));
    // 262144 bits: the standard deviation is 256.
    EXPECT_NEAR(static_cast<double>(ones), 131072.0, 6 * 256.0);
    EXPECT_EQ(std::set<std::uint64_t>(words.begin(), words.end()).size(), words.size());
}

TEST(Random, EntropyChangesTheStream) {
    fix_seed(3);
    const std::uint64_t a = next();
    fix_seed(3);
    const std::byte extra[1] = {std::byte{1}};
    add_entropy(extra);
    EXPECT_NE(next(), a);
}

}  // namespace
}  // namespace kiln::random
