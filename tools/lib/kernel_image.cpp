#include "lib/kernel_image.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>
#include <span>

#include <elf.h>

#include <kiln/abi/formats/image_note.hpp>

#include "lib/elf.hpp"
#include "lib/error.hpp"
#include "lib/file.hpp"

namespace kiln::tool {
namespace {

constexpr const char* kKernelName = "kiln.elf";
constexpr std::uint64_t kPage = 4096;

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

template <typename T>
T read_as(std::string_view bytes, std::uint64_t offset) {
    T value{};
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
        fail("the kernel's file is cut short");
    }
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
}

template <typename T>
void write_as(std::string& bytes, std::uint64_t offset, const T& value) {
    std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

std::uint64_t physical_end_of(const ElfFile& elf) {
    std::uint64_t end = 0;
    for (const ElfSegment& segment : elf.segments()) {
        if (segment.type == PT_LOAD) {
            end = std::max(end, segment.paddr + segment.memory_bytes);
        }
    }
    return end;
}

// The offset of the descriptor's `version` field in the file.
std::optional<std::uint64_t> find_note(const ElfFile& elf, std::string_view file) {
    for (const ElfSegment& segment : elf.segments()) {
        if (segment.type != PT_NOTE) {
            continue;
        }
        const std::uint64_t align = segment.align == 8 ? 8 : 4;
        std::uint64_t at = segment.offset;
        const std::uint64_t end = segment.offset + segment.file_bytes;
        while (end - at >= sizeof(Elf64_Nhdr)) {
            const auto note = read_as<Elf64_Nhdr>(file, at);
            const std::uint64_t name = at + sizeof(Elf64_Nhdr);
            const std::uint64_t descriptor = name + align_up(note.n_namesz, 4);
            const std::uint64_t next =
                align_up(descriptor + note.n_descsz - segment.offset, align) + segment.offset;
            if (descriptor > end || note.n_descsz > end - descriptor) {
                break;
            }
            if (note.n_type == abi::kImageNoteType &&
                note.n_namesz == sizeof(abi::kImageNoteName) &&
                file.substr(name, sizeof(abi::kImageNoteName)) ==
                    std::string_view{abi::kImageNoteName, sizeof(abi::kImageNoteName)} &&
                note.n_descsz == abi::kImageNoteDescriptorBytes) {
                return descriptor;
            }
            if (next <= at || next > end) {
                break;
            }
            at = next;
        }
    }
    return std::nullopt;
}

}  // namespace

std::vector<std::filesystem::path> kernel_dirs() {
    if (const char* dir = std::getenv("KILN_KERNEL_DIR"); dir != nullptr && dir[0] != '\0') {
        return {dir};
    }
    std::error_code error;
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) {
        return {};
    }
    const std::filesystem::path base = self.parent_path().parent_path();
    return {base / "kernel", base / "share/kiln"};
}

std::vector<std::string> kernel_configurations() {
    std::set<std::string> names;
    for (const auto& dir : kernel_dirs()) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator{dir, error}) {
            if (std::filesystem::is_regular_file(entry.path() / kKernelName, error)) {
                names.insert(entry.path().filename().string());
            }
        }
    }
    return {names.begin(), names.end()};
}

std::filesystem::path kernel_file(const std::string& configuration, const std::string& name) {
    std::filesystem::path first;
    for (const auto& dir : kernel_dirs()) {
        const std::filesystem::path path = dir / configuration / name;
        std::error_code error;
        if (std::filesystem::exists(path, error)) {
            return path;
        }
        if (first.empty()) {
            first = path;
        }
    }
    return first;
}

KernelImage find_kernel(const std::string& configuration, const std::filesystem::path& file) {
    std::filesystem::path path = file;
    if (path.empty()) {
        if (configuration.empty() || configuration.find('/') != std::string::npos ||
            configuration.starts_with('.')) {
            fail(
                "--config '{}': not the name of a configuration; --kernel FILE takes a kernel's "
                "path",
                configuration);
        }
        path = kernel_file(configuration, kKernelName);
        std::error_code error;
        if (path.empty() || !std::filesystem::is_regular_file(path, error)) {
            const auto names = kernel_configurations();
            if (names.empty()) {
                fail(
                    "no kernel found ({} is missing); `make kernel` builds one, KILN_KERNEL_DIR "
                    "says where else to look",
                    path.string());
            }
            fail("no kernel of configuration '{}'; there is {}; `make kernel CONFIG={}` builds it",
                 configuration, fmt::format("{}", fmt::join(names, ", ")), configuration);
        }
    }
    const MappedFile mapped = MappedFile::open(path);
    try {
        const ElfFile elf = ElfFile::parse(mapped.bytes(), EM_X86_64);
        return {path, physical_end_of(elf)};
    } catch (const ElfError& error) {
        fail("{}: not a kernel: {}", path.string(), error.what());
    }
}

