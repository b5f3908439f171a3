#pragma once

#include <cstdint>
#include <string_view>

namespace kiln::virtio {

struct MmioPlace {
    std::uint64_t base = 0;
    std::uint64_t size = 0;
    std::uint32_t line = 0;
};

/// A number, decimal or 0x hexadecimal, at the front of `text`, which it is removed from.
constexpr bool take_number(std::string_view* text, std::uint64_t* out) {
    unsigned base = 10;
    if (text->starts_with("0x") || text->starts_with("0X")) {
        base = 16;
        text->remove_prefix(2);
    }
    std::uint64_t value = 0;
    std::size_t digits = 0;
    for (; digits < text->size(); ++digits) {
        const char c = (*text)[digits];
        unsigned digit = 0;
        if (c >= '0' && c <= '9') {
            digit = static_cast<unsigned>(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = static_cast<unsigned>(c - 'a') + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = static_cast<unsigned>(c - 'A') + 10;
        } else {
            break;
        }
        if (digit >= base) break;
        if (value > (UINT64_MAX - digit) / base) return false;
        value = value * base + digit;
    }
    if (digits == 0) return false;
    text->remove_prefix(digits);
    *out = value;
    return true;
}

/// "SIZE[K|M]@BASE:IRQ[:ID]" (Linux drivers/virtio/virtio_mmio.c, "virtio_mmio.device").
constexpr bool parse_mmio_place(std::string_view text, MmioPlace* out) {
    std::uint64_t size = 0;
    std::uint64_t base = 0;
    std::uint64_t line = 0;
    if (!take_number(&text, &size)) return false;
    if (text.starts_with('K') || text.starts_with('k')) {
        if (size > (1u << 20)) return false;
        size <<= 10;
        text.remove_prefix(1);
    } else if (text.starts_with('M') || text.starts_with('m')) {
        if (size > (1u << 10)) return false;
        size <<= 20;
        text.remove_prefix(1);
    }
    if (!text.starts_with('@')) return false;
    text.remove_prefix(1);
    if (!take_number(&text, &base) || !text.starts_with(':')) return false;
    text.remove_prefix(1);
    if (!take_number(&text, &line) || (!text.empty() && !text.starts_with(':'))) return false;
    constexpr std::uint64_t kSmallest = 0x100;
    if (size < kSmallest || size > (1u << 30) || line > 255 || base > UINT64_MAX - size)
        return false;
    *out = {base, size, static_cast<std::uint32_t>(line)};
    return true;
}

}  // namespace kiln::virtio
