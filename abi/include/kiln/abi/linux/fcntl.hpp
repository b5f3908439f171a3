// open(2), openat(2), fcntl(2), renameat2(2), fallocate(2) flags.
// Sources: Linux include/uapi/asm-generic/fcntl.h, arch/arm64/include/uapi/asm/fcntl.h,
// include/uapi/linux/{fcntl,falloc,fs,openat2,memfd}.h. Constants have Linux's names with a k in front (the plain ones are macros of the host's headers).
#pragma once

#include <cstdint>

namespace kiln::abi {

inline constexpr std::uint32_t kO_ACCMODE = 03;
inline constexpr std::uint32_t kO_RDONLY = 00;
inline constexpr std::uint32_t kO_WRONLY = 01;
inline constexpr std::uint32_t kO_RDWR = 02;
inline constexpr std::uint32_t kO_CREAT = 0100;
inline constexpr std::uint32_t kO_EXCL = 0200;
inline constexpr std::uint32_t kO_NOCTTY = 0400;
inline constexpr std::uint32_t kO_TRUNC = 01000;
inline constexpr std::uint32_t kO_APPEND = 02000;
inline constexpr std::uint32_t kO_NONBLOCK = 04000;
inline constexpr std::uint32_t kO_DSYNC = 010000;
inline constexpr std::uint32_t kO_ASYNC = 020000;
#if defined(__aarch64__)
inline constexpr std::uint32_t kO_DIRECTORY = 040000;
inline constexpr std::uint32_t kO_NOFOLLOW = 0100000;
inline constexpr std::uint32_t kO_DIRECT = 0200000;
inline constexpr std::uint32_t kO_LARGEFILE = 0400000;
#else
inline constexpr std::uint32_t kO_DIRECT = 040000;
inline constexpr std::uint32_t kO_LARGEFILE = 0100000;
inline constexpr std::uint32_t kO_DIRECTORY = 0200000;
inline constexpr std::uint32_t kO_NOFOLLOW = 0400000;
#endif
inline constexpr std::uint32_t kO_NOATIME = 01000000;
inline constexpr std::uint32_t kO_CLOEXEC = 02000000;
inline constexpr std::uint32_t kO_SYNC = 04000000 | kO_DSYNC;
inline constexpr std::uint32_t kO_PATH = 010000000;
inline constexpr std::uint32_t kO_TMPFILE_BIT = 020000000;  // __O_TMPFILE
inline constexpr std::uint32_t kO_TMPFILE = kO_TMPFILE_BIT | kO_DIRECTORY;

inline constexpr int kAT_FDCWD = -100;
inline constexpr std::uint32_t kAT_SYMLINK_NOFOLLOW = 0x100;
inline constexpr std::uint32_t kAT_EACCESS = 0x200;
inline constexpr std::uint32_t kAT_REMOVEDIR = 0x200;
inline constexpr std::uint32_t kAT_SYMLINK_FOLLOW = 0x400;
inline constexpr std::uint32_t kAT_NO_AUTOMOUNT = 0x800;
inline constexpr std::uint32_t kAT_EMPTY_PATH = 0x1000;
inline constexpr std::uint32_t kAT_STATX_SYNC_TYPE = 0x6000;

inline constexpr std::uint32_t kRENAME_NOREPLACE = 1;
inline constexpr std::uint32_t kRENAME_EXCHANGE = 2;
inline constexpr std::uint32_t kRENAME_WHITEOUT = 4;

inline constexpr int kFALLOC_FL_KEEP_SIZE = 0x01;
inline constexpr int kFALLOC_FL_PUNCH_HOLE = 0x02;
inline constexpr int kFALLOC_FL_COLLAPSE_RANGE = 0x08;
inline constexpr int kFALLOC_FL_ZERO_RANGE = 0x10;
inline constexpr int kFALLOC_FL_INSERT_RANGE = 0x20;
inline constexpr int kFALLOC_FL_UNSHARE_RANGE = 0x40;

inline constexpr int kSEEK_SET = 0;
inline constexpr int kSEEK_CUR = 1;
inline constexpr int kSEEK_END = 2;
inline constexpr int kSEEK_DATA = 3;
inline constexpr int kSEEK_HOLE = 4;

// mount(2) flags (include/uapi/linux/mount.h).
inline constexpr std::uint32_t kMS_RDONLY = 1;
inline constexpr std::uint32_t kMS_NOSUID = 2;
inline constexpr std::uint32_t kMS_NODEV = 4;
inline constexpr std::uint32_t kMS_NOEXEC = 8;
inline constexpr std::uint32_t kMS_REMOUNT = 32;
inline constexpr std::uint32_t kMS_NOATIME = 1024;
inline constexpr std::uint32_t kMS_BIND = 4096;
inline constexpr std::uint32_t kMS_RELATIME = 1u << 21;

// umount2(2) flags.
inline constexpr std::uint32_t kMNT_FORCE = 1;
inline constexpr std::uint32_t kMNT_DETACH = 2;
inline constexpr std::uint32_t kMNT_EXPIRE = 4;
inline constexpr std::uint32_t kUMOUNT_NOFOLLOW = 8;

}  // namespace kiln::abi
