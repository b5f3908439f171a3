#include "lib/elf.hpp"

#include <algorithm>
#include <cstring>

#include <elf.h>
#include <fmt/format.h>

namespace kiln::tool {
namespace {

// Linux's limit of an interpreter's path and of a library's name (PATH_MAX).
constexpr std::size_t kMaxName = 4096;
constexpr std::size_t kMaxDynamicEntries = 65536;
constexpr std::uint64_t kApplicationEnd = 0x00007ffffffff000;

// One object of the file at `offset`, copied out (the file need not be aligned). False where it
// does not fit.
template <typename T>
bool read_at(std::span<const std::byte> bytes, std::uint64_t offset, T& out) {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
        return false;
    }
    std::memcpy(&out, bytes.data() + offset, sizeof(T));
    return true;
}

[[noreturn]] void fail_elf(ElfProblem problem, const std::string& message) {
    throw ElfError{problem, message};
}

}  // namespace

bool has_elf_magic(std::span<const std::byte> bytes) {
    return bytes.size() >= SELFMAG && std::memcmp(bytes.data(), ELFMAG, SELFMAG) == 0;
}

std::string machine_name(std::uint16_t machine) {
    switch (machine) {
        case EM_386: return "32-bit x86";
        case EM_X86_64: return "x86-64";
        case EM_ARM: return "32-bit ARM";
        case EM_AARCH64: return "AArch64";
        case EM_RISCV: return "RISC-V";
        case EM_PPC64: return "PowerPC 64";
        case EM_S390: return "s390";
        case EM_MIPS: return "MIPS";
        case 258: return "LoongArch";
        default: return fmt::format("machine {}", machine);
    }
}

ElfFile ElfFile::parse(std::span<const std::byte> bytes, std::uint16_t machine) {
    if (!has_elf_magic(bytes)) {
        fail_elf(ElfProblem::kNotElf, "not an ELF file");
    }
    if (bytes.size() < EI_NIDENT) {
        fail_elf(ElfProblem::kTruncated, "cut short within the ELF header");
    }
    const auto ident = [&](int index) {
        return std::to_integer<unsigned char>(bytes[static_cast<std::size_t>(index)]);
    };
    if (ident(EI_CLASS) == ELFCLASS32) {
        fail_elf(ElfProblem::k32Bit, "a 32-bit program; only 64-bit ones run");
    }
    if (ident(EI_CLASS) != ELFCLASS64) {
        fail_elf(ElfProblem::kMalformed, "an ELF file of an unknown class");
    }
    if (ident(EI_DATA) != ELFDATA2LSB) {
        fail_elf(ElfProblem::kBigEndian, "a big-endian ELF file");
    }
    Elf64_Ehdr header{};
    if (!read_at(bytes, 0, header)) {
        fail_elf(ElfProblem::kTruncated, "cut short within the ELF header");
    }
    if (header.e_ident[EI_VERSION] != EV_CURRENT || header.e_version != EV_CURRENT) {
        fail_elf(ElfProblem::kMalformed, "an ELF file of an unknown version");
    }
    if (machine != 0 && header.e_machine != machine) {
        fail_elf(ElfProblem::kMachine,
                 fmt::format("a program for {}; the kernel is for {}",
                             machine_name(header.e_machine), machine_name(machine)));
    }
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        fail_elf(ElfProblem::kNotProgram, header.e_type == ET_REL ? "an object file; link it first"
                                          : header.e_type == ET_CORE
                                              ? "a core dump"
                                              : "neither a program nor a library");
    }

    ElfFile file;
    file.bytes_ = bytes;
    file.type_ = header.e_type;
    file.machine_ = header.e_machine;
    file.entry_ = header.e_entry;

    if (header.e_phnum != 0 && header.e_phentsize != sizeof(Elf64_Phdr)) {
        fail_elf(ElfProblem::kMalformed, "program headers of a wrong size");
    }
    for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr program{};
        const std::uint64_t step = i * sizeof(Elf64_Phdr);
        if (header.e_phoff > bytes.size() || !read_at(bytes, header.e_phoff + step, program)) {
            fail_elf(ElfProblem::kTruncated, "cut short within the program headers");
        }
        const ElfSegment segment{program.p_type,  program.p_flags, program.p_offset,
                                 program.p_vaddr, program.p_paddr, program.p_filesz,
                                 program.p_memsz, program.p_align};
        if (segment.type == PT_NULL) {
            continue;
        }
        const bool uses_file = segment.type == PT_LOAD || segment.type == PT_DYNAMIC ||
                               segment.type == PT_INTERP || segment.type == PT_NOTE;
        if (uses_file &&
            (segment.offset > bytes.size() || segment.file_bytes > bytes.size() - segment.offset)) {
            fail_elf(ElfProblem::kTruncated,
                     fmt::format("cut short: a segment reaches to byte {}, the file has {}",
                                 segment.offset + segment.file_bytes, bytes.size()));
        }
        if (segment.type == PT_LOAD && segment.file_bytes > segment.memory_bytes) {
            fail_elf(ElfProblem::kMalformed, "a segment larger in the file than in memory");
        }
        file.segments_.push_back(segment);
    }

    for (const ElfSegment& segment : file.segments_) {
        if (segment.type == PT_INTERP && !file.interpreter_) {
            const std::string_view text{
                reinterpret_cast<const char*>(bytes.data()) + segment.offset,
                static_cast<std::size_t>(segment.file_bytes)};
            const std::size_t end = text.find('\0');
            if (end == std::string_view::npos || end == 0 || end >= kMaxName) {
                fail_elf(ElfProblem::kMalformed, "a malformed interpreter path");
            }
            file.interpreter_ = std::string{text.substr(0, end)};
        }
    }
    for (const ElfSegment& segment : file.segments_) {
        if (segment.type == PT_DYNAMIC) {
            file.read_dynamic(segment);
            break;
        }
    }
    return file;
}

