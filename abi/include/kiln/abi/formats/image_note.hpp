// How `kiln build` puts a root image (initrd.hpp) inside the kernel's own ELF file.
//
// The kernel has one ImageNote in an allocated, loaded section (and thus in a PT_LOAD and a PT_NOTE
// segment). As linked, image_bytes is 0: no image inside. The tool appends the image to the file,
// adds a PT_LOAD segment that loads it at a page-aligned physical address above the end of the
// kernel, and writes that address and the length into the note. The kernel reads the note at run
// time (through a volatile access: the compiler must not take the linked value for the truth),
// reserves that memory and uses it like an initrd. When the boot protocol gives an initrd as well,
// the boot protocol's is used.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kiln::abi {

// n_namesz is 12, two NULs included: so the descriptor follows at 24 whether a reader aligns it to 4
// (the System V ABI) or to the segment's 8 (as binutils does).
inline constexpr char kImageNoteName[12] = {'K', 'i', 'l', 'n', ' ', 'i', 'm', 'a', 'g', 'e'};
inline constexpr std::uint32_t kImageNoteType = 1;
inline constexpr std::uint32_t kImageNoteVersion = 1;
inline constexpr std::uint64_t kImageAlignment = 4096;

// The whole note as it lies in the file: Elf64_Nhdr, the name, the descriptor.
struct alignas(8) ImageNote {
    std::uint32_t name_bytes;        // n_namesz: sizeof(kImageNoteName)
    std::uint32_t descriptor_bytes;  // n_descsz: kImageNoteDescriptorBytes
    std::uint32_t type;              // n_type: kImageNoteType
    char name[12];
    std::uint32_t version;      // the descriptor from here on: kImageNoteVersion
    std::uint32_t reserved;     // 0
    std::uint64_t image_phys;   // physical address, page-aligned; 0 where there is no image
    std::uint64_t image_bytes;  // its length; 0: no image inside
};
static_assert(sizeof(ImageNote) == 48);
static_assert(offsetof(ImageNote, name) == 12);
static_assert(offsetof(ImageNote, version) == 24);
static_assert(offsetof(ImageNote, image_phys) == 32);

inline constexpr std::uint32_t kImageNoteDescriptorBytes =
    sizeof(ImageNote) - offsetof(ImageNote, version);

// What the kernel links in: `[[gnu::section(".note.kiln"), gnu::used]] constinit const volatile
// ImageNote note = kEmptyImageNote;`
inline constexpr ImageNote kEmptyImageNote = {
    sizeof(kImageNoteName),
    kImageNoteDescriptorBytes,
    kImageNoteType,
    {'K', 'i', 'l', 'n', ' ', 'i', 'm', 'a', 'g', 'e'},
    kImageNoteVersion,
    0,
    0,
    0,
};

}  // namespace kiln::abi
