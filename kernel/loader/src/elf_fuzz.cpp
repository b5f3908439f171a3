// Any bytes as a program file: the parsers answer, never read outside, and what they accept can be
// loaded.
#include <cstdlib>

#include <kiln/hal/paging.hpp>
#include <kiln/loader/elf.hpp>
#include <kiln/loader/script.hpp>

using namespace kiln;
using namespace kiln::loader;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
    const char* reason = nullptr;
    (void)parse_script_line(bytes.first(size < kScriptLineMax ? size : kScriptLineMax));
    auto header = parse_elf_header(bytes, &reason);
    if (!header.ok() || header->program_headers_offset > size) return 0;
    auto layout = parse_program_headers(*header, bytes.subspan(header->program_headers_offset),
                                        size, &reason);
    if (!layout.ok()) return 0;
    for (std::size_t i = 0; i < layout->segment_count; ++i) {
        const ElfSegment& s = layout->segments[i];
        if (s.file_size > s.memory_size || s.offset + s.file_size > size ||
            s.address < layout->low || s.address + s.memory_size > layout->high ||
            layout->high > hal::kUserEnd)
            std::abort();
    }
    return 0;
}
