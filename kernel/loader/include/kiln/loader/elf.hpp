// Reading ELF headers. Pure: bytes in, a checked description out; nothing here trusts the file.
//
// Source: System V ABI, chapter 4 "Object Files" and 5 "Program Loading"; errno choices as Linux's
// fs/binfmt_elf.c makes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <kiln/base/result.hpp>

namespace kiln::loader {

inline constexpr std::size_t kElfHeaderSize = 64;         ///< sizeof(Elf64_Ehdr)
inline constexpr std::size_t kElfProgramHeaderSize = 56;  ///< sizeof(Elf64_Phdr)
/// More program headers than any linker makes; Linux's own limit is a page-table page of them.
inline constexpr std::size_t kMaxProgramHeaders = 128;
inline constexpr std::size_t kMaxLoadSegments = 16;

/// p_flags.
inline constexpr std::uint32_t kElfExecute = 1;
inline constexpr std::uint32_t kElfWrite = 2;
inline constexpr std::uint32_t kElfRead = 4;

/// The part of the file header that loading needs.
struct ElfHeader {
    bool position_independent;  ///< ET_DYN
    std::uint64_t entry;
    std::uint64_t program_headers_offset;
    std::uint16_t program_header_count;
    std::uint64_t program_headers_bytes() const {
        return program_header_count * kElfProgramHeaderSize;
    }
};

/// A PT_LOAD segment, checked: file range inside the file, memory range inside the application's
/// half, offset and address congruent modulo the page size.
struct ElfSegment {
    std::uint64_t offset;
    std::uint64_t address;
    std::uint64_t file_size;
    std::uint64_t memory_size;
    std::uint32_t flags;
};

struct ElfLayout {
    ElfSegment segments[kMaxLoadSegments];
    std::size_t segment_count = 0;
    std::uint64_t low = 0;        ///< page-aligned begin of the lowest segment
    std::uint64_t high = 0;       ///< page-aligned end of the highest
    std::uint64_t alignment = 0;  ///< largest p_align, at least a page
    std::uint64_t program_headers_address =
        0;  ///< where they lie in memory (AT_PHDR), 0: not loaded
    bool has_interpreter = false;
    std::uint64_t interpreter_offset = 0;
    std::uint64_t interpreter_size = 0;  ///< with the NUL
    bool executable_stack = false;       ///< PT_GNU_STACK asks for it (or is absent: not on x86-64)
};

/// ENOEXEC: not a 64-bit little-endian ELF program of this machine, or a truncated header. `*reason`
/// gets a static sentence.
Result<ElfHeader> parse_elf_header(std::span<const std::byte> bytes, const char** reason);

/// Reads the program headers (exactly header.program_headers_bytes()). ENOEXEC, EINVAL.
Result<ElfLayout> parse_program_headers(const ElfHeader& header, std::span<const std::byte> bytes,
                                        std::uint64_t file_size, const char** reason);

}  // namespace kiln::loader