std::span<const std::byte> ElfFile::at(std::uint64_t vaddr) const {
    for (const ElfSegment& segment : segments_) {
        if (segment.type == PT_LOAD && vaddr >= segment.vaddr &&
            vaddr - segment.vaddr < segment.file_bytes) {
            return segment_bytes(segment).subspan(vaddr - segment.vaddr);
        }
    }
    return {};
}

std::string ElfFile::string_at(std::uint64_t offset) const {
    if (offset >= strings_.size()) {
        fail_elf(ElfProblem::kMalformed, "a dynamic string outside the string table");
    }
    const auto* const text = reinterpret_cast<const char*>(strings_.data()) + offset;
    const std::size_t left = std::min<std::size_t>(strings_.size() - offset, kMaxName);
    const void* const end = std::memchr(text, 0, left);
    if (end == nullptr) {
        fail_elf(ElfProblem::kMalformed, "a dynamic string without an end");
    }
    return {text, static_cast<const char*>(end)};
}

void ElfFile::read_dynamic(const ElfSegment& segment) {
    has_dynamic_ = true;
    const std::span<const std::byte> table = segment_bytes(segment);
    std::vector<Elf64_Dyn> entries;
    for (std::uint64_t offset = 0; entries.size() < kMaxDynamicEntries;
         offset += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry{};
        if (!read_at(table, offset, entry) || entry.d_tag == DT_NULL) {
            break;
        }
        entries.push_back(entry);
    }
    std::uint64_t string_bytes = 0;
    for (const Elf64_Dyn& entry : entries) {
        switch (entry.d_tag) {
            case DT_STRTAB: strings_ = at(entry.d_un.d_ptr); break;
            case DT_STRSZ: string_bytes = entry.d_un.d_val; break;
            case DT_SYMTAB: symtab_vaddr_ = entry.d_un.d_ptr; break;
            case DT_HASH: hash_vaddr_ = entry.d_un.d_ptr; break;
            case DT_GNU_HASH: gnu_hash_vaddr_ = entry.d_un.d_ptr; break;
            default: break;
        }
    }
    strings_ = strings_.first(std::min<std::uint64_t>(string_bytes, strings_.size()));
    for (const Elf64_Dyn& entry : entries) {
        switch (entry.d_tag) {
            case DT_NEEDED: needed_.push_back(string_at(entry.d_un.d_val)); break;
            case DT_SONAME: soname_ = string_at(entry.d_un.d_val); break;
            case DT_RPATH: rpath_ = string_at(entry.d_un.d_val); break;
            case DT_RUNPATH: runpath_ = string_at(entry.d_un.d_val); break;
            default: break;
        }
    }
}

