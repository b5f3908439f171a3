// cpio "newc" archives: files and folders put into the root at start (`-v`).
//
// Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/result.hpp>

namespace kiln::fs {

/// One member of an archive. Views point into the archive.
struct CpioEntry {
    std::string_view name;  ///< as written; may begin with "./" or "/", and may be hostile
    std::uint32_t mode;
    std::uint32_t uid;
    std::uint32_t gid;
    std::uint32_t links;
    std::uint32_t mtime;
    std::uint64_t rdev;
    std::uint64_t inode;  ///< inode and device number: hard links share them
    std::span<const std::byte> data;
};

/// Reads the members in turn.
class CpioReader {
public:
    explicit CpioReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
    /// The next member; ENOENT after the trailer, EINVAL when malformed or cut short (`*reason`).
    Result<CpioEntry> next(const char** reason);
    /// Bytes read so far: after the trailer, the archive's length.
    std::size_t position() const { return at_; }

private:
    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
};

/// Splits a member's name into components, without leading "/" and "./". False for a name that would
/// leave the root (a ".." component) or is empty or too long.
bool cpio_name_is_safe(std::string_view name);

/// Unpacks an archive into the mounted root: parents are made, existing files replaced (a directory
/// is kept). Returns the archive's length. EINVAL (malformed), ENOMEM, and what the VFS answers.
Result<std::size_t> unpack_cpio(std::span<const std::byte> bytes, const char** reason);

}  // namespace kiln::fs
