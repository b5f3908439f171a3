// Layouts of stat(2), statx(2), statfs(2).
// Sources: Linux arch/x86/include/uapi/asm/stat.h, include/uapi/asm-generic/stat.h (arm64),
// include/uapi/linux/stat.h, include/uapi/asm-generic/statfs.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kiln::abi {

#if defined(__aarch64__)
struct Stat {
    std::uint64_t st_dev;
    std::uint64_t st_ino;
    std::uint32_t st_mode;
    std::uint32_t st_nlink;
    std::uint32_t st_uid;
    std::uint32_t st_gid;
    std::uint64_t st_rdev;
    std::uint64_t pad1;
    std::int64_t st_size;
    std::int32_t st_blksize;
    std::int32_t pad2;
    std::int64_t st_blocks;
    std::int64_t st_atime_sec;
    std::uint64_t st_atime_nsec;
    std::int64_t st_mtime_sec;
    std::uint64_t st_mtime_nsec;
    std::int64_t st_ctime_sec;
    std::uint64_t st_ctime_nsec;
    std::uint32_t unused4;
    std::uint32_t unused5;
};
static_assert(sizeof(Stat) == 128);
#else
struct Stat {
    std::uint64_t st_dev;
    std::uint64_t st_ino;
    std::uint64_t st_nlink;
    std::uint32_t st_mode;
    std::uint32_t st_uid;
    std::uint32_t st_gid;
    std::uint32_t pad0;
    std::uint64_t st_rdev;
    std::int64_t st_size;
    std::int64_t st_blksize;
    std::int64_t st_blocks;
    std::uint64_t st_atime_sec;
    std::uint64_t st_atime_nsec;
    std::uint64_t st_mtime_sec;
    std::uint64_t st_mtime_nsec;
    std::uint64_t st_ctime_sec;
    std::uint64_t st_ctime_nsec;
    std::int64_t unused[3];
};
static_assert(sizeof(Stat) == 144);
static_assert(offsetof(Stat, st_rdev) == 40);
#endif

struct StatxTimestamp {
    std::int64_t tv_sec;
    std::uint32_t tv_nsec;
    std::int32_t reserved;
};

struct Statx {
    std::uint32_t stx_mask;
    std::uint32_t stx_blksize;
    std::uint64_t stx_attributes;
    std::uint32_t stx_nlink;
    std::uint32_t stx_uid;
    std::uint32_t stx_gid;
    std::uint16_t stx_mode;
    std::uint16_t spare0;
    std::uint64_t stx_ino;
    std::uint64_t stx_size;
    std::uint64_t stx_blocks;
    std::uint64_t stx_attributes_mask;
    StatxTimestamp stx_atime;
    StatxTimestamp stx_btime;
    StatxTimestamp stx_ctime;
    StatxTimestamp stx_mtime;
    std::uint32_t stx_rdev_major;
    std::uint32_t stx_rdev_minor;
    std::uint32_t stx_dev_major;
    std::uint32_t stx_dev_minor;
    std::uint64_t stx_mnt_id;
    std::uint32_t stx_dio_mem_align;
    std::uint32_t stx_dio_offset_align;
    std::uint64_t spare3[12];
};
static_assert(sizeof(Statx) == 256);
static_assert(offsetof(Statx, stx_rdev_major) == 128);

inline constexpr std::uint32_t kSTATX_BASIC_STATS = 0x7ff;
inline constexpr std::uint32_t kSTATX_BTIME = 0x800;
inline constexpr std::uint32_t kSTATX_MNT_ID = 0x1000;
inline constexpr std::uint64_t kSTATX_ATTR_MOUNT_ROOT = 0x2000;
inline constexpr std::uint32_t kSTATX_RESERVED = 0x80000000;

struct Statfs {
    std::int64_t f_type;
    std::int64_t f_bsize;
    std::uint64_t f_blocks;
    std::uint64_t f_bfree;
    std::uint64_t f_bavail;
    std::uint64_t f_files;
    std::uint64_t f_ffree;
    std::int32_t f_fsid[2];
    std::int64_t f_namelen;
    std::int64_t f_frsize;
    std::int64_t f_flags;
    std::int64_t f_spare[4];
};
static_assert(sizeof(Statfs) == 120);

// Device numbers as stat(2) shows them (include/linux/kdev_t.h, new_encode_dev).
constexpr std::uint64_t make_device(std::uint32_t major, std::uint32_t minor) {
    return (minor & 0xffu) | (std::uint64_t{major & 0xfffu} << 8) |
           (std::uint64_t{minor & ~0xffu} << 12) | (std::uint64_t{major & ~0xfffu} << 32);
}
constexpr std::uint32_t device_major(std::uint64_t device) {
    return static_cast<std::uint32_t>(((device >> 8) & 0xfff) | ((device >> 32) & ~0xfffull));
}
constexpr std::uint32_t device_minor(std::uint64_t device) {
    return static_cast<std::uint32_t>((device & 0xff) | ((device >> 12) & 0xffffff00));
}

// Magic numbers of file systems (include/uapi/linux/magic.h).
inline constexpr std::uint64_t kRAMFS_MAGIC = 0x858458f6;
inline constexpr std::uint64_t kTMPFS_MAGIC = 0x01021994;
inline constexpr std::uint64_t kEROFS_SUPER_MAGIC_V1 = 0xE0F5E1E2;
inline constexpr std::uint64_t kOVERLAYFS_SUPER_MAGIC = 0x794c7630;
inline constexpr std::uint64_t kPROC_SUPER_MAGIC = 0x9fa0;
inline constexpr std::uint64_t kSYSFS_MAGIC = 0x62656572;

}  // namespace kiln::abi
