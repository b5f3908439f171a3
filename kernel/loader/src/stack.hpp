// The initial stack of a program (System V ABI AMD64 supplement, 3.4.1; AArch64: the same layout).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/result.hpp>
#include <kiln/loader/program.hpp>
#include <kiln/mem/vector.hpp>
#include <kiln/posix/process.hpp>

namespace kiln::loader {

/// Auxiliary vector entry types (include/uapi/linux/auxvec.h, arch/x86/include/uapi/asm/auxvec.h).
enum AuxType : std::uint64_t {
    kAuxNull = 0,
    kAuxProgramHeaders = 3,
    kAuxProgramHeaderSize = 4,
    kAuxProgramHeaderCount = 5,
    kAuxPageSize = 6,
    kAuxBase = 7,
    kAuxFlags = 8,
    kAuxEntry = 9,
    kAuxUid = 11,
    kAuxEuid = 12,
    kAuxGid = 13,
    kAuxEgid = 14,
    kAuxPlatform = 15,
    kAuxHwcap = 16,
    kAuxClockTicks = 17,
    kAuxSecure = 23,
    kAuxRandom = 25,
    kAuxHwcap2 = 26,
    kAuxExecFn = 31,
    kAuxSysinfoEhdr = 33,
    kAuxMinSignalStack = 51,
};

/// Facts about the loaded image that the program learns through the auxiliary vector.
struct AuxFacts {
    std::uint64_t program_headers;
    std::uint64_t program_header_count;
    std::uint64_t interpreter_base;
    std::uint64_t entry;
    std::uint64_t vdso;  ///< 0: none
    std::uint32_t uid, gid;
};

/// CPU facts for AT_HWCAP, AT_HWCAP2, AT_PLATFORM; src/arch/<cpu>/auxv.cpp.
struct CpuFacts {
    std::uint64_t hwcap;
    std::uint64_t hwcap2;
    const char* platform;
    std::uint64_t min_signal_stack;
};
CpuFacts cpu_facts();

/// Writes strings and vectors below `top` of the address space in use and fills `image`'s stack
/// addresses. Returns the stack pointer. E2BIG, ENOMEM, EFAULT.
Result<std::uint64_t> build_stack(std::uint64_t top, std::uint64_t limit,
                                  const ProgramArguments& arguments, const AuxFacts& facts,
                                  posix::Process::Image& image);

}  // namespace kiln::loader
