// What system calls and special files a program can ask for, found in its machine code without
// running it.
//
// Of the program and its libraries every `syscall` instruction counts, and every symbol they import
// from libc. libc itself has nearly all of Linux's calls in it, so of it only what the imported
// functions reach counts: calls and jumps are followed, and the functions in its tables (stdio's
// operations) are taken as reachable. What a program loads later (dlopen, modules of an
// interpreter, generated code) is not seen.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/elf.hpp"
#include "lib/libraries.hpp"
#include "lib/root_view.hpp"

namespace kiln::tool {

struct ScanResult {
    std::map<std::uint32_t, std::string> calls;  // number: where it was found first
    std::map<std::string, std::string> files;    // "/proc/…", "/sys/…", "/dev/…": where
    std::uint32_t unknown_sites =
        0;  // system calls whose number the code before them does not tell
};

// `program` and `libraries` are paths inside the root. Throws Error or ElfError.
ScanResult scan_program(const RootView& root, const std::string& program,
                        const std::vector<std::string>& libraries);

// The parts of it, for tests. `code` lies at `address`.
void scan_code(std::span<const std::byte> code, std::uint64_t address, const std::string& where,
               ScanResult& out);
void scan_strings(std::span<const std::byte> bytes, const std::string& where, ScanResult& out);
// Follows the functions of a C library from the symbols in `wanted`.
void scan_libc(const ElfFile& libc, const std::string& where, const std::set<std::string>& wanted,
               ScanResult& out);

}  // namespace kiln::tool
