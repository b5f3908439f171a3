// Layouts of signal calls. Sources: Linux include/uapi/asm-generic/{signal.h,siginfo.h},
// include/uapi/linux/signalfd.h.
#pragma once

#include <cstdint>

namespace kiln::abi {

inline constexpr int kSIG_BLOCK = 0;
inline constexpr int kSIG_UNBLOCK = 1;
inline constexpr int kSIG_SETMASK = 2;

/// stack_t.
struct SigAltStack {
    std::uint64_t ss_sp;
    std::int32_t ss_flags;
    std::int32_t pad;
    std::uint64_t ss_size;
};
static_assert(sizeof(SigAltStack) == 24);
inline constexpr std::uint32_t kSS_ONSTACK = 1;
inline constexpr std::uint32_t kSS_DISABLE = 2;
inline constexpr std::uint32_t kSS_AUTODISARM = 1u << 31;
/// MINSIGSTKSZ of x86-64; the real minimum depends on the CPU (AT_MINSIGSTKSZ).
inline constexpr std::uint64_t kMINSIGSTKSZ = 2048;

/// struct sigevent, 64 bytes.
struct SigEvent {
    std::uint64_t sigev_value;
    std::int32_t sigev_signo;
    std::int32_t sigev_notify;
    std::int32_t sigev_notify_thread_id;
    std::int32_t pad[11];
};
static_assert(sizeof(SigEvent) == 64);
inline constexpr int kSIGEV_SIGNAL = 0;
inline constexpr int kSIGEV_NONE = 1;
inline constexpr int kSIGEV_THREAD = 2;
inline constexpr int kSIGEV_THREAD_ID = 4;

struct SignalFdInfo {
    std::uint32_t ssi_signo;
    std::int32_t ssi_errno;
    std::int32_t ssi_code;
    std::uint32_t ssi_pid;
    std::uint32_t ssi_uid;
    std::int32_t ssi_fd;
    std::uint32_t ssi_tid;
    std::uint32_t ssi_band;
    std::uint32_t ssi_overrun;
    std::uint32_t ssi_trapno;
    std::int32_t ssi_status;
    std::int32_t ssi_int;
    std::uint64_t ssi_ptr;
    std::uint64_t ssi_utime;
    std::uint64_t ssi_stime;
    std::uint64_t ssi_addr;
    std::uint16_t ssi_addr_lsb;
    std::uint16_t pad2;
    std::int32_t ssi_syscall;
    std::uint64_t ssi_call_addr;
    std::uint32_t ssi_arch;
    std::uint8_t pad[28];
};
static_assert(sizeof(SignalFdInfo) == 128);

}  // namespace kiln::abi
