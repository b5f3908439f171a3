#include <cstring>

#include <kiln/kallsyms/kallsyms.hpp>

// Made by scripts/kallsyms.py, which documents the layout. Absent from the first of the two links that make an image.
extern "C" [[gnu::weak]] const unsigned char kiln_kallsyms_table[];

namespace kiln::kallsyms {
namespace {

constexpr std::uint32_t kGroup = 64;
constexpr std::size_t kTokens = 256;

struct Header {
    std::uint64_t base;
    std::uint32_t count;
    std::uint32_t names_bytes;
};
static_assert(sizeof(Header) == 16);

template <typename T>
T load(const unsigned char* at) {
    T value;
    std::memcpy(&value, at, sizeof(T));
    return value;
}

struct Table {
    Header header;
    const unsigned char* offsets;
    const unsigned char* groups;
    const unsigned char* token_offsets;
    const unsigned char* tokens;
    const unsigned char* names;

    explicit Table(const unsigned char* at) : header(load<Header>(at)) {
        offsets = at + sizeof(Header);
        groups = offsets + (header.count + 1) * sizeof(std::uint32_t);
        token_offsets = groups + (header.count + kGroup - 1) / kGroup * sizeof(std::uint32_t);
        tokens = token_offsets + (kTokens + 1) * sizeof(std::uint16_t);
        names = tokens + token_offset(kTokens);
    }

    std::uint32_t offset(std::uint32_t i) const {
        return load<std::uint32_t>(offsets + i * sizeof(std::uint32_t));
    }
    std::uint16_t token_offset(std::size_t token) const {
        return load<std::uint16_t>(token_offsets + token * sizeof(std::uint16_t));
    }

    /// The last function that begins at or before `wanted`, which is below offset(count).
    std::uint32_t index_of(std::uint32_t wanted) const {
        std::uint32_t low = 0;
        std::uint32_t high = header.count;
        while (high - low > 1) {
            const std::uint32_t middle = low + (high - low) / 2;
            (offset(middle) <= wanted ? low : high) = middle;
        }
        return low;
    }

    std::string_view name(std::uint32_t index, std::span<char> buffer) const {
        const unsigned char* at =
            names + load<std::uint32_t>(groups + index / kGroup * sizeof(std::uint32_t));
        for (std::uint32_t skip = index % kGroup; skip > 0; skip--) at += 1 + *at;
        std::size_t used = 0;
        for (std::size_t i = 1; i <= *at; i++) {
            const std::size_t begin = token_offset(at[i]);
            const std::size_t length = token_offset(at[i] + 1u) - begin;
            for (std::size_t k = 0; k < length && used < buffer.size(); k++) {
                buffer[used++] = static_cast<char>(tokens[begin + k]);
            }
        }
        return {buffer.data(), used};
    }
};

}  // namespace

std::optional<Function> find(std::uintptr_t address, std::span<char> buffer) {
    if (kiln_kallsyms_table == nullptr) return std::nullopt;
    const Table table(kiln_kallsyms_table);
    if (table.header.count == 0 || address < table.header.base) return std::nullopt;
    const std::uint64_t wanted = address - table.header.base;
    if (wanted >= table.offset(table.header.count)) return std::nullopt;
    const std::uint32_t index = table.index_of(static_cast<std::uint32_t>(wanted));
    return Function{table.name(index, buffer), table.header.base + table.offset(index),
                    wanted - table.offset(index)};
}

}  // namespace kiln::kallsyms
