// The handlers of all rows of table.def that have one. Arguments are the registers, in order, as the types that Linux's
// own handlers have; what they return is the call's result.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kiln/abi/linux/mman.hpp>
#include <kiln/abi/linux/process.hpp>
#include <kiln/abi/linux/signal.hpp>
#include <kiln/abi/linux/stat.hpp>
#include <kiln/abi/linux/time.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/posix/signal.hpp>

namespace kiln::syscalls {

using mem::UserPtr;
using Status = Result<std::int64_t>;
using UserString = UserPtr<const char>;
using i32 = std::int32_t;
using u32 = std::uint32_t;
using i64 = std::int64_t;
using u64 = std::uint64_t;

// io.cpp
Status sys_read(int fd, UserPtr<void> buffer, std::size_t count);
Status sys_write(int fd, UserPtr<void> buffer, std::size_t count);
Status sys_pread64(int fd, UserPtr<void> buffer, std::size_t count, i64 offset);
Status sys_pwrite64(int fd, UserPtr<void> buffer, std::size_t count, i64 offset);
Status sys_readv(int fd, UserPtr<const mem::IoVec> vec, u64 count);
Status sys_writev(int fd, UserPtr<const mem::IoVec> vec, u64 count);
Status sys_preadv(int fd, UserPtr<const mem::IoVec> vec, u64 count, u64 low, u64 high);
Status sys_pwritev(int fd, UserPtr<const mem::IoVec> vec, u64 count, u64 low, u64 high);
Status sys_preadv2(int fd, UserPtr<const mem::IoVec> vec, u64 count, u64 low, u64 high, u32 flags);
Status sys_pwritev2(int fd, UserPtr<const mem::IoVec> vec, u64 count, u64 low, u64 high, u32 flags);
Status sys_lseek(int fd, i64 offset, u32 whence);
Status sys_ioctl(int fd, u32 request, u64 argument);

// transfer.cpp
Status sys_sendfile(int out_fd, int in_fd, UserPtr<i64> offset, std::size_t count);
Status sys_copy_file_range(int in_fd, UserPtr<i64> in_offset, int out_fd, UserPtr<i64> out_offset,
                           std::size_t length, u32 flags);

// file.cpp
Status sys_fsync(int fd);
Status sys_fdatasync(int fd);
Status sys_sync();
Status sys_syncfs(int fd);
Status sys_sync_file_range(int fd, i64 offset, i64 length, u32 flags);
Status sys_fadvise64(int fd, i64 offset, i64 length, int advice);
Status sys_readahead(int fd, i64 offset, std::size_t count);
Status sys_truncate(UserString path, i64 length);
Status sys_ftruncate(int fd, i64 length);
Status sys_fallocate(int fd, int mode, i64 offset, i64 length);
Status sys_flock(int fd, u32 operation);
Status sys_memfd_create(UserString name, u32 flags);

// descriptor.cpp
Status sys_open(UserString path, u32 flags, u32 mode);
Status sys_openat(int dirfd, UserString path, u32 flags, u32 mode);
Status sys_openat2(int dirfd, UserString path, UserPtr<void> how, std::size_t size);
Status sys_creat(UserString path, u32 mode);
Status sys_close(int fd);
Status sys_close_range(u32 first, u32 last, u32 flags);
Status sys_dup(int fd);
Status sys_dup2(int old_fd, int new_fd);
Status sys_dup3(int old_fd, int new_fd, u32 flags);
Status sys_fcntl(int fd, u32 command, u64 argument);

// stat.cpp
Status sys_stat(UserString path, UserPtr<abi::Stat> out);
Status sys_fstat(int fd, UserPtr<abi::Stat> out);
Status sys_lstat(UserString path, UserPtr<abi::Stat> out);
Status sys_newfstatat(int dirfd, UserString path, UserPtr<abi::Stat> out, u32 flags);
Status sys_statx(int dirfd, UserString path, u32 flags, u32 mask, UserPtr<abi::Statx> out);
Status sys_statfs(UserString path, UserPtr<abi::Statfs> out);
Status sys_fstatfs(int fd, UserPtr<abi::Statfs> out);
Status sys_access(UserString path, u32 mode);
Status sys_faccessat(int dirfd, UserString path, u32 mode);
Status sys_faccessat2(int dirfd, UserString path, u32 mode, u32 flags);
Status sys_readlink(UserString path, UserPtr<char> buffer, int size);
Status sys_readlinkat(int dirfd, UserString path, UserPtr<char> buffer, int size);
Status sys_name_to_handle_at(int dirfd, UserString path, UserPtr<void> handle,
                             UserPtr<i32> mount_id, u32 flags);

// directory.cpp
Status sys_getdents(int fd, UserPtr<void> buffer, u32 size);
Status sys_getdents64(int fd, UserPtr<void> buffer, u32 size);
Status sys_getcwd(UserPtr<char> buffer, u64 size);
Status sys_chdir(UserString path);
Status sys_fchdir(int fd);
Status sys_chroot(UserString path);
Status sys_mkdir(UserString path, u32 mode);
Status sys_mkdirat(int dirfd, UserString path, u32 mode);
Status sys_mknod(UserString path, u32 mode, u32 device);
Status sys_mknodat(int dirfd, UserString path, u32 mode, u32 device);
Status sys_rmdir(UserString path);
Status sys_unlink(UserString path);
Status sys_unlinkat(int dirfd, UserString path, u32 flags);
Status sys_rename(UserString old_path, UserString new_path);
Status sys_renameat(int old_dirfd, UserString old_path, int new_dirfd, UserString new_path);
Status sys_renameat2(int old_dirfd, UserString old_path, int new_dirfd, UserString new_path,
                     u32 flags);
Status sys_link(UserString old_path, UserString new_path);
Status sys_linkat(int old_dirfd, UserString old_path, int new_dirfd, UserString new_path,
                  u32 flags);
Status sys_symlink(UserString target, UserString path);
Status sys_symlinkat(UserString target, int dirfd, UserString path);
Status sys_mount(UserString source, UserString target, UserString type, u64 flags,
                 UserPtr<void> data);
Status sys_umount2(UserString target, u32 flags);

// attributes.cpp
Status sys_chmod(UserString path, u32 mode);
Status sys_fchmod(int fd, u32 mode);
Status sys_fchmodat(int dirfd, UserString path, u32 mode);
Status sys_chown(UserString path, u32 uid, u32 gid);
Status sys_fchown(int fd, u32 uid, u32 gid);
Status sys_lchown(UserString path, u32 uid, u32 gid);
Status sys_fchownat(int dirfd, UserString path, u32 uid, u32 gid, u32 flags);
Status sys_umask(u32 mask);
Status sys_utime(UserString path, UserPtr<const i64> times);
Status sys_utimes(UserString path, UserPtr<const abi::TimeVal> times);
Status sys_futimesat(int dirfd, UserString path, UserPtr<const abi::TimeVal> times);
Status sys_utimensat(int dirfd, UserString path, UserPtr<const abi::TimeSpec> times, u32 flags);
Status sys_setxattr(UserString path, UserString name, UserPtr<void> value, std::size_t size,
                    u32 flags);
Status sys_lsetxattr(UserString path, UserString name, UserPtr<void> value, std::size_t size,
                     u32 flags);
Status sys_fsetxattr(int fd, UserString name, UserPtr<void> value, std::size_t size, u32 flags);
Status sys_getxattr(UserString path, UserString name, UserPtr<void> value, std::size_t size);
Status sys_lgetxattr(UserString path, UserString name, UserPtr<void> value, std::size_t size);
Status sys_fgetxattr(int fd, UserString name, UserPtr<void> value, std::size_t size);
Status sys_listxattr(UserString path, UserPtr<char> list, std::size_t size);
Status sys_llistxattr(UserString path, UserPtr<char> list, std::size_t size);
Status sys_flistxattr(int fd, UserPtr<char> list, std::size_t size);
Status sys_removexattr(UserString path, UserString name);
Status sys_lremovexattr(UserString path, UserString name);
Status sys_fremovexattr(int fd, UserString name);

// memory.cpp
Status sys_mmap(u64 address, u64 length, u32 prot, u32 flags, int fd, u64 offset);
Status sys_munmap(u64 address, u64 length);
Status sys_mprotect(u64 address, u64 length, u32 prot);
Status sys_mremap(u64 old_address, u64 old_length, u64 new_length, u32 flags, u64 new_address);
Status sys_madvise(u64 address, u64 length, int advice);
Status sys_mincore(u64 address, u64 length, UserPtr<std::uint8_t> vec);
Status sys_msync(u64 address, u64 length, u32 flags);
Status sys_brk(u64 end);
Status sys_mlock(u64 address, u64 length);
Status sys_mlock2(u64 address, u64 length, u32 flags);
Status sys_munlock(u64 address, u64 length);
Status sys_mlockall(u32 flags);
Status sys_munlockall();
Status sys_pkey_mprotect(u64 address, u64 length, u32 prot, int key);
Status sys_pkey_alloc(u64 flags, u64 rights);
Status sys_pkey_free(int key);
Status sys_mbind(u64 address, u64 length, int mode, UserPtr<const u64> nodes, u64 max_node,
                 u32 flags);
Status sys_set_mempolicy(int mode, UserPtr<const u64> nodes, u64 max_node);
Status sys_get_mempolicy(UserPtr<i32> mode, UserPtr<u64> nodes, u64 max_node, u64 address,
                         u64 flags);

// signal.cpp
Status sys_rt_sigaction(int signo, UserPtr<const posix::SignalAction> action,
                        UserPtr<posix::SignalAction> old_action, std::size_t set_size);
Status sys_rt_sigprocmask(int how, UserPtr<const u64> set, UserPtr<u64> old_set,
                          std::size_t set_size);
Status sys_rt_sigreturn();
Status sys_rt_sigpending(UserPtr<u64> set, std::size_t set_size);
Status sys_rt_sigtimedwait(UserPtr<const u64> set, UserPtr<posix::SignalInfo> info,
                           UserPtr<const abi::TimeSpec> timeout, std::size_t set_size);
Status sys_rt_sigqueueinfo(int pid, int signo, UserPtr<const posix::SignalInfo> info);
Status sys_rt_tgsigqueueinfo(int tgid, int tid, int signo, UserPtr<const posix::SignalInfo> info);
Status sys_rt_sigsuspend(UserPtr<const u64> set, std::size_t set_size);
Status sys_sigaltstack(UserPtr<const abi::SigAltStack> stack, UserPtr<abi::SigAltStack> old_stack);
Status sys_kill(int pid, int signo);
Status sys_tkill(int tid, int signo);
Status sys_tgkill(int tgid, int tid, int signo);
Status sys_pause();
Status sys_restart_syscall();
Status sys_signalfd(int fd, UserPtr<const u64> set, std::size_t set_size);
Status sys_signalfd4(int fd, UserPtr<const u64> set, std::size_t set_size, u32 flags);

// timer.cpp
Status sys_alarm(u32 seconds);
Status sys_getitimer(int which, UserPtr<abi::ITimerVal> value);
Status sys_setitimer(int which, UserPtr<const abi::ITimerVal> value,
                     UserPtr<abi::ITimerVal> old_value);
Status sys_timer_create(int clock, UserPtr<const abi::SigEvent> event, UserPtr<i32> id);
Status sys_timer_settime(int id, u32 flags, UserPtr<const abi::ITimerSpec> value,
                         UserPtr<abi::ITimerSpec> old_value);
Status sys_timer_gettime(int id, UserPtr<abi::ITimerSpec> value);
Status sys_timer_getoverrun(int id);
Status sys_timer_delete(int id);

// process.cpp
Status sys_clone(u64 flags, u64 stack, u64 parent_tid, u64 child_tid, u64 tls);
Status sys_clone3(UserPtr<void> arguments, std::size_t size);
Status sys_execve(UserString path, UserPtr<const u64> argv, UserPtr<const u64> envp);
Status sys_execveat(int dirfd, UserString path, UserPtr<const u64> argv, UserPtr<const u64> envp,
                    u32 flags);
Status sys_exit(int status);
Status sys_exit_group(int status);
Status sys_wait4(int pid, UserPtr<i32> status, u32 options, UserPtr<abi::Rusage> usage);
Status sys_waitid(int type, int id, UserPtr<posix::SignalInfo> info, u32 options,
                  UserPtr<abi::Rusage> usage);
Status sys_set_tid_address(u64 address);
Status sys_set_robust_list(u64 head, std::size_t length);
Status sys_get_robust_list(int tid, UserPtr<u64> head, UserPtr<u64> length);
Status sys_getpid();
Status sys_gettid();
Status sys_getppid();
Status sys_getpgid(int pid);
Status sys_getpgrp();
Status sys_setpgid(int pid, int group);
Status sys_getsid(int pid);
Status sys_setsid();
Status sys_unshare(u64 flags);
Status sys_personality(u32 persona);
Status sys_prctl(int option, u64 a, u64 b, u64 c, u64 d);
Status sys_arch_prctl(int code, u64 address);
Status sys_membarrier(int command, u32 flags, int cpu);

// credentials.cpp
Status sys_getuid();
Status sys_geteuid();
Status sys_getgid();
Status sys_getegid();
Status sys_getresuid(UserPtr<u32> real, UserPtr<u32> effective, UserPtr<u32> saved);
Status sys_getresgid(UserPtr<u32> real, UserPtr<u32> effective, UserPtr<u32> saved);
Status sys_setuid(u32 id);
Status sys_setgid(u32 id);
Status sys_setreuid(u32 real, u32 effective);
Status sys_setregid(u32 real, u32 effective);
Status sys_setresuid(u32 real, u32 effective, u32 saved);
Status sys_setresgid(u32 real, u32 effective, u32 saved);
Status sys_setfsuid(u32 id);
Status sys_setfsgid(u32 id);
Status sys_getgroups(int size, UserPtr<u32> list);
Status sys_setgroups(int size, UserPtr<const u32> list);
Status sys_capget(UserPtr<abi::CapUserHeader> header, UserPtr<abi::CapUserData> data);
Status sys_capset(UserPtr<abi::CapUserHeader> header, UserPtr<const abi::CapUserData> data);

// scheduling.cpp
Status sys_sched_yield();
Status sys_sched_setparam(int tid, UserPtr<const abi::SchedParam> param);
Status sys_sched_getparam(int tid, UserPtr<abi::SchedParam> param);
Status sys_sched_setscheduler(int tid, int policy, UserPtr<const abi::SchedParam> param);
Status sys_sched_getscheduler(int tid);
Status sys_sched_get_priority_max(int policy);
Status sys_sched_get_priority_min(int policy);
Status sys_sched_rr_get_interval(int tid, UserPtr<abi::TimeSpec> interval);
Status sys_sched_setaffinity(int tid, u32 size, UserPtr<const u64> mask);
Status sys_sched_getaffinity(int tid, u32 size, UserPtr<u64> mask);
Status sys_sched_setattr(int tid, UserPtr<const abi::SchedAttr> attributes, u32 flags);
Status sys_sched_getattr(int tid, UserPtr<abi::SchedAttr> attributes, u32 size, u32 flags);
Status sys_getpriority(int which, int who);
Status sys_setpriority(int which, int who, int nice);
Status sys_getcpu(UserPtr<u32> cpu, UserPtr<u32> node, UserPtr<void> cache);

// system.cpp
Status sys_uname(UserPtr<abi::UtsName> out);
Status sys_sysinfo(UserPtr<abi::SysInfo> out);
Status sys_sethostname(UserString name, int length);
Status sys_setdomainname(UserString name, int length);
Status sys_getrandom(UserPtr<void> buffer, std::size_t count, u32 flags);
Status sys_reboot(u32 magic1, u32 magic2, u32 command, UserPtr<void> argument);
Status sys_getrlimit(u32 resource, UserPtr<abi::Rlimit64> limit);
Status sys_setrlimit(u32 resource, UserPtr<const abi::Rlimit64> limit);
Status sys_prlimit64(int pid, u32 resource, UserPtr<const abi::Rlimit64> new_limit,
                     UserPtr<abi::Rlimit64> old_limit);
Status sys_getrusage(int who, UserPtr<abi::Rusage> usage);
Status sys_times(UserPtr<abi::Tms> times);

// futex.cpp
Status sys_futex(u64 address, u32 operation, u32 value, u64 timeout_or_limit, u64 second_address,
                 u32 value3);

// poll.cpp
Status sys_poll(UserPtr<void> fds, u32 count, int timeout_ms);
Status sys_ppoll(UserPtr<void> fds, u32 count, UserPtr<abi::TimeSpec> timeout,
                 UserPtr<const u64> mask, std::size_t mask_size);
Status sys_select(int count, UserPtr<u64> read_set, UserPtr<u64> write_set, UserPtr<u64> except_set,
                  UserPtr<abi::TimeVal> timeout);
Status sys_pselect6(int count, UserPtr<u64> read_set, UserPtr<u64> write_set,
                    UserPtr<u64> except_set, UserPtr<abi::TimeSpec> timeout,
                    UserPtr<const u64> mask_argument);

// event.cpp
Status sys_epoll_create(int size);
Status sys_epoll_create1(u32 flags);
Status sys_epoll_ctl(int epoll_fd, int operation, int fd, UserPtr<void> event_address);
Status sys_epoll_wait(int fd, UserPtr<void> events, int limit, int timeout_ms);
Status sys_epoll_pwait(int fd, UserPtr<void> events, int limit, int timeout_ms,
                       UserPtr<const u64> mask, std::size_t mask_size);
Status sys_epoll_pwait2(int fd, UserPtr<void> events, int limit,
                        UserPtr<const abi::TimeSpec> timeout, UserPtr<const u64> mask,
                        std::size_t mask_size);
Status sys_eventfd(u32 initial);
Status sys_eventfd2(u32 initial, u32 flags);
Status sys_timerfd_create(int clock, u32 flags);
Status sys_timerfd_settime(int fd, u32 flags, UserPtr<const abi::ITimerSpec> value,
                           UserPtr<abi::ITimerSpec> old_value);
Status sys_timerfd_gettime(int fd, UserPtr<abi::ITimerSpec> value);

// pipe.cpp
Status sys_pipe(UserPtr<i32> fds);
Status sys_pipe2(UserPtr<i32> fds, u32 flags);

// time.cpp
Status sys_time(UserPtr<i64> out);
Status sys_gettimeofday(UserPtr<abi::TimeVal> out, UserPtr<abi::TimeZone> zone);
Status sys_settimeofday(UserPtr<const abi::TimeVal> value, UserPtr<const abi::TimeZone> zone);
Status sys_clock_gettime(int clock, UserPtr<abi::TimeSpec> out);
Status sys_clock_getres(int clock, UserPtr<abi::TimeSpec> out);
Status sys_clock_settime(int clock, UserPtr<const abi::TimeSpec> value);
Status sys_nanosleep(UserPtr<const abi::TimeSpec> duration, UserPtr<abi::TimeSpec> left);
Status sys_clock_nanosleep(int clock, u32 flags, UserPtr<const abi::TimeSpec> request,
                           UserPtr<abi::TimeSpec> left);

// socket.cpp
Status sys_socket(int family, int type, int protocol);
Status sys_socketpair(int family, int type, int protocol, UserPtr<i32> fds);
Status sys_connect(int fd, UserPtr<void> address, int length);
Status sys_accept(int fd, UserPtr<void> address, UserPtr<i32> length);
Status sys_accept4(int fd, UserPtr<void> address, UserPtr<i32> length, u32 flags);
Status sys_sendto(int fd, UserPtr<void> buffer, std::size_t size, u32 flags, UserPtr<void> address,
                  int length);
Status sys_recvfrom(int fd, UserPtr<void> buffer, std::size_t size, u32 flags,
                    UserPtr<void> address, UserPtr<i32> length);
Status sys_sendmsg(int fd, UserPtr<void> message, u32 flags);
Status sys_recvmsg(int fd, UserPtr<void> message, u32 flags);
Status sys_sendmmsg(int fd, UserPtr<void> messages, u32 count, u32 flags);
Status sys_recvmmsg(int fd, UserPtr<void> messages, u32 count, u32 flags,
                    UserPtr<const abi::TimeSpec> timeout);
Status sys_shutdown(int fd, int how);
Status sys_bind(int fd, UserPtr<void> address, int length);
Status sys_listen(int fd, int backlog);
Status sys_getsockname(int fd, UserPtr<void> address, UserPtr<i32> length);
Status sys_getpeername(int fd, UserPtr<void> address, UserPtr<i32> length);
Status sys_setsockopt(int fd, int level, int option, UserPtr<void> value, int length);
Status sys_getsockopt(int fd, int level, int option, UserPtr<void> value, UserPtr<i32> length);

}  // namespace kiln::syscalls
