// Small texts: shell quoting, sizes with a unit, stable hashes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::tool {

// A word that a POSIX shell reads back as `word`; quoted only where it must be.
std::string shell_quote(std::string_view word);
std::string shell_join(const std::vector<std::string>& words);

// "64M" -> 67108864. A number and one of K, M, G, T (powers of 1024, either case, "MB" and "MiB"
// too); a plain number is MiB, as with QEMU's -m. Throws Error (125) naming the option.
std::uint64_t parse_size(std::string_view text, std::string_view option);

// "3.5 MiB"
std::string format_size(std::uint64_t bytes);

// 128 bits of FNV-1a in hexadecimal: names of cache entries, not a defence against forgery.
class Fingerprint {
public:
    void add(std::string_view bytes);
    void add(std::uint64_t value);
    std::string hex() const;

private:
    // FNV offset basis of 128 bits.
    unsigned __int128 state_ =
        (static_cast<unsigned __int128>(0x6c62272e07bb0142) << 64) | 0x62b821756295c58d;
};

}  // namespace kiln::tool
