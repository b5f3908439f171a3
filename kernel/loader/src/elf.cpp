#include <kiln/loader/elf.hpp>

#include <cstring>

#include <kiln/abi/linux/machine.hpp>
#include <kiln/base/types.hpp>
#include <kiln/hal/paging.hpp>

namespace kiln::loader {
namespace {

constexpr std::uint16_t kTypeExecutable = 2;  // ET_EXEC
constexpr std::uint16_t kTypeDynamic = 3;     // ET_DYN
constexpr std::uint32_t kSegmentLoad = 1;
constexpr std::uint32_t kSegmentInterpreter = 3;
constexpr std::uint32_t kSegmentProgramHeaders = 6;
constexpr std::uint32_t kSegmentGnuStack = 0x6474e551;

struct RawHeader {
    unsigned char ident[16];
    std::uint16_t type;
    std::uint16_t machine;
    std::uint32_t version;
    std::uint64_t entry;
    std::uint64_t phoff;
    std::uint64_t shoff;
    std::uint32_t flags;
    std::uint16_t ehsize;
    std::uint16_t phentsize;
    std::uint16_t phnum;
    std::uint16_t shentsize;
    std::uint16_t shnum;
    std::uint16_t shstrndx;
};
static_assert(sizeof(RawHeader) == kElfHeaderSize);

struct RawProgramHeader {
    std::uint32_t type;
    std::uint32_t flags;
    std::uint64_t offset;
    std::uint64_t vaddr;
    std::uint64_t paddr;
    std::uint64_t filesz;
    std::uint64_t memsz;
    std::uint64_t align;
};
static_assert(sizeof(RawProgramHeader) == kElfProgramHeaderSize);

Errno refuse(Errno error, const char* text, const char** reason) {
    *reason = text;
    return error;
}

Result<ElfSegment> check_segment(const RawProgramHeader& raw, std::uint64_t file_size,
                                 const char** reason) {
    std::uint64_t file_end = 0;
    std::uint64_t memory_end = 0;
    if (raw.filesz > raw.memsz)
        return refuse(Errno::kEINVAL, "a segment is larger in the file than in memory", reason);
    if (!checked_add(raw.offset, raw.filesz, &file_end) || file_end > file_size)
        return refuse(Errno::kENOEXEC, "the file is cut short: a segment lies beyond its end",
                      reason);
    if (!checked_add(raw.vaddr, raw.memsz, &memory_end) || memory_end > hal::kUserEnd)
        return refuse(Errno::kEINVAL, "a segment lies outside the application's addresses", reason);
    if ((raw.offset ^ raw.vaddr) & (kPageSize - 1))
        return refuse(Errno::kEINVAL,
                      "a segment's file offset and address disagree modulo the page size", reason);
    return ElfSegment{raw.offset, raw.vaddr, raw.filesz, raw.memsz, raw.flags};
}

}  // namespace

Result<ElfHeader> parse_elf_header(std::span<const std::byte> bytes, const char** reason) {
    RawHeader raw;
    if (bytes.size() < 4 || std::memcmp(bytes.data(),
                                        "\x7f"
                                        "ELF",
                                        4) != 0)
        return refuse(Errno::kENOEXEC, "neither an ELF program nor a script", reason);
    if (bytes.size() < sizeof(raw))
        return refuse(Errno::kENOEXEC, "the ELF header is cut short", reason);
    std::memcpy(&raw, bytes.data(), sizeof(raw));
    if (raw.ident[4] != 2)
        return refuse(Errno::kENOEXEC, "a 32-bit program; only 64-bit ones run", reason);
    if (raw.ident[5] != 1 || raw.machine != abi::kElfMachine)
        return refuse(Errno::kENOEXEC, "a program for another processor architecture", reason);
    if (raw.type != kTypeExecutable && raw.type != kTypeDynamic)
        return refuse(Errno::kENOEXEC,
                      "an ELF file that is not a program (object file or core dump)", reason);
    if (raw.phentsize != kElfProgramHeaderSize || raw.phnum == 0 || raw.phnum > kMaxProgramHeaders)
        return refuse(Errno::kENOEXEC, "no usable program headers", reason);
    return ElfHeader{raw.type == kTypeDynamic, raw.entry, raw.phoff, raw.phnum};
}

Result<ElfLayout> parse_program_headers(const ElfHeader& header, std::span<const std::byte> bytes,
                                        std::uint64_t file_size, const char** reason) {
    if (bytes.size() < header.program_headers_bytes())
        return refuse(Errno::kENOEXEC, "the program headers are cut short", reason);
    ElfLayout layout;
    layout.alignment = kPageSize;
    std::uint64_t previous_end = 0;
    for (std::size_t i = 0; i < header.program_header_count; ++i) {
        RawProgramHeader raw;
        std::memcpy(&raw, bytes.data() + i * sizeof(raw), sizeof(raw));
        switch (raw.type) {
            case kSegmentLoad: {
                if (raw.memsz == 0) break;
                if (layout.segment_count == kMaxLoadSegments)
                    return refuse(Errno::kENOEXEC, "too many loadable segments", reason);
                const ElfSegment segment = TRY(check_segment(raw, file_size, reason));
                // The ABI wants PT_LOAD in ascending order; with overlap a later segment would
                // replace an earlier one.
                if (layout.segment_count != 0 && page_down(segment.address) < previous_end)
                    return refuse(Errno::kENOEXEC, "loadable segments overlap or are out of order",
                                  reason);
                previous_end = page_up(segment.address + segment.memory_size);
                if (layout.segment_count == 0) layout.low = page_down(segment.address);
                layout.high = previous_end;
                if (raw.align > layout.alignment && (raw.align & (raw.align - 1)) == 0)
                    layout.alignment = raw.align;
                // AT_PHDR when there is no PT_PHDR: the segment that holds the headers' bytes.
                if (layout.program_headers_address == 0 &&
                    header.program_headers_offset >= raw.offset &&
                    header.program_headers_offset - raw.offset < raw.filesz &&
                    raw.filesz - (header.program_headers_offset - raw.offset) >=
                        header.program_headers_bytes())
                    layout.program_headers_address =
                        raw.vaddr + (header.program_headers_offset - raw.offset);
                layout.segments[layout.segment_count++] = segment;
                break;
            }
            case kSegmentProgramHeaders: layout.program_headers_address = raw.vaddr; break;
            case kSegmentInterpreter:
                if (layout.has_interpreter) break;  // the first counts, as on Linux
                if (raw.filesz < 2 || raw.filesz > 4096 || raw.offset > file_size ||
                    raw.filesz > file_size - raw.offset)
                    return refuse(Errno::kENOEXEC, "the interpreter's name is malformed", reason);
                layout.has_interpreter = true;
                layout.interpreter_offset = raw.offset;
                layout.interpreter_size = raw.filesz;
                break;
            case kSegmentGnuStack: layout.executable_stack = (raw.flags & kElfExecute) != 0; break;
            default: break;
        }
    }
    if (layout.segment_count == 0) return refuse(Errno::kENOEXEC, "nothing to load", reason);
    if (layout.alignment > (1ull << 30)) layout.alignment = 1ull << 30;
    if (!header.position_independent && layout.low < hal::kUserBegin)
        return refuse(Errno::kEPERM, "linked below the lowest address an application may use",
                      reason);
    return layout;
}

}  // namespace kiln::loader
