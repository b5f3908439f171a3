// Identity, limits, resources, random numbers.
#include "check.h"

#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <grp.h>

CASE(uname_says_linux) {
  struct utsname u;
  EXPECT(uname(&u) == 0);
  EXPECT(strcmp(u.sysname, "Linux") == 0);
  EXPECT(strcmp(u.machine, "x86_64") == 0);
  EXPECT(strlen(u.nodename) > 0);
  int major = 0, minor = 0;
  // glibc refuses kernels older than 3.2
  EQUAL(sscanf(u.release, "%d.%d", &major, &minor), 2);
  EXPECT(major >= 4);
}

CASE(ids) {
  EXPECT(getpid() >= 1);
  EXPECT(getppid() >= 0);
  EQUAL(getuid(), 0);
  EQUAL(geteuid(), 0);
  EQUAL(getgid(), 0);
  EQUAL(getegid(), 0);
  uid_t r, e, s;
  EXPECT(getresuid(&r, &e, &s) == 0);
  EQUAL(r | e | s, 0);
  EXPECT(getpgrp() >= 0);
  EXPECT(getsid(0) >= 0);
  EXPECT(getgroups(0, NULL) >= 0);
  FAILS(getpgid(0x3fffffff), ESRCH);
}

CASE(getrandom_gives_random) {
  unsigned char a[64], b[64];
  EQUAL(getrandom(a, sizeof a, 0), 64);
  EQUAL(getrandom(b, sizeof b, GRND_NONBLOCK), 64);
  EXPECT(memcmp(a, b, sizeof a) != 0);
  int zeros = 0;
  for (int i = 0; i < 64; ++i) zeros += a[i] == 0;
  EXPECT(zeros < 16);
  EQUAL(getrandom(a, 0, 0), 0);
  FAILS(getrandom(a, sizeof a, 0x100), EINVAL);
  FAILS(getrandom((void *)0x1000, 16, 0), EFAULT);
}

