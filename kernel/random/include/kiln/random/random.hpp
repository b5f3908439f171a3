// The kernel's random numbers: getrandom(2), /dev/urandom, address randomisation.
//
// ChaCha20 with fast key erasure (D. J. Bernstein, "Fast-key-erasure random-number generators",
// 2017): every block of output first replaces the key, so what was given out can't be computed from
// later state. Seeded at first use from the CPU's generator, the platform and the cycle counter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kiln::random {

/// Any context but interrupt handlers; never fails, never waits.
void fill(std::span<std::byte> out);
std::uint64_t next();

/// Mixes `bytes` into the state: what a device or a writer of /dev/urandom contributes.
void add_entropy(std::span<const std::byte> bytes);

/// Makes everything that follows repeatable; for tests and measurements only (kernel option seed=, up
/// to 64 hexadecimal digits). The first 32 bytes count; fewer are filled up with zeros.
void set_fixed_seed(std::span<const std::byte> seed);

/// True when the seed came from a hardware source, not from timing alone.
bool is_seeded_by_hardware();

}  // namespace kiln::random
