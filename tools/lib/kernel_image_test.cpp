#include "lib/kernel_image.hpp"

#include <gtest/gtest.h>

#include <kiln/abi/formats/image_note.hpp>

#include "lib/elf.hpp"
#include "lib/error.hpp"
#include "lib/test_elf.hpp"

namespace kiln::tool {
namespace {

using test::bytes_of;
using test::poke;

// A kernel: one PT_LOAD at 1 MiB that holds the note, whose segment comes second. `gap` bytes lie
// between headers and contents.
std::string make_kernel(std::size_t gap) {
    const std::size_t headers = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
    const std::size_t note_at = (headers + gap + 7) / 8 * 8;
    std::string file(note_at + sizeof(abi::ImageNote) + 100, '\0');
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    const std::uint64_t bytes = file.size() - note_at;
    const Elf64_Phdr programs[2] = {
        {PT_LOAD, PF_R | PF_W, note_at, 0xffffffff80100000, 0x100000, bytes, bytes + 0x1234, 4096},
        {PT_NOTE, PF_R, note_at, 0xffffffff80100000, 0x100000, sizeof(abi::ImageNote),
         sizeof(abi::ImageNote), 8},
    };
    std::memcpy(file.data(), &header, sizeof(header));
    std::memcpy(file.data() + sizeof(header), programs, sizeof(programs));
    std::memcpy(file.data() + note_at, &abi::kEmptyImageNote, sizeof(abi::ImageNote));
    return file;
}

void check_embedded(const std::string& kernel) {
    const std::string image(8192, 'i');
    const EmbeddedKernel embedded = embed_image(kernel, image.size());
    EXPECT_EQ(embedded.start.size() % 4096, 0u);
    const std::string file = embedded.start + image;
    const ElfFile elf = ElfFile::parse(bytes_of(file), EM_X86_64);
    ASSERT_EQ(elf.segments().size(), 3u);
    const ElfSegment& old = elf.segments()[0];
    const ElfSegment& note_segment = elf.segments()[1];
    const ElfSegment& added = elf.segments()[2];
    EXPECT_EQ(added.type, Elf64_Word{PT_LOAD});
    EXPECT_EQ(added.paddr % 4096, 0u);
    EXPECT_GE(added.paddr, old.paddr + old.memory_bytes);
    EXPECT_EQ(file.substr(added.offset, added.file_bytes), image);
    abi::ImageNote note{};
    std::memcpy(&note, file.data() + note_segment.offset, sizeof(note));
    EXPECT_EQ(note.image_phys, added.paddr);
    EXPECT_EQ(note.image_bytes, image.size());
    EXPECT_EQ(note.version, abi::kImageNoteVersion);
    // The note is what is loaded, too.
    EXPECT_EQ(note_segment.offset, old.offset);
}

TEST(KernelImage, GetsAnImageInside) {
    check_embedded(make_kernel(4096));
    check_embedded(make_kernel(0));  // no room for another program header
}

TEST(KernelImage, WithoutANoteThereIsNoPlace) {
    std::string kernel = make_kernel(64);
    kernel.replace(kernel.find("Kiln"), 4, "Xxxx");
    EXPECT_THROW(embed_image(kernel, 4096), Error);
    EXPECT_THROW(embed_image("not a kernel", 4096), Error);
}

TEST(KernelImage, AHostileNoteIsNoCrash) {
    const std::string good = make_kernel(0);
    const std::size_t note = good.find("Kiln") - 12;
    for (const std::uint32_t value : {0u, 1u, 0x7fffffffu, 0xffffffffu}) {
        for (const std::size_t field : {0u, 4u}) {
            std::string kernel = good;
            poke(kernel, note + field, value);
            EXPECT_THROW(embed_image(kernel, 4096), Error);
        }
    }
}

}  // namespace
}  // namespace kiln::tool
