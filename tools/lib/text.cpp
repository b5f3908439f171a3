#include "lib/text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "lib/error.hpp"

namespace kiln::tool {

std::string shell_quote(std::string_view word) {
    constexpr std::string_view kPlain = "%+,-./:=@_";
    const bool plain = !word.empty() && std::ranges::all_of(word, [&](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               kPlain.find(c) != std::string_view::npos;
    });
    if (plain) {
        return std::string{word};
    }
    std::string out = "'";
    for (const char c : word) {
        if (c == '\'') {
            out += "'\\''";
        } else {
            out += c;
        }
    }
    return out + "'";
}

std::string shell_join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) {
        if (!out.empty()) {
            out += ' ';
        }
        out += shell_quote(word);
    }
    return out;
}

std::uint64_t parse_size(std::string_view text, std::string_view option) {
    std::uint64_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string unit{rest, text.data() + text.size()};
    std::ranges::transform(unit, unit.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    unsigned shift = 0;
    bool known = true;
    if (unit.empty() || unit == "M" || unit == "MB" || unit == "MIB") {
        shift = 20;
    } else if (unit == "K" || unit == "KB" || unit == "KIB") {
        shift = 10;
    } else if (unit == "G" || unit == "GB" || unit == "GIB") {
        shift = 30;
    } else if (unit == "T" || unit == "TB" || unit == "TIB") {
        shift = 40;
    } else {
        known = false;
    }
    if (error != std::errc{} || !known || number == 0 ||
        number > (std::uint64_t{1} << (62 - shift))) {
        fail("{} {}: not a size; give a number of MiB, or one with K, M or G, such as 64M", option,
             shell_quote(text));
    }
    return number << shift;
}

std::string format_size(std::uint64_t bytes) {
    if (bytes < 1024) {
        return fmt::format("{} bytes", bytes);
    }
    constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(kUnits)) {
        value /= 1024;
        ++unit;
    }
    return value < 10 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                      : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

void Fingerprint::add(std::string_view bytes) {
    constexpr unsigned __int128 kPrime = (static_cast<unsigned __int128>(1) << 88) | 0x13b;
    for (const char c : bytes) {
        state_ = (state_ ^ static_cast<unsigned char>(c)) * kPrime;
    }
    state_ = (state_ ^ 0x1ff) * kPrime;  // ends each item: ("ab", "c") is not ("a", "bc")
}

void Fingerprint::add(std::uint64_t value) {
    add({reinterpret_cast<const char*>(&value), sizeof(value)});
}

std::string Fingerprint::hex() const {
    return fmt::format("{:016x}{:016x}", static_cast<std::uint64_t>(state_ >> 64),
                       static_cast<std::uint64_t>(state_));
}

}  // namespace kiln::tool
