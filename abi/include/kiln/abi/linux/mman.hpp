// Flags of memory calls. Sources: Linux include/uapi/asm-generic/{mman.h,mman-common.h},
// arch/x86/include/uapi/asm/mman.h, include/uapi/linux/{mman.h,mempolicy.h,memfd.h}.
#pragma once

#include <cstdint>

namespace kiln::abi {

inline constexpr std::uint32_t kPROT_SEM = 0x8;
inline constexpr std::uint32_t kPROT_GROWSDOWN = 0x01000000;
inline constexpr std::uint32_t kPROT_GROWSUP = 0x02000000;

inline constexpr std::uint32_t kMAP_SHARED = 0x01;
inline constexpr std::uint32_t kMAP_PRIVATE = 0x02;
inline constexpr std::uint32_t kMAP_SHARED_VALIDATE = 0x03;
inline constexpr std::uint32_t kMAP_TYPE = 0x0f;
inline constexpr std::uint32_t kMAP_FIXED = 0x10;
inline constexpr std::uint32_t kMAP_ANONYMOUS = 0x20;
inline constexpr std::uint32_t kMAP_32BIT = 0x40;  ///< x86-64 only
inline constexpr std::uint32_t kMAP_GROWSDOWN = 0x0100;
inline constexpr std::uint32_t kMAP_DENYWRITE = 0x0800;
inline constexpr std::uint32_t kMAP_EXECUTABLE = 0x1000;
inline constexpr std::uint32_t kMAP_LOCKED = 0x2000;
inline constexpr std::uint32_t kMAP_NORESERVE = 0x4000;
inline constexpr std::uint32_t kMAP_POPULATE = 0x8000;
inline constexpr std::uint32_t kMAP_NONBLOCK = 0x10000;
inline constexpr std::uint32_t kMAP_STACK = 0x20000;
inline constexpr std::uint32_t kMAP_HUGETLB = 0x40000;
inline constexpr std::uint32_t kMAP_SYNC = 0x80000;
inline constexpr std::uint32_t kMAP_FIXED_NOREPLACE = 0x100000;

inline constexpr std::uint32_t kMS_ASYNC = 1;
inline constexpr std::uint32_t kMS_INVALIDATE = 2;
inline constexpr std::uint32_t kMS_SYNC = 4;

inline constexpr std::uint32_t kMCL_CURRENT = 1;
inline constexpr std::uint32_t kMCL_FUTURE = 2;
inline constexpr std::uint32_t kMCL_ONFAULT = 4;
inline constexpr std::uint32_t kMLOCK_ONFAULT = 1;

inline constexpr std::uint32_t kMREMAP_MAYMOVE = 1;
inline constexpr std::uint32_t kMREMAP_FIXED = 2;
inline constexpr std::uint32_t kMREMAP_DONTUNMAP = 4;

inline constexpr std::uint32_t kMFD_CLOEXEC = 1;
inline constexpr std::uint32_t kMFD_ALLOW_SEALING = 2;
inline constexpr std::uint32_t kMFD_HUGETLB = 4;
inline constexpr std::uint32_t kF_SEAL_SEAL = 1;
inline constexpr std::uint32_t kF_SEAL_SHRINK = 2;
inline constexpr std::uint32_t kF_SEAL_GROW = 4;
inline constexpr std::uint32_t kF_SEAL_WRITE = 8;
inline constexpr std::uint32_t kF_SEAL_FUTURE_WRITE = 16;

inline constexpr int kMPOL_DEFAULT = 0;
inline constexpr int kMPOL_PREFERRED = 1;
inline constexpr int kMPOL_BIND = 2;
inline constexpr int kMPOL_INTERLEAVE = 3;
inline constexpr int kMPOL_LOCAL = 4;
inline constexpr int kMPOL_PREFERRED_MANY = 5;
inline constexpr int kMPOL_MODE_FLAGS = (1 << 15) | (1 << 14) | (1 << 13);
inline constexpr std::uint32_t kMPOL_F_NODE = 1;
inline constexpr std::uint32_t kMPOL_F_ADDR = 2;
inline constexpr std::uint32_t kMPOL_F_MEMS_ALLOWED = 4;
inline constexpr std::uint32_t kMPOL_MF_STRICT = 1;
inline constexpr std::uint32_t kMPOL_MF_MOVE = 2;
inline constexpr std::uint32_t kMPOL_MF_MOVE_ALL = 4;

}  // namespace kiln::abi