EmbeddedKernel embed_image(std::string_view kernel, std::uint64_t image_bytes) {
    const std::span<const std::byte> bytes{reinterpret_cast<const std::byte*>(kernel.data()),
                                           kernel.size()};
    std::optional<std::uint64_t> note;
    std::uint64_t image_physical = 0;
    try {
        const ElfFile elf = ElfFile::parse(bytes, EM_X86_64);
        note = find_note(elf, kernel);
        image_physical = align_up(physical_end_of(elf), abi::kImageAlignment);
    } catch (const ElfError& error) {
        fail("not a kernel: {}", error.what());
    }
    if (!note) {
        fail(
            "this kernel has no place for an image inside; use --initrd, which writes kernel and "
            "image as two files");
    }
    auto header = read_as<Elf64_Ehdr>(kernel, 0);
    std::vector<Elf64_Phdr> programs;
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        programs.push_back(read_as<Elf64_Phdr>(kernel, header.e_phoff + i * sizeof(Elf64_Phdr)));
    }
    std::vector<Elf64_Shdr> sections;
    if (header.e_shoff != 0 && header.e_shentsize == sizeof(Elf64_Shdr)) {
        for (unsigned i = 0; i < header.e_shnum; ++i) {
            sections.push_back(
                read_as<Elf64_Shdr>(kernel, header.e_shoff + i * sizeof(Elf64_Shdr)));
        }
    }

    // The program headers stay at the file's start, where GRUB wants them (multiboot2, 3.1: within
    // the first 32 KiB), and become one more. Where what follows them leaves no room, the whole old
    // file moves up by a page.
    const std::uint64_t table_end = sizeof(Elf64_Ehdr) + (programs.size() + 1) * sizeof(Elf64_Phdr);
    std::uint64_t first_content = kernel.size();
    for (const Elf64_Phdr& program : programs) {
        if (program.p_type != PT_PHDR && program.p_filesz != 0) {
            first_content = std::min<std::uint64_t>(first_content, program.p_offset);
        }
    }
    for (const Elf64_Shdr& section : sections) {
        if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL && section.sh_size != 0) {
            first_content = std::min<std::uint64_t>(first_content, section.sh_offset);
        }
    }
    if (header.e_shoff != 0) {
        first_content = std::min<std::uint64_t>(first_content, header.e_shoff);
    }
    const std::uint64_t shift = table_end <= first_content ? 0 : align_up(table_end, kPage);

    std::string out(shift, '\0');
    out += kernel;
    out.resize(align_up(std::max<std::uint64_t>(out.size(), table_end), kPage), '\0');
    const std::uint64_t image_offset = out.size();

    for (Elf64_Phdr& program : programs) {
        program.p_offset += shift;
    }
    programs.push_back({PT_LOAD, PF_R, image_offset, image_physical, image_physical, image_bytes,
                        image_bytes, kPage});
    if (header.e_shoff != 0) {
        header.e_shoff += shift;
        for (std::size_t i = 0; i < sections.size(); ++i) {
            sections[i].sh_offset += sections[i].sh_type == SHT_NULL ? 0 : shift;
            write_as(out, header.e_shoff + i * sizeof(Elf64_Shdr), sections[i]);
        }
    }
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_phnum = static_cast<Elf64_Half>(programs.size());
    write_as(out, 0, header);
    for (std::size_t i = 0; i < programs.size(); ++i) {
        write_as(out, header.e_phoff + i * sizeof(Elf64_Phdr), programs[i]);
    }
    constexpr std::size_t kPhysicalOffset =
        offsetof(abi::ImageNote, image_phys) - offsetof(abi::ImageNote, version);
    constexpr std::size_t kBytesOffset =
        offsetof(abi::ImageNote, image_bytes) - offsetof(abi::ImageNote, version);
    write_as(out, *note + shift + kPhysicalOffset, image_physical);
    write_as(out, *note + shift + kBytesOffset, image_bytes);
    return {std::move(out), image_physical};
}

}  // namespace kiln::tool
