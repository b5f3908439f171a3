// EROFS on disk, and a reader of it that trusts nothing. Pure: a span of bytes in, checked answers
// out; also used by fuzzers and host tests.
//
// Source: Linux fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst. Uncompressed images
// with 4 KiB blocks only; all integers are little endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/result.hpp>

namespace kiln::fs {

inline constexpr std::size_t kErofsBlockSize = 4096;
inline constexpr std::uint64_t kErofsMagicNumber = 0xE0F5E1E2;  ///< EROFS_SUPER_MAGIC_V1, statfs(2)

/// i_format bits 1…3.
enum class ErofsLayout : std::uint8_t { kPlain = 0, kInline = 2 };

/// An inode whose location, size and data range are checked against the image.
struct ErofsInodeInfo {
    std::uint64_t nid;
    std::uint32_t mode;
    std::uint32_t links;
    std::uint32_t uid;
    std::uint32_t gid;
    std::uint64_t size;
    std::uint64_t rdev;
    std::int64_t mtime_seconds;
    std::uint32_t mtime_nanoseconds;
    ErofsLayout layout;
    std::uint64_t data_offset;  ///< of the whole blocks, in the image; a multiple of the block size
    std::uint64_t blocks_bytes;   ///< bytes of the file that lie there, before the inline tail
    std::uint64_t inline_offset;  ///< of the tail, in the image; meaningful if blocks_bytes < size
};

struct ErofsEntry {
    std::string_view name;
    std::uint64_t nid;
    std::uint8_t
        type;  ///< EROFS_FT_…: 0 unknown, 1 regular, 2 directory, 3 char, 4 block, 5 fifo, 6 socket, 7 symlink
};

class ErofsImage {
public:
    /// Checks the super block. EINVAL: not EROFS, or another block size; EOPNOTSUPP: compressed or
    /// otherwise beyond this reader; EUCLEAN: cut short or inconsistent. `*reason` gets a sentence.
    static Result<ErofsImage> open(std::span<const std::byte> bytes, const char** reason);

    std::uint64_t root_nid() const { return root_nid_; }
    std::uint64_t inode_count() const { return inode_count_; }
    /// Length of the file system; the span given to open() may be longer.
    std::uint64_t size() const { return bytes_.size(); }
    std::span<const std::byte> bytes() const { return bytes_; }

    /// EUCLEAN: no such inode, or one that points outside; EOPNOTSUPP: compressed or chunked data.
    Result<ErofsInodeInfo> inode(std::uint64_t nid) const;

    /// The bytes of a file from `offset` on that lie together: at least 1 unless offset ≥ size.
    std::span<const std::byte> data(const ErofsInodeInfo& inode, std::uint64_t offset) const;

    /// Binary search over the blocks of a directory, then inside one. ENOENT, EUCLEAN.
    Result<ErofsEntry> find(const ErofsInodeInfo& directory, std::string_view name) const;

    /// The entry at `position` (block index << 16 | entry index), which moves to the next one. ENOENT
    /// at the end.
    Result<ErofsEntry> entry_at(const ErofsInodeInfo& directory, std::uint64_t* position) const;

private:
    struct Block;
    Result<Block> directory_block(const ErofsInodeInfo& directory, std::uint64_t index) const;

    std::span<const std::byte> bytes_;
    std::uint64_t meta_offset_ = 0;
    std::uint64_t root_nid_ = 0;
    std::uint64_t inode_count_ = 0;
    std::uint64_t build_time_ = 0;
    std::uint32_t build_time_ns_ = 0;
};

}  // namespace kiln::fs
