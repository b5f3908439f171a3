// The ChaCha20 block function (RFC 8439, section 2.3).
#pragma once

#include <array>
#include <cstdint>

namespace kiln::random {

/// Constants, key (8 words), counter, nonce (3 words).
using ChaChaState = std::array<std::uint32_t, 16>;

/// One 64-byte block of key stream for `state`.
void chacha20_block(const ChaChaState& state, std::uint32_t out[16]);

}  // namespace kiln::random
