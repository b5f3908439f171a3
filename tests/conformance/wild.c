// Wild pointers: every system call, every pointer argument. The answer is an errno, never a crash.
//
// The first case is exact: calls whose other arguments are valid, where a bad pointer must be EFAULT.
// The second is blunt: every number from 0 to 460 with wild values in all argument places, where only the
// survival of the machine and of this program's memory counts. Left out are calls that would end or change
// the program or (on Linux, where this runs first) the machine even when they work as they should.
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>

enum { kPage = 4096 };

static char *no_access;     // a page without any permission
static char *read_only;     // a page that may only be read
static char *before_hole;   // the last 4 bytes before an unmapped page
static int file_fd, dir_fd, pipe_in, pipe_out, epoll_fd, event_fd, timer_fd, null_fd;

static void prepare(void) {
  int p[2];
  if (no_access != NULL) return;
  char *area = mmap(NULL, 8 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  memset(area, 'w', 8 * kPage);
  REQUIRE(mprotect(area, kPage, PROT_NONE) == 0);
  REQUIRE(mprotect(area + 2 * kPage, kPage, PROT_READ) == 0);
  REQUIRE(munmap(area + 5 * kPage, kPage) == 0);
  no_access = area;
  read_only = area + 2 * kPage;
  before_hole = area + 5 * kPage - 4;
  file_fd = open("wild", O_CREAT | O_TRUNC | O_RDWR, 0644);
  REQUIRE(file_fd >= 0 && write(file_fd, area + kPage, kPage) == kPage && lseek(file_fd, 0, SEEK_SET) == 0);
  dir_fd = open(".", O_RDONLY | O_DIRECTORY);
  REQUIRE(pipe2(p, O_NONBLOCK) == 0 && write(p[1], "data in the pipe", 16) == 16);
  pipe_in = p[0];
  pipe_out = p[1];
  epoll_fd = epoll_create1(0);
  event_fd = eventfd(1, EFD_NONBLOCK);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, 0);
  null_fd = open("/dev/null", O_RDWR);
  struct epoll_event event = {EPOLLIN, {.u64 = 0}};
  REQUIRE(dir_fd >= 0 && epoll_fd >= 0 && event_fd >= 0 && timer_fd >= 0 && null_fd >= 0);
  REQUIRE(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipe_in, &event) == 0);
}

