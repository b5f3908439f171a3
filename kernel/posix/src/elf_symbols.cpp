#include "elf_symbols.hpp"

#include <cstring>

namespace kiln::posix {
namespace {

// System V ABI, chapter 4 "Object Files", 64-bit forms.
struct FileHeader {
    unsigned char ident[16];
    std::uint16_t type, machine;
    std::uint32_t version;
    std::uint64_t entry, program_headers, section_headers;
    std::uint32_t flags;
    std::uint16_t header_size, program_header_size, program_header_count, section_header_size,
        section_header_count, section_names;
};
static_assert(sizeof(FileHeader) == 64);

struct ProgramHeader {
    std::uint32_t type, flags;
    std::uint64_t offset, address, physical, file_size, memory_size, alignment;
};
static_assert(sizeof(ProgramHeader) == 56);

struct SectionHeader {
    std::uint32_t name, type;
    std::uint64_t flags, address, offset, size;
    std::uint32_t link, info;
    std::uint64_t alignment, entry_size;
};
static_assert(sizeof(SectionHeader) == 64);

struct Symbol {
    std::uint32_t name;
    unsigned char info, other;
    std::uint16_t section;
    std::uint64_t value, size;
};
static_assert(sizeof(Symbol) == 24);

constexpr std::uint32_t kLoad = 1;             // PT_LOAD
constexpr std::uint32_t kSymbolTable = 2;      // SHT_SYMTAB
constexpr std::uint32_t kDynamicSymbols = 11;  // SHT_DYNSYM
constexpr unsigned char kFunction = 2;         // STT_FUNC

/// More symbols than the largest programs have; keeps a hostile file from taking for ever.
constexpr std::uint64_t kMostSymbols = 4'000'000;
constexpr std::size_t kBatch = 64;

template <typename T>
bool read(const ElfSource& source, std::uint64_t offset, T* out) {
    return source.read(source.cookie, offset, std::as_writable_bytes(std::span(out, 1)));
}

bool to_address(const ElfSource& source, const FileHeader& header, std::uint64_t file_offset,
                std::uint64_t* address) {
    if (header.program_header_size != sizeof(ProgramHeader)) return false;
    for (unsigned i = 0; i < header.program_header_count; i++) {
        ProgramHeader segment;
        if (!read(source, header.program_headers + i * sizeof(segment), &segment)) return false;
        if (segment.type != kLoad || file_offset < segment.offset) continue;
        if (file_offset - segment.offset >= segment.file_size) continue;
        *address = segment.address + (file_offset - segment.offset);
        return true;
    }
    return false;
}

/// The best function of one table: the nearest that begins at or before `address`, and covers it if it has a size.
bool search_table(const ElfSource& source, const SectionHeader& table, std::uint64_t address,
                  Symbol* best) {
    const std::uint64_t count = table.size / sizeof(Symbol);
    if (count > kMostSymbols) return false;
    bool found = false;
    for (std::uint64_t i = 0; i < count; i += kBatch) {
        Symbol batch[kBatch];
        const std::uint64_t n = count - i < kBatch ? count - i : kBatch;
        if (!source.read(source.cookie, table.offset + i * sizeof(Symbol),
                         std::as_writable_bytes(std::span(batch, n))))
            return found;
        for (std::uint64_t j = 0; j < n; j++) {
            const Symbol& s = batch[j];
            if ((s.info & 15) != kFunction || s.section == 0 || s.value > address) continue;
            if (s.size != 0 && address - s.value >= s.size) continue;
            if (found && s.value <= best->value) continue;
            *best = s;
            found = true;
        }
    }
    return found;
}

std::size_t read_name(const ElfSource& source, const SectionHeader& strings, std::uint32_t at,
                      std::span<char> name) {
    if (at >= strings.size) return 0;
    const std::uint64_t left = strings.size - at;
    std::size_t n = left < name.size() ? left : name.size();
    while (n > 0 && !source.read(source.cookie, strings.offset + at,
                                 std::as_writable_bytes(name.subspan(0, n))))
        n /= 2;
    const void* end = std::memchr(name.data(), 0, n);
    return end ? static_cast<std::size_t>(static_cast<const char*>(end) - name.data()) : n;
}

}  // namespace

bool find_elf_symbol(const ElfSource& source, std::uint64_t file_offset, std::span<char> name,
                     ElfSymbol* out) {
    constexpr unsigned char kIdent[] = {0x7f, 'E', 'L', 'F', 2, 1};
    FileHeader header;
    if (!read(source, 0, &header) || std::memcmp(header.ident, kIdent, sizeof(kIdent)) != 0)
        return false;
    std::uint64_t address;
    if (!to_address(source, header, file_offset, &address)) return false;
    if (header.section_header_size != sizeof(SectionHeader)) return false;
    for (const std::uint32_t wanted : {kSymbolTable, kDynamicSymbols}) {
        for (unsigned i = 0; i < header.section_header_count; i++) {
            SectionHeader table, strings;
            if (!read(source, header.section_headers + i * sizeof(table), &table)) return false;
            if (table.type != wanted || table.entry_size != sizeof(Symbol)) continue;
            if (table.link >= header.section_header_count ||
                !read(source, header.section_headers + table.link * sizeof(strings), &strings))
                continue;
            Symbol best;
            if (!search_table(source, table, address, &best)) continue;
            out->name_length = read_name(source, strings, best.name, name);
            out->offset = address - best.value;
            if (out->name_length != 0) return true;
        }
    }
    return false;
}

}  // namespace kiln::posix
