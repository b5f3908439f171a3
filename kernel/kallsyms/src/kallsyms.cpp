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
    std::uint32_t end;  // of the last function, relative to base
    std::uint32_t offset_bytes;
    std::uint32_t zero;
};
static_assert(sizeof(Header) == 24);

template <typename T>
T load(const unsigned char* array, std::size_t index) {
    T value;
    std::memcpy(&value, array + index * sizeof(T), sizeof(T));
    return value;
}

struct Table {
    Header header;
    const unsigned char* begins;
    const unsigned char* name_begins;
    const unsigned char* token_offsets;
    const unsigned char* offsets;
    const unsigned char* tokens;
    const unsigned char* names;

    explicit Table(const unsigned char* at) : header(load<Header>(at, 0)) {
        const std::size_t groups = (header.count + kGroup - 1) / kGroup;
        begins = at + sizeof(Header);
        name_begins = begins + groups * sizeof(std::uint32_t);
        token_offsets = name_begins + groups * sizeof(std::uint32_t);
        offsets = token_offsets + (kTokens + 1) * sizeof(std::uint16_t);
        tokens = offsets + std::size_t{header.count} * header.offset_bytes;
        names = tokens + load<std::uint16_t>(token_offsets, kTokens);
    }

    /// Where function `i` begins, relative to base.
    std::uint32_t begin(std::uint32_t i) const {
        const std::uint32_t offset = header.offset_bytes == 2 ? load<std::uint16_t>(offsets, i)
                                                              : load<std::uint32_t>(offsets, i);
        return load<std::uint32_t>(begins, i / kGroup) + offset;
    }

    /// The last function that begins at or before `wanted`.
    std::uint32_t index_of(std::uint64_t wanted) const {
        std::uint32_t low = 0;
        std::uint32_t high = header.count;
        while (high - low > 1) {
            const std::uint32_t middle = low + (high - low) / 2;
            (begin(middle) <= wanted ? low : high) = middle;
        }
        return low;
    }

    std::string_view name(std::uint32_t index, std::span<char> buffer) const {
        const unsigned char* at = names + load<std::uint32_t>(name_begins, index / kGroup);
        for (std::uint32_t skip = index % kGroup; skip > 0; skip--) at += 1 + *at;
        std::size_t used = 0;
        for (std::size_t i = 1; i <= *at; i++) {
            const std::size_t first = load<std::uint16_t>(token_offsets, at[i]);
            const std::size_t last = load<std::uint16_t>(token_offsets, at[i] + 1u);
            for (std::size_t k = first; k < last && used < buffer.size(); k++) {
                buffer[used++] = static_cast<char>(tokens[k]);
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
    if (wanted >= table.header.end) return std::nullopt;
    const std::uint32_t index = table.index_of(wanted);
    return Function{table.name(index, buffer), table.header.base + table.begin(index),
                    wanted - table.begin(index)};
}

}  // namespace kiln::kallsyms
