#include <kiln/loader/elf.hpp>

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace kiln::loader {
namespace {

// An ELF file as <elf.h> describes it, to be spoilt one field at a time.
struct TestFile {
    Elf64_Ehdr header{};
    std::vector<Elf64_Phdr> programs;
    std::uint64_t file_size = 0x4000;

    TestFile() {
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_type = ET_EXEC;
        header.e_machine = EM_X86_64;
        header.e_entry = 0x401000;
        header.e_phoff = sizeof(header);
        header.e_phentsize = sizeof(Elf64_Phdr);
        programs.push_back({PT_LOAD, PF_R, 0, 0x400000, 0, 0x800, 0x800, 0x1000});
        programs.push_back({PT_LOAD, PF_R | PF_X, 0x1000, 0x401000, 0, 0x1000, 0x1000, 0x1000});
        programs.push_back({PT_LOAD, PF_R | PF_W, 0x2100, 0x403100, 0, 0x100, 0x5000, 0x1000});
    }
    Result<ElfLayout> parse() {
        const char* reason = nullptr;
        header.e_phnum = static_cast<Elf64_Half>(programs.size());
        auto parsed =
            parse_elf_header({reinterpret_cast<std::byte*>(&header), sizeof(header)}, &reason);
        if (!parsed.ok()) {
            EXPECT_NE(reason, nullptr);
            return parsed.error();
        }
        auto layout =
            parse_program_headers(*parsed, std::as_bytes(std::span(programs)), file_size, &reason);
        if (!layout.ok()) {
            EXPECT_NE(reason, nullptr);
        }
        return layout;
    }
};

TEST(Elf, LayoutOfAProgram) {
    TestFile file;
    auto layout = file.parse();
    ASSERT_TRUE(layout.ok());
    EXPECT_EQ(layout->segment_count, 3u);
    EXPECT_EQ(layout->low, 0x400000u);
    EXPECT_EQ(layout->high, 0x409000u);
    EXPECT_EQ(layout->program_headers_address, 0x400040u);
    EXPECT_FALSE(layout->has_interpreter);
}

TEST(Elf, RefusesOtherFormats) {
    const char* reason = nullptr;
    EXPECT_EQ(parse_elf_header({}, &reason).error(), Errno::kENOEXEC);
    const std::byte cut[8] = {std::byte{0x7f}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'}};
    EXPECT_EQ(parse_elf_header(cut, &reason).error(), Errno::kENOEXEC);
    EXPECT_STREQ(reason, "the ELF header is cut short");
    auto refused = [](auto spoil) {
        TestFile file;
        spoil(file);
        return file.parse().error();
    };
    EXPECT_EQ(refused([](TestFile& f) { f.header.e_ident[EI_CLASS] = ELFCLASS32; }),
              Errno::kENOEXEC);
    EXPECT_EQ(refused([](TestFile& f) { f.header.e_machine = EM_AARCH64; }), Errno::kENOEXEC);
    EXPECT_EQ(refused([](TestFile& f) { f.header.e_type = ET_CORE; }), Errno::kENOEXEC);
    EXPECT_EQ(refused([](TestFile& f) { f.header.e_phentsize = 32; }), Errno::kENOEXEC);
    EXPECT_EQ(refused([](TestFile& f) { f.programs.clear(); }), Errno::kENOEXEC);
    EXPECT_EQ(refused([](TestFile& f) { f.file_size = 0x2000; }), Errno::kENOEXEC);
}

TEST(Elf, RefusesHostileSegments) {
    auto refused = [](auto spoil) {
        TestFile file;
        spoil(file.programs[1]);
        return file.parse().error();
    };
    EXPECT_EQ(refused([](Elf64_Phdr& p) { p.p_filesz = p.p_memsz + 1; }), Errno::kEINVAL);
    EXPECT_EQ(refused([](Elf64_Phdr& p) { p.p_offset = UINT64_MAX - 5; }), Errno::kENOEXEC);
    EXPECT_EQ(refused([](Elf64_Phdr& p) { p.p_vaddr = 0xffffffff80001000; }), Errno::kEINVAL);
    EXPECT_EQ(refused([](Elf64_Phdr& p) { p.p_memsz = UINT64_MAX; }), Errno::kEINVAL);
    EXPECT_EQ(refused([](Elf64_Phdr& p) { p.p_vaddr += 8; }), Errno::kEINVAL);
    EXPECT_EQ(refused([](Elf64_Phdr& p) { p.p_vaddr = 0x400000; }), Errno::kENOEXEC);
    TestFile low;
    low.programs[0].p_vaddr = 0;
    EXPECT_EQ(low.parse().error(), Errno::kEPERM);
}

TEST(Elf, Interpreter) {
    TestFile file;
    file.programs.push_back({PT_INTERP, PF_R, 0x300, 0x400300, 0, 28, 28, 1});
    auto layout = file.parse();
    ASSERT_TRUE(layout.ok());
    EXPECT_EQ(layout->interpreter_offset, 0x300u);
    file.programs.back().p_offset = 0x3ff0;
    EXPECT_EQ(file.parse().error(), Errno::kENOEXEC);
}

}  // namespace
}  // namespace kiln::loader
