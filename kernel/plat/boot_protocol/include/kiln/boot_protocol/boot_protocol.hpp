// What the boot loader handed over, in one form for the three protocols. The bytes are not trusted: every
// offset is checked against the memory that can be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/types.hpp>
#include <kiln/hal/platform.hpp>

namespace kiln::boot_protocol {

/// A set of page ranges: ascending, disjoint, not adjacent. What does not fit is dropped, smallest address last.
class RangeSet {
public:
    static constexpr std::size_t kCapacity = 32;

    /// Adds [begin, end).
    void add(std::uint64_t begin, std::uint64_t end);
    void remove(std::uint64_t begin, std::uint64_t end);
    std::span<const hal::MemoryRange> ranges() const { return {ranges_, count_}; }
    /// True when something had to be dropped.
    bool overflowed() const { return overflowed_; }
    bool contains(std::uint64_t begin, std::uint64_t end) const;

private:
    void insert(std::size_t at, std::uint64_t begin, std::uint64_t end);
    void erase(std::size_t at);

    hal::MemoryRange ranges_[kCapacity];
    std::size_t count_ = 0;
    bool overflowed_ = false;
};

struct PhysRange {
    std::uint64_t begin = 0;
    std::uint64_t length = 0;
};

struct BootData {
    RangeSet ram;            ///< whole pages of usable RAM; never page 0
    PhysRange command_line;  ///< without its NUL; inside the readable memory
    PhysRange initrd;        ///< length 0: none. Inside `ram`
    std::uint64_t rsdp = 0;
};

/// `memory`: physical memory from address 0 as far as it can be read. `info`: what the protocol gave.
/// Null on success, else what is wrong, in words.
const char* parse_pvh(std::span<const std::byte> memory, std::uint64_t info, BootData* out);
const char* parse_linux(std::span<const std::byte> memory, std::uint64_t info, BootData* out);
const char* parse_multiboot2(std::span<const std::byte> memory, std::uint64_t info, BootData* out);

}  // namespace kiln::boot_protocol