CASE(limits) {
  struct rlimit limit;
  static const int kAll[] = {RLIMIT_CPU,  RLIMIT_FSIZE,   RLIMIT_DATA,   RLIMIT_STACK,      RLIMIT_CORE,
                             RLIMIT_AS,   RLIMIT_NOFILE,  RLIMIT_NPROC,  RLIMIT_MEMLOCK,    RLIMIT_SIGPENDING,
                             RLIMIT_NICE, RLIMIT_RTPRIO,  RLIMIT_RTTIME, RLIMIT_MSGQUEUE};
  for (size_t i = 0; i < sizeof kAll / sizeof *kAll; ++i) {
    EXPECT(getrlimit(kAll[i], &limit) == 0);
    EXPECT(limit.rlim_cur <= limit.rlim_max);
  }
  FAILS(getrlimit(99, &limit), EINVAL);
  EXPECT(getrlimit(RLIMIT_STACK, &limit) == 0);
  EXPECT(limit.rlim_cur >= 1 << 20);
  EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  rlim_t old = limit.rlim_cur;
  limit.rlim_cur = 40;
  EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  int fd = dup(1);
  EXPECT(fd >= 0);
  FAILS(dup2(1, 40), EBADF);
  EQUAL(dup2(1, 39), 39);
  close(39);
  close(fd);
  limit.rlim_cur = old;
  EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  limit.rlim_max = limit.rlim_cur - 1;
  FAILS(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
}

CASE(sysinfo_and_usage) {
  struct sysinfo info;
  memset(&info, 0xff, sizeof info);
  EXPECT(sysinfo(&info) == 0);
  EXPECT(info.totalram > 0 && info.freeram <= info.totalram);
  EXPECT(info.mem_unit >= 1);
  EXPECT(info.uptime >= 0);
  struct rusage usage;
  EXPECT(getrusage(RUSAGE_SELF, &usage) == 0);
  EXPECT(usage.ru_utime.tv_sec >= 0);
  EXPECT(getrusage(RUSAGE_THREAD, &usage) == 0);
  EXPECT(getrusage(RUSAGE_CHILDREN, &usage) == 0);
  FAILS(getrusage(77, &usage), EINVAL);
  EXPECT(get_nprocs() >= 1);
  EXPECT(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  EQUAL(sysconf(_SC_PAGESIZE), 4096);
  EXPECT(sysconf(_SC_PHYS_PAGES) > 0);
}

CASE(prctl_names) {
  char name[17] = {0};
  EXPECT(prctl(PR_SET_NAME, "a-name-longer-than-fits") == 0);
  EXPECT(prctl(PR_GET_NAME, name) == 0);
  EXPECT(strcmp(name, "a-name-longer-t") == 0);
  EQUAL(prctl(PR_GET_DUMPABLE), 1);
  EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
  FAILS(prctl(12345, 0, 0, 0, 0), EINVAL);
}

CASE(priorities) {
  errno = 0;
  EXPECT(getpriority(PRIO_PROCESS, 0) == 0 || errno == 0);
  FAILS(getpriority(99, 0), EINVAL);
}

CASE(unknown_system_calls) {
  FAILS(syscall(9999), ENOSYS);
  FAILS(syscall(-1), ENOSYS);
  FAILS(syscall(500), ENOSYS);
  FAILS(syscall(0x7fffffff), ENOSYS);
  FAILS(syscall(SYS_tuxcall), ENOSYS);
}

CASE(arch_prctl_segments) {
  unsigned long fs = 0;
  EXPECT(syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &fs) == 0);
  unsigned long self;
  __asm__("mov %%fs:0, %0" : "=r"(self));
  EQUAL(fs, self);
  FAILS(syscall(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, 0xffffffff80000000), EPERM);
  FAILS(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
}

CASE(arch_prctl_gs) {
  static unsigned long area[4] = {0x5555};
  EXPECT(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, area) == 0);
  unsigned long value;
  __asm__("mov %%gs:0, %0" : "=r"(value));
  EQUAL(value, 0x5555);
  EXPECT(syscall(SYS_arch_prctl, 0x1001, 0) == 0);
}

CASE(system_call_keeps_registers) {
  // All but rax, rcx and r11 come back as they were (System V ABI, A.2.1).
  long result, ok;
  __asm__ volatile(
      "mov $0x1111, %%rbx\n mov $0x2222, %%r12\n mov $0x3333, %%r13\n mov $0x4444, %%r14\n mov $0x5555, %%r15\n"
      "mov $0x6666, %%r8\n mov $0x7777, %%r9\n mov $0x8888, %%r10\n mov $0x9999, %%rdi\n mov $0xaaaa, %%rsi\n"
      "mov $0xbbbb, %%rdx\n mov $39, %%eax\n syscall\n mov %%rax, %0\n xor %%eax, %%eax\n"
      "cmp $0x1111, %%rbx\n jne 1f\n cmp $0x2222, %%r12\n jne 1f\n cmp $0x3333, %%r13\n jne 1f\n"
      "cmp $0x4444, %%r14\n jne 1f\n cmp $0x5555, %%r15\n jne 1f\n cmp $0x6666, %%r8\n jne 1f\n"
      "cmp $0x7777, %%r9\n jne 1f\n cmp $0x8888, %%r10\n jne 1f\n cmp $0x9999, %%rdi\n jne 1f\n"
      "cmp $0xaaaa, %%rsi\n jne 1f\n cmp $0xbbbb, %%rdx\n jne 1f\n mov $1, %%eax\n1:\n mov %%rax, %1\n"
      : "=m"(result), "=m"(ok)
      :
      : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
  EQUAL(result, getpid());
  EQUAL(ok, 1);
}

CASE(red_zone_survives_interrupts_and_calls) {
  // 128 bytes below the stack pointer belong to the program (System V ABI, 3.2.2).
  long bad = 0;
  for (int round = 0; round < 200; ++round) {
    __asm__ volatile(
        "movq $0x5a5a, -8(%%rsp)\n movq $0xa5a5, -128(%%rsp)\n mov $39, %%eax\n syscall\n"
        "mov $20000, %%ecx\n2: dec %%ecx\n jnz 2b\n"
        "cmpq $0x5a5a, -8(%%rsp)\n jne 1f\n cmpq $0xa5a5, -128(%%rsp)\n je 3f\n1: incq %0\n3:\n"
        : "+r"(bad)
        :
        : "rax", "rcx", "r11", "memory", "cc");
  }
  EQUAL(bad, 0);
}
