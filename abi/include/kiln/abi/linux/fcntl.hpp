// open(2), openat(2), fcntl(2), renameat2(2), fallocate(2) flags.
// Sources: Linux include/uapi/asm-generic/fcntl.h, arch/arm64/include/uapi/asm/fcntl.h,
// include/uapi/linux/{fcntl,falloc,fs,openat2,memfd}.h. Constants keep Linux's names.
#pragma once

#include <cstdint>

namespace kiln::abi {

inline constexpr std::uint32_t O_ACCMODE = 03;
inline constexpr std::uint32_t O_RDONLY = 00;
inline constexpr std::uint32_t O_WRONLY = 01;
inline constexpr std::uint32_t O_RDWR = 02;
inline constexpr std::uint32_t O_CREAT = 0100;
inline constexpr std::uint32_t O_EXCL = 0200;
inline constexpr std::uint32_t O_NOCTTY = 0400;
inline constexpr std::uint32_t O_TRUNC = 01000;
inline constexpr std::uint32_t O_APPEND = 02000;
inline constexpr std::uint32_t O_NONBLOCK = 04000;
inline constexpr std::uint32_t O_DSYNC = 010000;
inline constexpr std::uint32_t O_ASYNC = 020000;
#if defined(__aarch64__)
inline constexpr std::uint32_t O_DIRECTORY = 040000;
inline constexpr std::uint32_t O_NOFOLLOW = 0100000;
inline constexpr std::uint32_t O_DIRECT = 0200000;
inline constexpr std::uint32_t O_LARGEFILE = 0400000;
#else
inline constexpr std::uint32_t O_DIRECT = 040000;
inline constexpr std::uint32_t O_LARGEFILE = 0100000;
inline constexpr std::uint32_t O_DIRECTORY = 0200000;
inline constexpr std::uint32_t O_NOFOLLOW = 0400000;
#endif
inline constexpr std::uint32_t O_NOATIME = 01000000;
inline constexpr std::uint32_t O_CLOEXEC = 02000000;
inline constexpr std::uint32_t O_SYNC = 04000000 | O_DSYNC;
inline constexpr std::uint32_t O_PATH = 010000000;
inline constexpr std::uint32_t O_TMPFILE_BIT = 020000000;  // __O_TMPFILE
inline constexpr std::uint32_t O_TMPFILE = O_TMPFILE_BIT | O_DIRECTORY;

inline constexpr int AT_FDCWD = -100;
inline constexpr std::uint32_t AT_SYMLINK_NOFOLLOW = 0x100;
inline constexpr std::uint32_t AT_EACCESS = 0x200;
inline constexpr std::uint32_t AT_REMOVEDIR = 0x200;
inline constexpr std::uint32_t AT_SYMLINK_FOLLOW = 0x400;
inline constexpr std::uint32_t AT_NO_AUTOMOUNT = 0x800;
inline constexpr std::uint32_t AT_EMPTY_PATH = 0x1000;
inline constexpr std::uint32_t AT_STATX_SYNC_TYPE = 0x6000;

inline constexpr std::uint32_t RENAME_NOREPLACE = 1;
inline constexpr std::uint32_t RENAME_EXCHANGE = 2;
inline constexpr std::uint32_t RENAME_WHITEOUT = 4;

inline constexpr int FALLOC_FL_KEEP_SIZE = 0x01;
inline constexpr int FALLOC_FL_PUNCH_HOLE = 0x02;
inline constexpr int FALLOC_FL_COLLAPSE_RANGE = 0x08;
inline constexpr int FALLOC_FL_ZERO_RANGE = 0x10;
inline constexpr int FALLOC_FL_INSERT_RANGE = 0x20;
inline constexpr int FALLOC_FL_UNSHARE_RANGE = 0x40;

inline constexpr int SEEK_SET = 0;
inline constexpr int SEEK_CUR = 1;
inline constexpr int SEEK_END = 2;
inline constexpr int SEEK_DATA = 3;
inline constexpr int SEEK_HOLE = 4;

// mount(2) flags (include/uapi/linux/mount.h).
inline constexpr std::uint32_t MS_RDONLY = 1;
inline constexpr std::uint32_t MS_NOSUID = 2;
inline constexpr std::uint32_t MS_NODEV = 4;
inline constexpr std::uint32_t MS_NOEXEC = 8;
inline constexpr std::uint32_t MS_REMOUNT = 32;
inline constexpr std::uint32_t MS_NOATIME = 1024;
inline constexpr std::uint32_t MS_BIND = 4096;
inline constexpr std::uint32_t MS_RELATIME = 1u << 21;

// umount2(2) flags.
inline constexpr std::uint32_t MNT_FORCE = 1;
inline constexpr std::uint32_t MNT_DETACH = 2;
inline constexpr std::uint32_t MNT_EXPIRE = 4;
inline constexpr std::uint32_t UMOUNT_NOFOLLOW = 8;

}  // namespace kiln::abi