static long raw(long number, const long a[6]) {
  long result;
  register long r10 __asm__("r10") = a[3];
  register long r8 __asm__("r8") = a[4];
  register long r9 __asm__("r9") = a[5];
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

// Addresses that nothing may be read from or written to.
static int wild_values(uintptr_t out[]) {
  int n = 0;
  out[n++] = 0x10;
  out[n++] = 0xdeadbeef000;
  out[n++] = 0x00007ffffffff000;  // the first byte above the application's half
  out[n++] = 0x0000800000000000;  // the first non-canonical address
  out[n++] = 0x8000000000000000;
  out[n++] = 0xffff800000000000;  // kernel: direct map
  out[n++] = 0xffffffff80000000;  // kernel: image
  out[n++] = 0xffffffff80200000;
  out[n++] = 0xfffffffffffff000;
  out[n++] = (uintptr_t)no_access;
  return n;
}

struct wild_call {
  const char *name;
  long number;
  unsigned pointers;  // bit i: argument i is a pointer to test
  unsigned written;   // bit i: the kernel writes there, so read-only memory must be refused as well
  long arguments[6];
};

#define P(i) (1u << (i))

static char valid[16 * 1024] __attribute__((aligned(16)));

CASE(bad_pointer_is_efault) {
  prepare();
  struct iovec vector = {valid, 16};
  struct timespec *zero_time = (struct timespec *)(valid + 1024);
  memset(valid, 0, sizeof valid);
  memcpy(valid, "fixture/file.txt", 17);
  memcpy(valid + 512, "wild-other", 11);
  long path = (long)valid, other = (long)(valid + 512), buffer = (long)(valid + 4096), at = AT_FDCWD;
  long time = (long)zero_time, mask = (long)(valid + 2048);
  const struct wild_call kCalls[] = {
      {"read", SYS_read, P(1), P(1), {file_fd, buffer, 64}},
      {"read pipe", SYS_read, P(1), P(1), {pipe_in, buffer, 4}},
      {"read eventfd", SYS_read, P(1), P(1), {event_fd, buffer, 8}},
      {"write", SYS_write, P(1), 0, {file_fd, buffer, 64}},
      {"write pipe", SYS_write, P(1), 0, {pipe_out, buffer, 64}},
      {"write eventfd", SYS_write, P(1), 0, {event_fd, buffer, 8}},
      {"pread64", SYS_pread64, P(1), P(1), {file_fd, buffer, 64, 0}},
      {"pwrite64", SYS_pwrite64, P(1), 0, {file_fd, buffer, 64, 0}},
      {"readv", SYS_readv, P(1), 0, {file_fd, (long)&vector, 1}},
      {"writev", SYS_writev, P(1), 0, {file_fd, (long)&vector, 1}},
      {"preadv", SYS_preadv, P(1), 0, {file_fd, (long)&vector, 1, 0}},
      {"pwritev", SYS_pwritev, P(1), 0, {file_fd, (long)&vector, 1, 0}},
      {"open", SYS_open, P(0), 0, {path, O_RDONLY}},
      {"openat", SYS_openat, P(1), 0, {at, path, O_RDONLY}},
      {"stat", SYS_stat, P(0) | P(1), P(1), {path, buffer}},
      {"lstat", SYS_lstat, P(0) | P(1), P(1), {path, buffer}},
      {"fstat", SYS_fstat, P(1), P(1), {file_fd, buffer}},
      {"newfstatat", SYS_newfstatat, P(1) | P(2), P(2), {at, path, buffer, 0}},
      {"statx", SYS_statx, P(1) | P(4), P(4), {at, path, 0, 0x7ff, buffer}},
      {"statfs", SYS_statfs, P(0) | P(1), P(1), {path, buffer}},
      {"fstatfs", SYS_fstatfs, P(1), P(1), {file_fd, buffer}},
      {"access", SYS_access, P(0), 0, {path, R_OK}},
      {"faccessat", SYS_faccessat, P(1), 0, {at, path, R_OK}},
      {"readlink", SYS_readlink, P(0) | P(1), P(1), {(long)"fixture/link", buffer, 64}},
      {"readlinkat", SYS_readlinkat, P(1) | P(2), P(2), {at, (long)"fixture/link", buffer, 64}},
      {"getcwd", SYS_getcwd, P(0), P(0), {buffer, 4096}},
      {"chdir", SYS_chdir, P(0), 0, {path}},
      {"mkdir", SYS_mkdir, P(0), 0, {other, 0755}},
      {"mkdirat", SYS_mkdirat, P(1), 0, {at, other, 0755}},
      {"rmdir", SYS_rmdir, P(0), 0, {other}},
      {"unlink", SYS_unlink, P(0), 0, {other}},
      {"unlinkat", SYS_unlinkat, P(1), 0, {at, other, 0}},
      {"rename", SYS_rename, P(0) | P(1), 0, {path, other}},
      {"renameat2", SYS_renameat2, P(1) | P(3), 0, {at, path, at, other, 0}},
      {"link", SYS_link, P(0) | P(1), 0, {path, other}},
      {"linkat", SYS_linkat, P(1) | P(3), 0, {at, path, at, other, 0}},
      {"symlink", SYS_symlink, P(0) | P(1), 0, {path, other}},
      {"symlinkat", SYS_symlinkat, P(0) | P(2), 0, {path, at, other}},
      {"mknod", SYS_mknod, P(0), 0, {other, S_IFIFO | 0600, 0}},
      {"chmod", SYS_chmod, P(0), 0, {path, 0644}},
      {"fchmodat", SYS_fchmodat, P(1), 0, {at, path, 0644}},
      {"chown", SYS_chown, P(0), 0, {path, -1, -1}},
      {"fchownat", SYS_fchownat, P(1), 0, {at, path, -1, -1, 0}},
      {"truncate", SYS_truncate, P(0), 0, {other, 0}},
      {"utimensat", SYS_utimensat, P(1) | P(2), 0, {at, path, time, 0}},
      {"getdents64", SYS_getdents64, P(1), P(1), {dir_fd, buffer, 4096}},
      {"pipe", SYS_pipe, P(0), P(0), {buffer}},
      {"pipe2", SYS_pipe2, P(0), P(0), {buffer, 0}},
      {"poll", SYS_poll, P(0), P(0), {buffer, 1, 0}},
      {"ppoll", SYS_ppoll, P(0) | P(2), P(0), {buffer, 1, time, 0, 8}},
      {"select", SYS_select, P(1) | P(2) | P(3) | P(4), 0, {8, buffer, buffer, buffer, time}},
      {"pselect6", SYS_pselect6, P(1) | P(2) | P(3) | P(4), 0, {8, buffer, buffer, buffer, time, 0}},
      {"epoll_ctl", SYS_epoll_ctl, P(3), 0, {epoll_fd, EPOLL_CTL_ADD, event_fd, buffer}},
      {"epoll_wait", SYS_epoll_wait, P(1), P(1), {epoll_fd, buffer, 1, 0}},
      {"nanosleep", SYS_nanosleep, P(0), 0, {time, 0}},
      {"clock_nanosleep", SYS_clock_nanosleep, P(2), 0, {CLOCK_MONOTONIC, 0, time, 0}},
      {"clock_gettime", SYS_clock_gettime, P(1), P(1), {CLOCK_MONOTONIC, buffer}},
      {"clock_getres", SYS_clock_getres, P(1), P(1), {CLOCK_MONOTONIC, buffer}},
      {"gettimeofday", SYS_gettimeofday, P(0), P(0), {buffer, 0}},
      {"time", SYS_time, P(0), P(0), {buffer}},
      {"times", SYS_times, P(0), P(0), {buffer}},
      {"timerfd_settime", SYS_timerfd_settime, P(2), 0, {timer_fd, 0, time, 0}},
      {"timerfd_gettime", SYS_timerfd_gettime, P(1), P(1), {timer_fd, buffer}},
      {"rt_sigaction", SYS_rt_sigaction, P(1) | P(2), P(2), {SIGUSR1, mask, buffer, 8}},
      {"rt_sigprocmask", SYS_rt_sigprocmask, P(1) | P(2), P(2), {SIG_BLOCK, mask, buffer, 8}},
      {"rt_sigpending", SYS_rt_sigpending, P(0), P(0), {buffer, 8}},
      {"rt_sigtimedwait", SYS_rt_sigtimedwait, P(0) | P(2), 0, {mask, 0, time, 8}},
      {"rt_sigsuspend", SYS_rt_sigsuspend, P(0), 0, {mask, 8}},
      {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, P(2), 0, {getpid(), SIGURG, buffer}},
      {"sigaltstack", SYS_sigaltstack, P(0) | P(1), 0, {0, buffer}},
      {"signalfd4", SYS_signalfd4, P(1), 0, {-1, mask, 8, 0}},
      {"setitimer", SYS_setitimer, P(1), 0, {0, time, 0}},
      {"getitimer", SYS_getitimer, P(1), P(1), {0, buffer}},
      {"timer_create", SYS_timer_create, P(2), P(2), {CLOCK_MONOTONIC, 0, buffer}},
      {"uname", SYS_uname, P(0), P(0), {buffer}},
      {"sysinfo", SYS_sysinfo, P(0), P(0), {buffer}},
      {"getrusage", SYS_getrusage, P(1), P(1), {0, buffer}},
      {"getrlimit", SYS_getrlimit, P(1), P(1), {7, buffer}},
      {"setrlimit", SYS_setrlimit, P(1), 0, {7, buffer}},
      {"prlimit64", SYS_prlimit64, P(2) | P(3), P(3), {0, 7, 0, buffer}},
      {"getrandom", SYS_getrandom, P(0), P(0), {buffer, 64, 0}},
      {"getresuid", SYS_getresuid, P(0) | P(1) | P(2), P(0) | P(1) | P(2), {buffer, buffer, buffer}},
      {"getresgid", SYS_getresgid, P(0) | P(1) | P(2), P(0) | P(1) | P(2), {buffer, buffer, buffer}},
      {"sched_getaffinity", SYS_sched_getaffinity, P(2), P(2), {0, 128, buffer}},
      {"sched_setaffinity", SYS_sched_setaffinity, P(2), 0, {0, 128, buffer}},
      {"sched_getparam", SYS_sched_getparam, P(1), P(1), {0, buffer}},
      {"sched_rr_get_interval", SYS_sched_rr_get_interval, P(1), P(1), {0, buffer}},
      {"arch_prctl get", SYS_arch_prctl, P(1), P(1), {0x1003, buffer}},
      {"prctl name", SYS_prctl, P(1), 0, {15 /* PR_SET_NAME */, buffer}},
      {"prctl get name", SYS_prctl, P(1), P(1), {16 /* PR_GET_NAME */, buffer}},
      {"futex wait", SYS_futex, P(0), 0, {buffer, 128, 1, 0}},
      {"futex timeout", SYS_futex, P(3), 0, {buffer, 128, 0, time}},
      {"get_robust_list", SYS_get_robust_list, P(1) | P(2), P(1) | P(2), {0, buffer, buffer + 64}},
      {"ioctl FIONREAD", SYS_ioctl, P(2), P(2), {file_fd, 0x541b, buffer}},
      {"ioctl FIONBIO", SYS_ioctl, P(2), 0, {null_fd, 0x5421, buffer}},
      {"memfd_create", SYS_memfd_create, P(0), 0, {path, 0}},
      {"sendfile", SYS_sendfile, P(2), 0, {null_fd, file_fd, buffer, 16}},
      {"mincore", SYS_mincore, P(2), P(2), {(long)before_hole & -4096L, 4096, buffer}},
      {"execve", SYS_execve, P(0), 0, {path, 0, 0}},
      {"getgroups", SYS_getgroups, 0, 0, {0, 0}},
  };
  uintptr_t wild[16];
  int wild_count = wild_values(wild);
  for (size_t c = 0; c < sizeof kCalls / sizeof *kCalls; ++c) {
    const struct wild_call *call = &kCalls[c];
    int absent = 0;
    for (int i = 0; i < 6 && !absent; ++i) {
      if (!(call->pointers & P(i))) continue;
      int count = wild_count;
      if (call->written & P(i)) wild[count++] = (uintptr_t)read_only;
      for (int w = 0; w < count; ++w) {
        long arguments[6];
        memset(valid, 0, sizeof valid);
        memcpy(valid, "fixture/file.txt", 17);
        memcpy(valid + 512, "wild-other", 11);
        memcpy(arguments, call->arguments, sizeof arguments);
        arguments[i] = (long)wild[w];
        lseek(file_fd, 0, SEEK_SET);
        lseek(dir_fd, 0, SEEK_SET);
        // Linux takes the count before it finds the pointer bad.
        REQUIRE(eventfd_write(event_fd, 1) == 0);
        long result = raw(call->number, arguments);
        if (result == -ENOSYS) {
          printf("# not there: %s\n", call->name);
          absent = 1;
          break;
        }
        if (result != -EFAULT) {
          check_failures++;
          printf("# %s: argument %d = %#lx gave %ld, expected -EFAULT\n", call->name, i, (unsigned long)wild[w], result);
        }
      }
    }
  }
  unlink("wild-other");
}

CASE(partly_bad_buffers) {
  prepare();
  char buffer[64];
  REQUIRE(lseek(file_fd, 0, SEEK_SET) == 0);
  // Four good bytes, then nothing: all that fits is done, as on Linux, or EFAULT; never more.
  long n = read(file_fd, before_hole, 100);
  EXPECT(n == 4 || (n == -1 && errno == EFAULT));
  n = write(null_fd, before_hole, 100);
  EXPECT(n == 100 || n == 4 || n == -1);
  n = pwrite(file_fd, before_hole, 100, 0);
  EXPECT(n == 4 || n == -1);
  // A path that runs into the hole has no end.
  memcpy(before_hole, "abcd", 4);
  FAILS(open(before_hole, O_RDONLY), EFAULT);
  memcpy(before_hole, "abc", 4);
  FAILS(open(before_hole, O_RDONLY), ENOENT);
  // A structure across the edge.
  FAILS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, before_hole), EFAULT);
  FAILS(syscall(SYS_uname, before_hole), EFAULT);
  // The second element of a vector is bad: what came before is done.
  struct iovec vector[2] = {{buffer, 8}, {(void *)0xdeadbeef000, 8}};
  REQUIRE(lseek(file_fd, 0, SEEK_SET) == 0);
  n = readv(file_fd, vector, 2);
  EXPECT(n == 8 || (n == -1 && errno == EFAULT));
  // An address whose end wraps around.
  FAILS(read(file_fd, (void *)0x7ffffffff000, (size_t)-1), EFAULT);
}

