#include "elf_symbols.hpp"

#include <elf.h>
#include <gtest/gtest.h>
#include <link.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::posix {
namespace {

using Bytes = std::vector<std::byte>;

bool read_bytes(void* cookie, std::uint64_t offset, std::span<std::byte> out) {
    const Bytes& bytes = *static_cast<Bytes*>(cookie);
    if (offset > bytes.size() || out.size() > bytes.size() - offset) return false;
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    return true;
}

/// This very test program: a real ELF file with symbols.
Bytes own_file() {
    Bytes bytes;
    FILE* file = std::fopen("/proc/self/exe", "rb");
    std::byte chunk[65536];
    while (const std::size_t n = std::fread(chunk, 1, sizeof(chunk), file))
        bytes.insert(bytes.end(), chunk, chunk + n);
    std::fclose(file);
    return bytes;
}

/// Where in the file an address of this process comes from.
std::uint64_t file_offset_of(const void* address) {
    struct Query {
        std::uintptr_t address;
        std::uint64_t offset;
    } query{reinterpret_cast<std::uintptr_t>(address), 0};
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* cookie) {
            auto& q = *static_cast<Query*>(cookie);
            for (int i = 0; i < info->dlpi_phnum; i++) {
                const auto& p = info->dlpi_phdr[i];
                const std::uintptr_t begin = info->dlpi_addr + p.p_vaddr;
                if (p.p_type == PT_LOAD && q.address >= begin && q.address < begin + p.p_filesz)
                    q.offset = p.p_offset + (q.address - begin);
            }
            return 1;  // the program itself comes first
        },
        &query);
    return query.offset;
}

extern "C" [[gnu::noinline]] int kiln_elf_symbols_probe(int x) { return x * 3 + 1; }

TEST(ElfSymbols, FindsAFunctionOfThisProgram) {
    Bytes bytes = own_file();
    char name[64];
    ElfSymbol symbol;
    const auto* code = reinterpret_cast<const char*>(&kiln_elf_symbols_probe);
    ASSERT_TRUE(find_elf_symbol({read_bytes, &bytes}, file_offset_of(code) + 2, name, &symbol));
    EXPECT_EQ(std::string_view(name, symbol.name_length), "kiln_elf_symbols_probe");
    EXPECT_EQ(symbol.offset, 2u);
}

TEST(ElfSymbols, CutsLongNamesAndSaysNothingOfOtherPlaces) {
    Bytes bytes = own_file();
    char name[5];
    ElfSymbol symbol;
    const auto* code = reinterpret_cast<const char*>(&kiln_elf_symbols_probe);
    ASSERT_TRUE(find_elf_symbol({read_bytes, &bytes}, file_offset_of(code), name, &symbol));
    EXPECT_EQ(std::string_view(name, symbol.name_length), "kiln_");
    EXPECT_FALSE(find_elf_symbol({read_bytes, &bytes}, UINT64_MAX, name, &symbol));
}

TEST(ElfSymbols, SurvivesTruncationAndNoise) {
    Bytes whole = own_file();
    char name[64];
    ElfSymbol symbol;
    const std::uint64_t place =
        file_offset_of(reinterpret_cast<const char*>(&kiln_elf_symbols_probe));
    for (std::size_t size : {std::size_t{0}, std::size_t{4}, std::size_t{63}, std::size_t{64},
                             std::size_t{200}, whole.size() / 2}) {
        Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(find_elf_symbol({read_bytes, &cut}, place, name, &symbol)) << size;
    }
    // Each field of the headers set to extremes: no read outside, no endless loop.
    for (std::size_t at = 16; at < 64; at++) {
        Bytes bad = whole;
        bad[at] = std::byte{0xff};
        (void)find_elf_symbol({read_bytes, &bad}, place, name, &symbol);
    }
}

}  // namespace
}  // namespace kiln::posix
