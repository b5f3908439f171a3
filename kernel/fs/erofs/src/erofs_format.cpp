#include <kiln/fs/erofs_format.hpp>

#include <cstring>

#include <kiln/abi/formats/initrd.hpp>
#include <kiln/base/types.hpp>

namespace kiln::fs {
namespace {

struct RawSuper {
    std::uint32_t magic;
    std::uint32_t checksum;
    std::uint32_t feature_compat;
    std::uint8_t blkszbits;
    std::uint8_t sb_extslots;
    std::uint16_t root_nid;
    std::uint64_t inos;
    std::uint64_t build_time;
    std::uint32_t build_time_nsec;
    std::uint32_t blocks;
    std::uint32_t meta_blkaddr;
    std::uint32_t xattr_blkaddr;
    std::uint8_t uuid[16];
    std::uint8_t volume_name[16];
    std::uint32_t feature_incompat;
    std::uint8_t reserved[44];
};
static_assert(sizeof(RawSuper) == 128);

struct RawCompact {
    std::uint16_t format;
    std::uint16_t xattr_icount;
    std::uint16_t mode;
    std::uint16_t nlink;
    std::uint32_t size;
    std::uint32_t reserved;
    std::uint32_t u;
    std::uint32_t ino;
    std::uint16_t uid;
    std::uint16_t gid;
    std::uint32_t reserved2;
};
static_assert(sizeof(RawCompact) == 32);

struct RawExtended {
    std::uint16_t format;
    std::uint16_t xattr_icount;
    std::uint16_t mode;
    std::uint16_t reserved;
    std::uint64_t size;
    std::uint32_t u;
    std::uint32_t ino;
    std::uint32_t uid;
    std::uint32_t gid;
    std::uint64_t mtime;
    std::uint32_t mtime_nsec;
    std::uint32_t nlink;
    std::uint8_t reserved2[16];
};
static_assert(sizeof(RawExtended) == 64);

struct [[gnu::packed]] RawDirent {
    std::uint64_t nid;
    std::uint16_t nameoff;
    std::uint8_t file_type;
    std::uint8_t reserved;
};
static_assert(sizeof(RawDirent) == 12);

constexpr std::uint8_t kBlockBits = 12;
constexpr std::uint64_t kInodeSlot = 32;  // nids count slots of this size
// EROFS_FEATURE_INCOMPAT_ZERO_PADDING only says how compressed data would be padded.
constexpr std::uint32_t kHarmlessFeatures = 0x1;
constexpr std::uint64_t kMaxDirectory = 256_MiB;

template <typename T>
T load(std::span<const std::byte> bytes, std::uint64_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
}

}  // namespace

Result<ErofsImage> ErofsImage::open(std::span<const std::byte> bytes, const char** reason) {
    const auto refuse = [reason](Errno error, const char* text) {
        *reason = text;
        return error;
    };
    if (bytes.size() < abi::kErofsSuperOffset + sizeof(RawSuper))
        return refuse(Errno::kEINVAL, "too short for EROFS");
    const auto super = load<RawSuper>(bytes, abi::kErofsSuperOffset);
    if (super.magic != abi::kErofsMagic) return refuse(Errno::kEINVAL, "not an EROFS image");
    if (super.blkszbits != kBlockBits)
        return refuse(Errno::kEINVAL, "EROFS with a block size other than 4096");
    if (super.feature_incompat & ~kHarmlessFeatures)
        return refuse(Errno::kEOPNOTSUPP,
                      "EROFS with compression or other features that can't be mapped in place");
    const std::uint64_t size = std::uint64_t{super.blocks} << kBlockBits;
    if (size == 0 || size > bytes.size()) return refuse(Errno::kEUCLEAN, "EROFS image cut short");
    ErofsImage image;
    image.bytes_ = bytes.first(size);
    image.meta_offset_ = std::uint64_t{super.meta_blkaddr} << kBlockBits;
    image.root_nid_ = super.root_nid;
    image.inode_count_ = super.inos;
    image.build_time_ = super.build_time;
    image.build_time_ns_ = super.build_time_nsec;
    auto root = image.inode(image.root_nid_);
    if (!root.ok() || (root->mode & 0170000) != 0040000)
        return refuse(Errno::kEUCLEAN, "EROFS image without a usable root directory");
    return image;
}

Result<ErofsInodeInfo> ErofsImage::inode(std::uint64_t nid) const {
    const std::uint64_t size = bytes_.size();
    if (nid >= size / kInodeSlot) return Errno::kEUCLEAN;
    const std::uint64_t at = meta_offset_ + nid * kInodeSlot;
    if (at > size || size - at < sizeof(RawCompact)) return Errno::kEUCLEAN;

    ErofsInodeInfo info{};
    info.nid = nid;
    const auto format = load<std::uint16_t>(bytes_, at);
    std::uint32_t u = 0;
    std::uint16_t xattr_count = 0;
    std::uint64_t header = 0;
    if (format & 1) {
        if (size - at < sizeof(RawExtended)) return Errno::kEUCLEAN;
        const auto raw = load<RawExtended>(bytes_, at);
        info.mode = raw.mode;
        info.links = raw.nlink;
        info.uid = raw.uid;
        info.gid = raw.gid;
        info.size = raw.size;
        info.mtime_seconds = static_cast<std::int64_t>(raw.mtime);
        info.mtime_nanoseconds = raw.mtime_nsec < kNsPerSec ? raw.mtime_nsec : 0;
        u = raw.u;
        xattr_count = raw.xattr_icount;
        header = sizeof(raw);
    } else {
        const auto raw = load<RawCompact>(bytes_, at);
        info.mode = raw.mode;
        info.links = raw.nlink;
        info.uid = raw.uid;
        info.gid = raw.gid;
        info.size = raw.size;
        info.mtime_seconds = static_cast<std::int64_t>(build_time_);
        info.mtime_nanoseconds = build_time_ns_ < kNsPerSec ? build_time_ns_ : 0;
        u = raw.u;
        xattr_count = raw.xattr_icount;
        header = sizeof(raw);
    }
    switch (info.mode & 0170000) {
        case 0020000:  // devices keep their number where others have the block address
        case 0060000: info.rdev = u; [[fallthrough]];
        case 0010000:
        case 0140000:
            info.layout = ErofsLayout::kPlain;
            info.size = 0;
            return info;
        case 0040000:
            if (info.size > kMaxDirectory) return Errno::kEUCLEAN;
            break;
        case 0100000:
        case 0120000: break;
        default: return Errno::kEUCLEAN;
    }
    const unsigned layout = format >> 1 & 7;
    if (layout != 0 && layout != 2) return Errno::kEOPNOTSUPP;
    info.layout = static_cast<ErofsLayout>(layout);
    if (info.size > size) return Errno::kEUCLEAN;
    info.data_offset = std::uint64_t{u} << kBlockBits;
    info.blocks_bytes = info.size;
    if (info.layout == ErofsLayout::kInline) {
        // The last block, also a whole one, lies behind the inode and its extended attributes.
        info.blocks_bytes = info.size == 0 ? 0 : align_down(info.size - 1, kErofsBlockSize);
        const std::uint64_t xattrs =
            xattr_count == 0 ? 0 : 12 + (std::uint64_t{xattr_count} - 1) * 4;
        info.inline_offset = at + header + xattrs;
        const std::uint64_t tail = info.size - info.blocks_bytes;
        if (tail != 0 && (info.inline_offset > size || size - info.inline_offset < tail))
            return Errno::kEUCLEAN;
    }
    if (info.blocks_bytes == 0) {
        info.data_offset = 0;
    } else if (info.data_offset > size || size - info.data_offset < info.blocks_bytes) {
        return Errno::kEUCLEAN;
    }
    return info;
}

std::span<const std::byte> ErofsImage::data(const ErofsInodeInfo& inode,
                                            std::uint64_t offset) const {
    if (offset >= inode.size) return {};
    if (offset < inode.blocks_bytes)
        return bytes_.subspan(inode.data_offset + offset, inode.blocks_bytes - offset);
    return bytes_.subspan(inode.inline_offset + (offset - inode.blocks_bytes), inode.size - offset);
}

/// One block of a directory: entries, then their names. The last name ends at a NUL or the end.
struct ErofsImage::Block {
    std::span<const std::byte> bytes;
    std::size_t count;