static int left_out(long number) {
  static const short kLeftOut[] = {
      // end, fork or replace the program, or wait for ever
      SYS_exit, SYS_exit_group, SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_execve, SYS_execveat, SYS_pause,
      SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_wait4, SYS_waitid, SYS_restart_syscall,
      // send signals
      SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_alarm, SYS_setitimer,
      SYS_pidfd_send_signal,
      // take away this program's memory, descriptors, identity or signal handling
      SYS_munmap, SYS_mremap, SYS_mprotect, SYS_mmap, SYS_madvise, SYS_brk, SYS_remap_file_pages, SYS_shmat,
      SYS_shmdt, SYS_process_madvise, SYS_pkey_mprotect, SYS_arch_prctl, SYS_rt_sigaction, SYS_rt_sigprocmask,
      SYS_sigaltstack, SYS_close, SYS_close_range, SYS_dup2, SYS_dup3, SYS_setuid, SYS_setgid, SYS_setreuid,
      SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setgroups, SYS_setfsuid, SYS_setfsgid, SYS_setsid,
      SYS_setpgid, SYS_setns, SYS_unshare, SYS_prctl, SYS_personality, SYS_seccomp, SYS_setrlimit, SYS_prlimit64,
      SYS_rseq, SYS_set_robust_list, SYS_set_tid_address, SYS_modify_ldt, SYS_set_thread_area, SYS_ptrace,
      SYS_umask, SYS_chdir, SYS_fchdir, SYS_chroot, SYS_userfaultfd, SYS_capset, SYS_mlockall, SYS_munlockall,
      453 /* map_shadow_stack */, 335 /* uretprobe */, 336 /* uprobe: SIGILL except from a probe */,
      // change the machine
      SYS_reboot, SYS_kexec_load, SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module,
      SYS_create_module, SYS_sethostname, SYS_setdomainname, SYS_settimeofday, SYS_clock_settime,
      SYS_clock_adjtime, SYS_adjtimex, SYS_swapon, SYS_swapoff, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_acct,
      SYS_sync, SYS_syslog, SYS_vhangup, SYS_iopl, SYS_ioperm, SYS_quotactl, SYS_quotactl_fd, SYS_bpf,
      SYS_perf_event_open, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_move_pages, SYS_migrate_pages,
      SYS_sched_setscheduler, SYS_sched_setparam, SYS_sched_setattr, SYS_sched_setaffinity, SYS_setpriority,
      SYS_ioprio_set, SYS_shmget, SYS_semget, SYS_msgget, SYS_shmctl, SYS_semctl, SYS_msgctl, SYS_mq_unlink,
      SYS_fsopen, SYS_fsmount, SYS_move_mount, SYS_open_tree, SYS_mount_setattr, SYS_fspick, SYS_fsconfig,
  };
  for (size_t i = 0; i < sizeof kLeftOut / sizeof *kLeftOut; ++i) {
    if (kLeftOut[i] == number) return 1;
  }
  return 0;
}