std::vector<ElfSymbol> ElfFile::dynamic_symbols() const {
    // ELF has no count of dynamic symbols outside the section headers: DT_HASH's nchain is one;
    // DT_GNU_HASH gives the highest hashed index (its chains end with a set low bit), and the
    // unhashed ones (the imports) come before.
    const std::span<const std::byte> table = at(symtab_vaddr_);
    std::uint64_t count = 0;
    if (hash_vaddr_ != 0) {
        std::uint32_t header[2] = {};
        if (read_at(at(hash_vaddr_), 0, header)) {
            count = header[1];
        }
    } else if (gnu_hash_vaddr_ != 0) {
        const std::span<const std::byte> hash = at(gnu_hash_vaddr_);
        std::uint32_t header[4] = {};  // nbuckets, symoffset, bloom_size, bloom_shift
        if (read_at(hash, 0, header)) {
            const std::uint64_t buckets = sizeof(header) + std::uint64_t{header[2]} * 8;
            const std::uint64_t chains = buckets + std::uint64_t{header[0]} * 4;
            std::uint64_t last = 0;
            for (std::uint64_t i = 0; i < header[0]; ++i) {
                std::uint32_t bucket = 0;
                if (!read_at(hash, buckets + i * 4, bucket)) {
                    break;
                }
                last = std::max<std::uint64_t>(last, bucket);
            }
            count = header[1];
            if (last >= header[1] && last != 0) {
                std::uint32_t link = 0;
                while (read_at(hash, chains + (last - header[1]) * 4, link) && (link & 1) == 0) {
                    ++last;
                }
                count = last + 1;
            }
        }
    }
    count = std::min<std::uint64_t>(count, table.size() / sizeof(Elf64_Sym));

    std::vector<ElfSymbol> symbols;
    symbols.reserve(count);
    for (std::uint64_t i = 1; i < count; ++i) {
        Elf64_Sym symbol{};
        if (!read_at(table, i * sizeof(Elf64_Sym), symbol) || symbol.st_name >= strings_.size()) {
            continue;
        }
        const auto* const name = reinterpret_cast<const char*>(strings_.data()) + symbol.st_name;
        const std::size_t length = ::strnlen(name, strings_.size() - symbol.st_name);
        const unsigned kind = ELF64_ST_TYPE(symbol.st_info);
        symbols.push_back({{name, length},
                           symbol.st_value,
                           symbol.st_size,
                           kind == STT_FUNC || kind == STT_GNU_IFUNC,
                           symbol.st_shndx == SHN_UNDEF});
    }
    return symbols;
}

void ElfFile::check_loadable() const {
    bool any = false;
    bool entry_inside = false;
    std::uint64_t last_end = 0;
    for (const ElfSegment& segment : segments_) {
        if (segment.type != PT_LOAD) {
            continue;
        }
        if (segment.vaddr > kApplicationEnd ||
            segment.memory_bytes > kApplicationEnd - segment.vaddr) {
            fail_elf(ElfProblem::kMalformed, "a segment outside the address space of a program");
        }
        if (any && segment.vaddr < last_end) {
            fail_elf(ElfProblem::kMalformed, "overlapping or unordered segments");
        }
        if (segment.align > 1 &&
            ((segment.align & (segment.align - 1)) != 0 ||
             (segment.vaddr - segment.offset) % std::min<std::uint64_t>(segment.align, 4096) !=
                 0)) {
            fail_elf(ElfProblem::kMalformed, "a misaligned segment");
        }
        any = true;
        last_end = segment.vaddr + segment.memory_bytes;
        entry_inside = entry_inside || (entry_ >= segment.vaddr && entry_ < last_end);
    }
    if (!any) {
        fail_elf(ElfProblem::kMalformed, "nothing to load in it");
    }
    if (!entry_inside) {
        fail_elf(ElfProblem::kMalformed, "an entry point outside its segments");
    }
}

std::uint64_t ElfFile::memory_bytes() const {
    std::uint64_t sum = 0;
    for (const ElfSegment& segment : segments_) {
        if (segment.type == PT_LOAD) {
            sum += std::min<std::uint64_t>(segment.memory_bytes, kApplicationEnd);
        }
    }
    return sum;
}

}  // namespace kiln::tool
