// Finds out what a program is and what it is made of: the chain from the file the user names
// through the interpreters of scripts to an ELF file, each checked.
#pragma once

#include <string>
#include <vector>

#include "lib/elf.hpp"
#include "lib/libraries.hpp"
#include "lib/root_view.hpp"

namespace kiln::tool {

struct Program {
    // In the guest, absolute, as it is to be started.
    std::string path;
    // Arguments that come before the user's: what env(1) would have made of "#!/usr/bin/env …".
    std::vector<std::string> prefix;
    // Every file on the way: script, interpreters, the ELF file.
    std::vector<std::string> files;
    // Of the ELF file at the end.
    ElfNeeds needs;
    std::string elf_path;
    std::uint64_t elf_memory_bytes = 0;
};

// The first line of a script, as Linux reads it (fs/binfmt_script.c): the interpreter and the rest
// as one argument.
struct Shebang {
    std::string interpreter;
    std::string argument;
};
// Nothing where `start` does not begin with "#!" or names no interpreter. `start` is the first 256
// bytes of the file.
std::optional<Shebang> parse_shebang(std::string_view start);

enum class MissingLibraries : std::uint8_t { kAreAnError, kAreLeftToTheGuest };

// Follows `path` (absolute, in the root). `search_path` is the guest's PATH, for "#!/usr/bin/env
// NAME". Throws Error with 127 where a file, an interpreter or (as `missing` says) a library is
// missing, with 126 where one cannot be executed.
Program inspect_program(const RootView& root, LibraryFinder& libraries, const std::string& path,
                        const std::string& search_path, MissingLibraries missing);

// Searches `name` (without a slash) in PATH's folders inside the root; empty where it is in none.
std::string find_in_path(const RootView& root, const std::string& name,
                         const std::string& search_path);

}  // namespace kiln::tool
