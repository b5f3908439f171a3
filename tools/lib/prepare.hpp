// From what the user asks for to what a machine is given: the root image, the files added to it and
// the launch record.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/file.hpp"
#include "lib/image_store.hpp"
#include "lib/launch_record.hpp"

namespace kiln::tool {

struct Volume {
    std::filesystem::path source;
    std::string destination;  // absolute
    bool read_only;
};
// "SRC:DST[:ro|:rw]". Throws Error (125).
Volume parse_volume(const std::string& text);

struct ProgramRequest {
    std::string target;
    std::vector<std::string> arguments;  // what follows TARGET
    std::filesystem::path rootfs;        // --rootfs; empty: from the host's files
    bool bare = false;
    std::vector<std::string> packages;  // --deb
    std::vector<Volume> volumes;
    std::vector<std::string> environment;  // -e and --env-file, KEY=VALUE, in order
    std::string working_directory;         // empty: "/"
    std::string name = "kiln";
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

struct PreparedProgram {
    ErofsImage image;
    std::string cpio;  // empty where there are no added files
    Launch launch;     // without flags and terminal size: they depend on how it is run
    std::uint64_t memory_bytes = 0;  // of the program's own segments
    std::vector<std::string> packages;
    std::vector<std::string> warnings;
};

PreparedProgram prepare_program(const ProgramRequest& request, ImageStore& store);

// Docker's default environment, then `more`, where a later KEY replaces an earlier one.
std::vector<std::string> make_environment(const std::string& hostname, std::uint32_t uid,
                                          const char* term, const std::vector<std::string>& more);

// The initrd: image, cpio and launch record, each at a multiple of 4096, as one file without a
// name. `bytes` gives its length.
UniqueFd assemble_initrd(const PreparedProgram& program, const ImageStore& store,
                         std::uint64_t& bytes);
// The same, appended to an open file.
std::uint64_t append_initrd(int to, const PreparedProgram& program, std::string_view what);
std::uint64_t initrd_bytes(const PreparedProgram& program);

// What a machine gets without -m: the kernel, the image, and a heap of 64 MiB plus twice the image
// (at most 1 GiB), rounded up to MiB. Memory that the guest does not touch costs the host nothing.
std::uint64_t default_memory(std::uint64_t kernel_end, std::uint64_t image_bytes,
                             std::uint64_t program_bytes);
// Throws Error (125) where `memory` cannot hold kernel, image and program.
void check_memory(std::uint64_t memory, std::uint64_t kernel_end, std::uint64_t image_bytes,
                  std::uint64_t program_bytes);

}  // namespace kiln::tool
