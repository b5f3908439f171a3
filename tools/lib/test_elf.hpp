// Makes small ELF files for tests, byte by byte, so that each field can be made wrong.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <elf.h>

namespace kiln::tool::test {

struct ElfParts {
    std::uint16_t type = ET_DYN;
    std::uint16_t machine = EM_X86_64;
    std::string interpreter;
    std::vector<std::string> needed;
    std::string rpath;
    std::string runpath;
    std::uint64_t memory_bytes = 0x3000;
};

inline constexpr std::uint64_t kLoadAddress = 0x400000;

// One PT_LOAD over the whole file, PT_INTERP and PT_DYNAMIC as wanted.
inline std::string make_elf(const ElfParts& parts) {
    std::string strings(1, '\0');
    const auto add_string = [&](const std::string& text) {
        const std::size_t at = strings.size();
        strings.append(text.c_str(), text.size() + 1);
        return at;
    };
    std::vector<Elf64_Dyn> dynamic;
    const auto add_entry = [&](Elf64_Sxword tag, std::uint64_t value) {
        Elf64_Dyn entry{};
        entry.d_tag = tag;
        entry.d_un.d_val = value;
        dynamic.push_back(entry);
    };
    for (const std::string& library : parts.needed) {
        add_entry(DT_NEEDED, add_string(library));
    }
    if (!parts.rpath.empty()) {
        add_entry(DT_RPATH, add_string(parts.rpath));
    }
    if (!parts.runpath.empty()) {
        add_entry(DT_RUNPATH, add_string(parts.runpath));
    }
    constexpr std::size_t kHeaders = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr);
    const std::size_t interpreter_at = kHeaders;
    const std::size_t strings_at = interpreter_at + parts.interpreter.size() + 1;
    const std::size_t dynamic_at = (strings_at + strings.size() + 7) / 8 * 8;
    add_entry(DT_STRTAB, kLoadAddress + strings_at);
    add_entry(DT_STRSZ, strings.size());
    add_entry(DT_NULL, 0);
    const std::size_t dynamic_bytes = dynamic.size() * sizeof(Elf64_Dyn);

    std::string file(dynamic_at + dynamic_bytes, '\0');
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = parts.type;
    header.e_machine = parts.machine;
    header.e_version = EV_CURRENT;
    header.e_entry = kLoadAddress + 0x40;
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_ehsize = sizeof(Elf64_Ehdr);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 3;
    const Elf64_Phdr programs[3] = {
        {PT_LOAD, PF_R | PF_X, 0, kLoadAddress, kLoadAddress, file.size(), parts.memory_bytes,
         4096},
        {parts.interpreter.empty() ? Elf64_Word{PT_NULL} : Elf64_Word{PT_INTERP}, PF_R,
         interpreter_at, kLoadAddress + interpreter_at, 0, parts.interpreter.size() + 1,
         parts.interpreter.size() + 1, 1},
        {PT_DYNAMIC, PF_R, dynamic_at, kLoadAddress + dynamic_at, 0, dynamic_bytes, dynamic_bytes,
         8},
    };
    std::memcpy(file.data(), &header, sizeof(header));
    std::memcpy(file.data() + sizeof(header), programs, sizeof(programs));
    std::memcpy(file.data() + interpreter_at, parts.interpreter.c_str(),
                parts.interpreter.size() + 1);
    std::memcpy(file.data() + strings_at, strings.data(), strings.size());
    std::memcpy(file.data() + dynamic_at, dynamic.data(), dynamic_bytes);
    return file;
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// Overwrites one field of a structure in a file.
template <typename T>
void poke(std::string& file, std::size_t offset, T value) {
    std::memcpy(file.data() + offset, &value, sizeof(value));
}

}  // namespace kiln::tool::test
