// The prebuilt kernels: where they are, what they are called, and how an image gets inside one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kiln::tool {

// The folders that hold <configuration>/kiln.elf, in order: $KILN_KERNEL_DIR alone where it is set,
// else beside the tool's own build (bin/../kernel), else where it is installed (bin/../share/kiln).
std::vector<std::filesystem::path> kernel_dirs();

// The names of the configurations that have a kernel, sorted.
std::vector<std::string> kernel_configurations();

struct KernelImage {
    std::filesystem::path path;
    std::uint64_t physical_end;  // first byte above all of its segments
};

// Throws Error (125) that says which there are and how to build one. `file` is used instead where
// it is not empty.
KernelImage find_kernel(const std::string& configuration, const std::filesystem::path& file);

// Where a file of a configuration lies beside its kernel (syscalls.json); it need not exist.
std::filesystem::path kernel_file(const std::string& configuration, const std::string& name);

// A kernel's ELF file with room for an image inside (kiln/abi/formats/image_note.hpp).
struct EmbeddedKernel {
    std::string start;  // the file up to the image, padded to a page
    std::uint64_t image_physical = 0;
};
// `image_bytes` is the image's length, a multiple of 4096; the image is to follow `start`. Throws
// Error for a kernel without the note.
EmbeddedKernel embed_image(std::string_view kernel, std::uint64_t image_bytes);

}  // namespace kiln::tool
