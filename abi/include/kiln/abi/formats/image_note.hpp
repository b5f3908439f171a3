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

inline constexpr char kImageNoteName[8] = {'K', 'i', 'l', 'n', '\0', '\0', '\0', '\0'};
inline constexpr std::uint32_t kImageNoteNameBytes =
    5;  // n_namesz: "Kiln" and its NUL, without the padding
inline constexpr std::uint32_t kImageNoteType = 1;
inline constexpr std::uint32_t kImageNoteVersion = 1;
inline constexpr std::uint64_t kImageAlignment = 4096;

// The whole note as it lies in the file: Elf64_Nhdr, the name padded to 4 bytes, the descriptor.
// The name's length puts the descriptor's 64-bit fields at multiples of 8 from the note's start.
struct alignas(8) ImageNote {
    std::uint32_t name_bytes;        // n_namesz: kImageNoteNameBytes
    std::uint32_t descriptor_bytes;  // n_descsz: kImageNoteDescriptorBytes
    std::uint32_t type;              // n_type: kImageNoteType
    char name[8];
    std::uint32_t version;     // descriptor from here: kImageNoteVersion
    std::uint64_t image_phys;  // physical address of the image, page-aligned; 0 where there is none
    std::uint64_t image_bytes;  // its length; 0: no image inside
};
static_assert(sizeof(ImageNote) == 40);
static_assert(offsetof(ImageNote, name) == 12);
static_assert(offsetof(ImageNote, version) == 20);
static_assert(offsetof(ImageNote, image_phys) == 24);

inline constexpr std::uint32_t kImageNoteDescriptorBytes =
    sizeof(ImageNote) - offsetof(ImageNote, version);

// What the kernel links in: `[[gnu::section(".note.kiln"), gnu::used]] constinit const volatile
// ImageNote note = kEmptyImageNote;`
inline constexpr ImageNote kEmptyImageNote = {
    kImageNoteNameBytes,
    kImageNoteDescriptorBytes,
    kImageNoteType,
    {'K', 'i', 'l', 'n'},
    kImageNoteVersion,
    0,
    0,
};

}  // namespace kiln::abi
