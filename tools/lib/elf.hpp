// Reads 64-bit little-endian ELF files (System V ABI, "Object Files" and "Program Loading and
// Dynamic Linking"). The bytes may be hostile: every offset is checked, and what does not fit is an
// ElfError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::tool {

enum class ElfProblem : std::uint8_t {
    kNotElf,      // no ELF magic
    kTruncated,   // a header or segment reaches beyond the end of the file
    k32Bit,       // ELFCLASS32
    kBigEndian,   // ELFDATA2MSB
    kMachine,     // for another processor
    kNotProgram,  // a relocatable object or core file
    kMalformed,   // inconsistent in another way
};

class ElfError : public std::runtime_error {
public:
    ElfError(ElfProblem problem, const std::string& message)
        : std::runtime_error{message}, problem_{problem} {}
    ElfProblem problem() const { return problem_; }

private:
    ElfProblem problem_;
};

struct ElfSegment {
    std::uint32_t type;
    std::uint32_t flags;
    std::uint64_t offset;
    std::uint64_t vaddr;
    std::uint64_t paddr;
    std::uint64_t file_bytes;
    std::uint64_t memory_bytes;
    std::uint64_t align;
};

struct ElfSymbol {
    std::string_view name;
    std::uint64_t value;
    std::uint64_t bytes;
    bool is_function;
    bool is_undefined;
};

class ElfFile {
public:
    // `bytes` must outlive the object. Throws ElfError. `machine` is the e_machine wanted
    // (EM_X86_64, or 0 for any).
    static ElfFile parse(std::span<const std::byte> bytes, std::uint16_t machine);

    std::uint16_t type() const { return type_; }
    std::uint16_t machine() const { return machine_; }
    std::uint64_t entry() const { return entry_; }
    const std::vector<ElfSegment>& segments() const { return segments_; }

    // PT_INTERP; nothing for a static program or a library.
    const std::optional<std::string>& interpreter() const { return interpreter_; }
    bool has_dynamic_section() const { return has_dynamic_; }
    const std::vector<std::string>& needed() const { return needed_; }
    const std::string& soname() const { return soname_; }
    const std::string& rpath() const { return rpath_; }      // DT_RPATH, empty where absent
    const std::string& runpath() const { return runpath_; }  // DT_RUNPATH, empty where absent

    // The dynamic symbols, found by way of DT_SYMTAB and the hash tables. Views into the file's
    // bytes.
    std::vector<ElfSymbol> dynamic_symbols() const;

    // The file's bytes at a virtual address, up to the end of its segment's file contents; empty
    // where unmapped.
    std::span<const std::byte> at(std::uint64_t vaddr) const;
    std::span<const std::byte> segment_bytes(const ElfSegment& segment) const {
        return bytes_.subspan(segment.offset, segment.file_bytes);
    }

    // What a loader needs beyond a parsable file: loadable segments, in order, in the application's
    // half of the address space, and an entry inside one of them. Throws ElfError.
    void check_loadable() const;

    // Bytes of memory that all PT_LOAD segments take together.
    std::uint64_t memory_bytes() const;

private:
    void read_dynamic(const ElfSegment& segment);
    std::string string_at(std::uint64_t offset) const;

    std::span<const std::byte> bytes_;
    std::uint16_t type_ = 0;
    std::uint16_t machine_ = 0;
    std::uint64_t entry_ = 0;
    std::vector<ElfSegment> segments_;
    std::optional<std::string> interpreter_;
    bool has_dynamic_ = false;
    std::vector<std::string> needed_;
    std::string soname_;
    std::string rpath_;
    std::string runpath_;
    std::span<const std::byte> strings_;
    std::uint64_t symtab_vaddr_ = 0;
    std::uint64_t hash_vaddr_ = 0;
    std::uint64_t gnu_hash_vaddr_ = 0;
};

bool has_elf_magic(std::span<const std::byte> bytes);

// "AArch64", "x86 (32-bit)", or "machine N".
std::string machine_name(std::uint16_t machine);

}  // namespace kiln::tool