    RawDirent raw(std::size_t i) const { return load<RawDirent>(bytes, i * sizeof(RawDirent)); }
    Result<ErofsEntry> entry(std::size_t i) const {
        const RawDirent dirent = raw(i);
        const std::size_t begin = dirent.nameoff;
        const std::size_t end = i + 1 < count ? raw(i + 1).nameoff : bytes.size();
        if (begin < count * sizeof(RawDirent) || begin >= end || end > bytes.size())
            return Errno::kEUCLEAN;
        std::string_view name(reinterpret_cast<const char*>(bytes.data()) + begin, end - begin);
        const std::size_t nul = name.find('\0');
        if (nul != std::string_view::npos) name = {name.data(), nul};
        if (name.empty() || name.size() > 255 || name.find('/') != std::string_view::npos)
            return Errno::kEUCLEAN;
        return ErofsEntry{name, dirent.nid, dirent.file_type};
    }
};

Result<ErofsImage::Block> ErofsImage::directory_block(const ErofsInodeInfo& directory,
                                                      std::uint64_t index) const {
    const std::uint64_t offset = index * kErofsBlockSize;
    if (offset >= directory.size) return Errno::kENOENT;
    std::span<const std::byte> bytes = data(directory, offset);
    if (bytes.size() > kErofsBlockSize) bytes = bytes.first(kErofsBlockSize);
    if (bytes.size() < sizeof(RawDirent)) return Errno::kEUCLEAN;
    const std::size_t first_name = load<RawDirent>(bytes, 0).nameoff;
    if (first_name < sizeof(RawDirent) || first_name % sizeof(RawDirent) != 0 ||
        first_name >= bytes.size())
        return Errno::kEUCLEAN;
    return Block{bytes, first_name / sizeof(RawDirent)};
}

Result<ErofsEntry> ErofsImage::find(const ErofsInodeInfo& directory, std::string_view name) const {
    // The last block whose first name is not above `name`.
    std::uint64_t low = 0;
    std::uint64_t high = (directory.size + kErofsBlockSize - 1) / kErofsBlockSize;
    if (high == 0) return Errno::kENOENT;
    while (high - low > 1) {
        const std::uint64_t middle = low + (high - low) / 2;
        const Block block = TRY(directory_block(directory, middle));
        if (TRY(block.entry(0)).name <= name) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const Block block = TRY(directory_block(directory, low));
    std::size_t begin = 0;
    std::size_t end = block.count;
    while (begin < end) {
        const std::size_t middle = begin + (end - begin) / 2;
        const ErofsEntry entry = TRY(block.entry(middle));
        const int order = entry.name.compare(name);
        if (order == 0) return entry;
        if (order < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return Errno::kENOENT;
}

Result<ErofsEntry> ErofsImage::entry_at(const ErofsInodeInfo& directory,
                                        std::uint64_t* position) const {
    std::uint64_t index = *position >> 16;
    std::uint64_t slot = *position & 0xffff;
    for (;;) {
        const Block block = TRY(directory_block(directory, index));
        if (slot < block.count) {
            *position = index << 16 | (slot + 1);
            return block.entry(slot);
        }
        ++index;
        slot = 0;
    }
}

}  // namespace kiln::fs
