// Layouts and flags of calls about processes, scheduling, limits and the system.
// Sources: Linux include/uapi/linux/{sched.h,sched/types.h,resource.h,times.h,sysinfo.h,utsname.h,capability.h,prctl.h,
// membarrier.h,rseq.h,reboot.h,personality.h,wait.h}, arch/x86/include/uapi/asm/prctl.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kiln/abi/linux/time.hpp>

namespace kiln::abi {

// -- clone(2), clone3(2) ---------------------------------------------------------------------------
inline constexpr std::uint64_t kCSIGNAL = 0xff;
inline constexpr std::uint64_t kCLONE_VM = 0x100;
inline constexpr std::uint64_t kCLONE_FS = 0x200;
inline constexpr std::uint64_t kCLONE_FILES = 0x400;
inline constexpr std::uint64_t kCLONE_SIGHAND = 0x800;
inline constexpr std::uint64_t kCLONE_PIDFD = 0x1000;
inline constexpr std::uint64_t kCLONE_PTRACE = 0x2000;
inline constexpr std::uint64_t kCLONE_VFORK = 0x4000;
inline constexpr std::uint64_t kCLONE_PARENT = 0x8000;
inline constexpr std::uint64_t kCLONE_THREAD = 0x10000;
inline constexpr std::uint64_t kCLONE_NEWNS = 0x20000;
inline constexpr std::uint64_t kCLONE_SYSVSEM = 0x40000;
inline constexpr std::uint64_t kCLONE_SETTLS = 0x80000;
inline constexpr std::uint64_t kCLONE_PARENT_SETTID = 0x100000;
inline constexpr std::uint64_t kCLONE_CHILD_CLEARTID = 0x200000;
inline constexpr std::uint64_t kCLONE_DETACHED = 0x400000;
inline constexpr std::uint64_t kCLONE_UNTRACED = 0x800000;
inline constexpr std::uint64_t kCLONE_CHILD_SETTID = 0x1000000;
inline constexpr std::uint64_t kCLONE_NEWCGROUP = 0x2000000;
inline constexpr std::uint64_t kCLONE_NEWUTS = 0x4000000;
inline constexpr std::uint64_t kCLONE_NEWIPC = 0x8000000;
inline constexpr std::uint64_t kCLONE_NEWUSER = 0x10000000;
inline constexpr std::uint64_t kCLONE_NEWPID = 0x20000000;
inline constexpr std::uint64_t kCLONE_NEWNET = 0x40000000;
inline constexpr std::uint64_t kCLONE_IO = 0x80000000;
inline constexpr std::uint64_t kCLONE_CLEAR_SIGHAND = 0x100000000;

struct CloneArgs {
    std::uint64_t flags;
    std::uint64_t pidfd;
    std::uint64_t child_tid;
    std::uint64_t parent_tid;
    std::uint64_t exit_signal;
    std::uint64_t stack;
    std::uint64_t stack_size;
    std::uint64_t tls;
    std::uint64_t set_tid;  ///< CLONE_ARGS_SIZE_VER1
    std::uint64_t set_tid_size;
    std::uint64_t cgroup;  ///< CLONE_ARGS_SIZE_VER2
};
static_assert(sizeof(CloneArgs) == 88);
inline constexpr std::size_t kCLONE_ARGS_SIZE_VER0 = 64;

// -- wait4(2), waitid(2) ---------------------------------------------------------------------------
inline constexpr std::uint32_t kWNOHANG = 1;
inline constexpr std::uint32_t kWUNTRACED = 2;
inline constexpr std::uint32_t kWEXITED = 4;
inline constexpr std::uint32_t kWCONTINUED = 8;
inline constexpr std::uint32_t kWNOWAIT = 0x01000000;
inline constexpr std::uint32_t kWNOTHREAD = 0x20000000;
inline constexpr std::uint32_t kWALL = 0x40000000;
inline constexpr std::uint32_t kWCLONE = 0x80000000;

// -- system ----------------------------------------------------------------------------------------
struct UtsName {
    char sysname[65];
    char nodename[65];
    char release[65];
    char version[65];
    char machine[65];
    char domainname[65];
};
static_assert(sizeof(UtsName) == 390);

struct SysInfo {
    std::int64_t uptime;
    std::uint64_t loads[3];
    std::uint64_t totalram;
    std::uint64_t freeram;
    std::uint64_t sharedram;
    std::uint64_t bufferram;
    std::uint64_t totalswap;
    std::uint64_t freeswap;
    std::uint16_t procs;
    std::uint16_t pad;
    std::uint32_t pad2;
    std::uint64_t totalhigh;
    std::uint64_t freehigh;
    std::uint32_t mem_unit;
    std::uint32_t pad3;
};
static_assert(sizeof(SysInfo) == 112);

struct Tms {
    std::int64_t tms_utime;
    std::int64_t tms_stime;
    std::int64_t tms_cutime;
    std::int64_t tms_cstime;
};

struct Rusage {
    TimeVal ru_utime;
    TimeVal ru_stime;
    std::int64_t ru_maxrss;
    std::int64_t ru_ixrss;
    std::int64_t ru_idrss;
    std::int64_t ru_isrss;
    std::int64_t ru_minflt;
    std::int64_t ru_majflt;
    std::int64_t ru_nswap;
    std::int64_t ru_inblock;
    std::int64_t ru_oublock;
    std::int64_t ru_msgsnd;
    std::int64_t ru_msgrcv;
    std::int64_t ru_nsignals;
    std::int64_t ru_nvcsw;
    std::int64_t ru_nivcsw;
};
static_assert(sizeof(Rusage) == 144);
inline constexpr int kRUSAGE_SELF = 0;
inline constexpr int kRUSAGE_CHILDREN = -1;
inline constexpr int kRUSAGE_THREAD = 1;

struct Rlimit64 {
    std::uint64_t rlim_cur;
    std::uint64_t rlim_max;
};

// -- capget(2) -------------------------------------------------------------------------------------
inline constexpr std::uint32_t kLINUX_CAPABILITY_VERSION_1 = 0x19980330;
inline constexpr std::uint32_t kLINUX_CAPABILITY_VERSION_2 = 0x20071026;
inline constexpr std::uint32_t kLINUX_CAPABILITY_VERSION_3 = 0x20080522;
struct CapUserHeader {
    std::uint32_t version;
    std::int32_t pid;
};
struct CapUserData {
    std::uint32_t effective;
    std::uint32_t permitted;
    std::uint32_t inheritable;
};

// -- scheduling ------------------------------------------------------------------------------------
inline constexpr int kSCHED_NORMAL = 0;
inline constexpr int kSCHED_FIFO = 1;
inline constexpr int kSCHED_RR = 2;
inline constexpr int kSCHED_BATCH = 3;
inline constexpr int kSCHED_IDLE = 5;
inline constexpr int kSCHED_DEADLINE = 6;
inline constexpr int kSCHED_RESET_ON_FORK = 0x40000000;

struct SchedParam {
    std::int32_t sched_priority;
};
struct SchedAttr {
    std::uint32_t size;
    std::uint32_t sched_policy;
    std::uint64_t sched_flags;
    std::int32_t sched_nice;
    std::uint32_t sched_priority;
    std::uint64_t sched_runtime;
    std::uint64_t sched_deadline;
    std::uint64_t sched_period;
    std::uint32_t sched_util_min;
    std::uint32_t sched_util_max;
};
static_assert(sizeof(SchedAttr) == 56);
inline constexpr std::uint32_t kSCHED_ATTR_SIZE_VER0 = 48;

// -- prctl(2) --------------------------------------------------------------------------------------
inline constexpr int kPR_SET_PDEATHSIG = 1;
inline constexpr int kPR_GET_PDEATHSIG = 2;
inline constexpr int kPR_GET_DUMPABLE = 3;
inline constexpr int kPR_SET_DUMPABLE = 4;
inline constexpr int kPR_GET_KEEPCAPS = 7;
inline constexpr int kPR_SET_KEEPCAPS = 8;
inline constexpr int kPR_GET_TIMING = 13;
inline constexpr int kPR_SET_TIMING = 14;
inline constexpr int kPR_SET_NAME = 15;
inline constexpr int kPR_GET_NAME = 16;
inline constexpr int kPR_GET_SECCOMP = 21;
inline constexpr int kPR_SET_SECCOMP = 22;
inline constexpr int kPR_CAPBSET_READ = 23;
inline constexpr int kPR_CAPBSET_DROP = 24;
inline constexpr int kPR_GET_TSC = 25;
inline constexpr int kPR_SET_TSC = 26;
inline constexpr int kPR_GET_SECUREBITS = 27;
inline constexpr int kPR_SET_SECUREBITS = 28;
inline constexpr int kPR_SET_TIMERSLACK = 29;
inline constexpr int kPR_GET_TIMERSLACK = 30;
inline constexpr int kPR_SET_MM = 35;
inline constexpr int kPR_SET_CHILD_SUBREAPER = 36;
inline constexpr int kPR_GET_CHILD_SUBREAPER = 37;
inline constexpr int kPR_SET_NO_NEW_PRIVS = 38;
inline constexpr int kPR_GET_NO_NEW_PRIVS = 39;
inline constexpr int kPR_GET_TID_ADDRESS = 40;
inline constexpr int kPR_SET_THP_DISABLE = 41;
inline constexpr int kPR_GET_THP_DISABLE = 42;
inline constexpr int kPR_CAP_AMBIENT = 47;
inline constexpr int kPR_SET_VMA = 0x53564d41;
inline constexpr std::uint64_t kPR_SET_VMA_ANON_NAME = 0;

// -- arch_prctl(2) ---------------------------------------------------------------------------------
inline constexpr int kARCH_SET_GS = 0x1001;
inline constexpr int kARCH_SET_FS = 0x1002;
inline constexpr int kARCH_GET_FS = 0x1003;
inline constexpr int kARCH_GET_GS = 0x1004;
inline constexpr int kARCH_GET_CPUID = 0x1011;
inline constexpr int kARCH_SET_CPUID = 0x1012;

// -- membarrier(2) ---------------------------------------------------------------------------------
inline constexpr int kMEMBARRIER_CMD_QUERY = 0;
inline constexpr int kMEMBARRIER_CMD_GLOBAL = 1;
inline constexpr int kMEMBARRIER_CMD_GLOBAL_EXPEDITED = 2;
inline constexpr int kMEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 4;
inline constexpr int kMEMBARRIER_CMD_PRIVATE_EXPEDITED = 8;
inline constexpr int kMEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 16;
inline constexpr int kMEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 32;
inline constexpr int kMEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64;

// -- reboot(2) -------------------------------------------------------------------------------------
inline constexpr std::uint32_t kLINUX_REBOOT_MAGIC1 = 0xfee1dead;
inline constexpr std::uint32_t kLINUX_REBOOT_MAGIC2 = 672274793;
inline constexpr std::uint32_t kLINUX_REBOOT_MAGIC2A = 85072278;
inline constexpr std::uint32_t kLINUX_REBOOT_MAGIC2B = 369367448;
inline constexpr std::uint32_t kLINUX_REBOOT_MAGIC2C = 537993216;
inline constexpr std::uint32_t kLINUX_REBOOT_CMD_RESTART = 0x01234567;
inline constexpr std::uint32_t kLINUX_REBOOT_CMD_HALT = 0xCDEF0123;
inline constexpr std::uint32_t kLINUX_REBOOT_CMD_CAD_ON = 0x89ABCDEF;
inline constexpr std::uint32_t kLINUX_REBOOT_CMD_CAD_OFF = 0x00000000;
inline constexpr std::uint32_t kLINUX_REBOOT_CMD_POWER_OFF = 0x4321FEDC;

}  // namespace kiln::abi
