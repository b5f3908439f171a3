#include "lib/elf.hpp"

#include <optional>

#include <gtest/gtest.h>

#include "lib/test_elf.hpp"

namespace kiln::tool {
namespace {

using test::bytes_of;
using test::make_elf;
using test::poke;

std::optional<ElfProblem> problem_of(const std::string& file) {
    try {
        const ElfFile elf = ElfFile::parse(bytes_of(file), EM_X86_64);
        elf.check_loadable();
        elf.dynamic_symbols();
        return std::nullopt;
    } catch (const ElfError& error) {
        return error.problem();
    }
}

TEST(Elf, ReadsWhatTheDynamicLinkerReads) {
    const std::string file = make_elf({.interpreter = "/lib64/ld.so",
                                       .needed = {"liba.so", "libb.so.1"},
                                       .rpath = "/r",
                                       .runpath = "$ORIGIN/../lib"});
    const ElfFile elf = ElfFile::parse(bytes_of(file), EM_X86_64);
    EXPECT_EQ(elf.interpreter(), "/lib64/ld.so");
    EXPECT_EQ(elf.needed(), (std::vector<std::string>{"liba.so", "libb.so.1"}));
    EXPECT_EQ(elf.rpath(), "/r");
    EXPECT_EQ(elf.runpath(), "$ORIGIN/../lib");
    EXPECT_EQ(elf.memory_bytes(), 0x3000u);
    elf.check_loadable();
}

TEST(Elf, TellsWhyAFileIsNoProgram) {
    EXPECT_EQ(problem_of(""), ElfProblem::kNotElf);
    EXPECT_EQ(problem_of("#!/bin/sh\n"), ElfProblem::kNotElf);
    EXPECT_EQ(problem_of("\x7f"
                         "ELF"),
              ElfProblem::kTruncated);
    std::string file = make_elf({});
    file[EI_CLASS] = ELFCLASS32;
    EXPECT_EQ(problem_of(file), ElfProblem::k32Bit);
    file = make_elf({});
    file[EI_DATA] = ELFDATA2MSB;
    EXPECT_EQ(problem_of(file), ElfProblem::kBigEndian);
    EXPECT_EQ(problem_of(make_elf({.machine = EM_AARCH64})), ElfProblem::kMachine);
    EXPECT_EQ(problem_of(make_elf({.type = ET_REL})), ElfProblem::kNotProgram);
    EXPECT_EQ(problem_of(make_elf({.type = ET_CORE})), ElfProblem::kNotProgram);
}

TEST(Elf, RefusesEveryPrefixOfAProgram) {
    const std::string file =
        make_elf({.interpreter = "/lib64/ld.so", .needed = {"liba.so"}, .runpath = "/x"});
    EXPECT_EQ(problem_of(file), std::nullopt);
    for (std::size_t length = 0; length < file.size(); ++length) {
        EXPECT_NE(problem_of(file.substr(0, length)), std::nullopt) << length;
    }
}

TEST(Elf, RefusesHostileFields) {
    const std::size_t load = sizeof(Elf64_Ehdr);
    const auto with = [&](std::size_t offset, auto value) {
        std::string file = make_elf({.interpreter = "/lib64/ld.so", .needed = {"liba.so"}});
        poke(file, offset, value);
        return problem_of(file);
    };
    constexpr std::uint64_t kHuge = ~std::uint64_t{0} - 8;
    EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phoff), kHuge), ElfProblem::kTruncated);
    EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phnum), std::uint16_t{0xffff}), ElfProblem::kTruncated);
    EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phnum), std::uint16_t{0}), ElfProblem::kMalformed);
    EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phentsize), std::uint16_t{1}), ElfProblem::kMalformed);
    EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_entry), std::uint64_t{0x10}), ElfProblem::kMalformed);
    EXPECT_EQ(with(load + offsetof(Elf64_Phdr, p_filesz), kHuge), ElfProblem::kTruncated);
    EXPECT_EQ(with(load + offsetof(Elf64_Phdr, p_memsz), std::uint64_t{1}), ElfProblem::kMalformed);
    EXPECT_EQ(with(load + offsetof(Elf64_Phdr, p_memsz), kHuge), ElfProblem::kMalformed);
    EXPECT_EQ(with(load + offsetof(Elf64_Phdr, p_vaddr), kHuge), ElfProblem::kMalformed);
    EXPECT_EQ(with(load + offsetof(Elf64_Phdr, p_align), std::uint64_t{3}), ElfProblem::kMalformed);
    // The string table's address outside every segment: the needed library has no name.
    std::string file = make_elf({.needed = {"liba.so"}});
    const ElfFile elf = ElfFile::parse(bytes_of(file), EM_X86_64);
    const std::size_t dynamic = elf.segments()[1].offset;
    poke(file, dynamic + sizeof(Elf64_Dyn) + 8, std::uint64_t{0x10});
    EXPECT_EQ(problem_of(file), ElfProblem::kMalformed);
}

TEST(Elf, OverlappingSegmentsAreMalformed) {
    std::string file = make_elf({.interpreter = "/i"});
    // The PT_INTERP entry becomes a second PT_LOAD at the first one's address.
    poke(file, sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), Elf64_Word{PT_LOAD});
    EXPECT_EQ(problem_of(file), ElfProblem::kMalformed);
}

}  // namespace
}  // namespace kiln::tool