// No call here may change what the program holds: a known pattern around everything.
static unsigned char canary[8192];

CASE(every_number_with_wild_arguments) {
  prepare();
  // On Linux without privileges: a mistake in the list above stays harmless.
  if (getenv("KILN_TEST_LINUX") != NULL) {
    REQUIRE(syscall(SYS_setresgid, 65534, 65534, 65534) == 0 && syscall(SYS_setresuid, 65534, 65534, 65534) == 0);
  }
  memset(canary, 0xa5, sizeof canary);
  uintptr_t wild[16];
  int wild_count = wild_values(wild);
  long out_of_range = 0;
  for (long number = 0; number <= 460; ++number) {
    if (left_out(number)) continue;
    for (int w = 0; w < wild_count; ++w) {
      long arguments[6];
      for (int i = 0; i < 6; ++i) arguments[i] = (long)wild[w];
      long result = raw(number, arguments);
      if (result < -4095 && number != SYS_times && number != SYS_brk) out_of_range++;
      if (w == 0) continue;
      // each place alone, with harmless rest: descriptor -1, lengths 1
      for (int i = 0; i < 6; ++i) {
        for (int j = 0; j < 6; ++j) arguments[j] = j == 0 ? -1 : 1;
        arguments[i] = (long)wild[w];
        raw(number, arguments);
      }
    }
  }
  EQUAL(out_of_range, 0);
  int damaged = 0;
  for (size_t i = 0; i < sizeof canary; ++i) damaged += canary[i] != 0xa5;
  EQUAL(damaged, 0);
  EQUAL(read_only[0], 'w');
  EXPECT(getpid() > 0);
}

CASE(program_goes_on_afterwards) {
  char *p = malloc(100000);
  REQUIRE(p != NULL);
  memset(p, 1, 100000);
  free(p);
  EXPECT(fcntl(1, F_GETFD) >= 0);
}
