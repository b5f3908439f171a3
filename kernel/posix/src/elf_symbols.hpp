// Finding the function that a place in an ELF file belongs to. The file is hostile: every number is checked, and the
// work is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kiln::posix {

/// Reads whole ranges of the file; false if one is not there.
struct ElfSource {
    bool (*read)(void* cookie, std::uint64_t offset, std::span<std::byte> out);
    void* cookie;
};

struct ElfSymbol {
    std::size_t name_length;  ///< in the caller's buffer
    std::uint64_t offset;     ///< of the place from the function's begin
};

/// The function of .symtab, else .dynsym, at `file_offset` of the file. False: none known.
bool find_elf_symbol(const ElfSource& source, std::uint64_t file_offset, std::span<char> name,
                     ElfSymbol* out);

}  // namespace kiln::posix
