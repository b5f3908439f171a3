// mmap, munmap, mprotect, mremap, madvise, brk, and the faults they lead to.
#include "check.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { kPage = 4096 };

static sigjmp_buf fault_leave;
static volatile int fault_signal, fault_code;
static void *volatile fault_address;

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)context;
  fault_signal = number;
  fault_code = info->si_code;
  fault_address = info->si_addr;
  siglongjmp(fault_leave, 1);
}

static void catch_fault(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  fault_signal = 0;
}

#define FAULTS(statement, signal_, code_, address_)             \
  do {                                                          \
    catch_fault();                                              \
    if (sigsetjmp(fault_leave, 1) == 0) {                       \
      statement;                                                \
    }                                                           \
    check_catch_faults();                                       \
    EQUAL(fault_signal, signal_);                               \
    if (fault_signal == (signal_)) {                            \
      EQUAL(fault_code, code_);                                 \
      EQUAL((uintptr_t)fault_address, (uintptr_t)(address_));   \
    }                                                           \
  } while (0)

static char *anonymous(size_t pages, int protection) {
  char *p = mmap(NULL, pages * kPage, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(p != MAP_FAILED);
  return p;
}

CASE(anonymous_is_zero) {
  char *p = anonymous(64, PROT_READ | PROT_WRITE);
  int sum = 0;
  for (int i = 0; i < 64 * kPage; ++i) sum |= p[i];
  EQUAL(sum, 0);
  memset(p, 7, 64 * kPage);
  EXPECT(munmap(p, 64 * kPage) == 0);
  p = anonymous(64, PROT_READ | PROT_WRITE);
  sum = 0;
  for (int i = 0; i < 64 * kPage; ++i) sum |= p[i];
  EQUAL(sum, 0);
  EXPECT(munmap(p, 64 * kPage) == 0);
}

CASE(bad_arguments) {
  char *p = anonymous(4, PROT_READ);
  FAILS(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mmap(NULL, kPage, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED ? -1 : 0, EBADF);
  FAILS(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, 1000, 0) == MAP_FAILED ? -1 : 0, EBADF);
  FAILS(mmap(p + 1, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mmap(NULL, SIZE_MAX - kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0, ENOMEM);
  FAILS(mmap((void *)(1UL << 56), kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0, ENOMEM);
  FAILS(munmap(p + 1, kPage), EINVAL);
  FAILS(munmap(p, 0), EINVAL);
  FAILS(mprotect(p + 1, kPage, PROT_READ), EINVAL);
  FAILS(mprotect((void *)0x10000, kPage, PROT_READ), ENOMEM);
  EXPECT(munmap((void *)0x20000, kPage) == 0);
  EXPECT(munmap(p, 4 * kPage) == 0);
  EXPECT(munmap(p, 4 * kPage) == 0);
}

CASE(fixed_replaces) {
  char *p = anonymous(4, PROT_READ | PROT_WRITE);
  memset(p, 1, 4 * kPage);
  char *q = mmap(p + kPage, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  EXPECT(q == p + kPage);
  EQUAL(p[0], 1);
  EQUAL(p[kPage], 0);
  EQUAL(p[2 * kPage], 1);
  EXPECT(munmap(p, 4 * kPage) == 0);
}

CASE(fixed_noreplace) {
  char *p = anonymous(4, PROT_READ);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  FAILS(mmap(p, kPage, PROT_READ, flags, -1, 0) == MAP_FAILED ? -1 : 0, EEXIST);
  FAILS(mmap(p + 3 * kPage, 4 * kPage, PROT_READ, flags, -1, 0) == MAP_FAILED ? -1 : 0, EEXIST);
  EXPECT(munmap(p + kPage, kPage) == 0);
  EXPECT(mmap(p + kPage, kPage, PROT_READ, flags, -1, 0) == p + kPage);
  EXPECT(munmap(p, 4 * kPage) == 0);
}

CASE(hint_is_used) {
  char *p = anonymous(4, PROT_READ);
  EXPECT(munmap(p, 4 * kPage) == 0);
  EXPECT(mmap(p, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
  EXPECT(munmap(p, kPage) == 0);
}

CASE(unmap_splits) {
  char *p = anonymous(5, PROT_READ | PROT_WRITE);
  memset(p, 3, 5 * kPage);
  EXPECT(munmap(p + 2 * kPage, kPage) == 0);
  EQUAL(p[2 * kPage - 1], 3);
  EQUAL(p[3 * kPage], 3);
  FAULTS(*(volatile char *)(p + 2 * kPage), SIGSEGV, SEGV_MAPERR, p + 2 * kPage);
  EXPECT(munmap(p, 5 * kPage) == 0);
}

CASE(faults_tell_why) {
  char *p = anonymous(3, PROT_READ | PROT_WRITE);
  FAULTS(*(volatile char *)0x10 = 1, SIGSEGV, SEGV_MAPERR, 0x10);
  EXPECT(mprotect(p + kPage, kPage, PROT_READ) == 0);
  FAULTS(*(volatile char *)(p + kPage + 5) = 1, SIGSEGV, SEGV_ACCERR, p + kPage + 5);
  EQUAL(p[kPage + 5], 0);
  EXPECT(mprotect(p + kPage, kPage, PROT_NONE) == 0);
  FAULTS(*(volatile char *)(p + kPage + 7), SIGSEGV, SEGV_ACCERR, p + kPage + 7);
  p[2 * kPage] = 9;
  EXPECT(mprotect(p, 3 * kPage, PROT_READ | PROT_WRITE) == 0);
  p[kPage] = 1;
  EQUAL(p[2 * kPage], 9);
  EXPECT(munmap(p, 3 * kPage) == 0);
}

CASE(kernel_addresses_fault) {
  // Nothing of the kernel can be reached. A non-canonical address has no address in the signal.
  FAULTS(*(volatile char *)0xffffffff80100000, SIGSEGV, SEGV_MAPERR, 0xffffffff80100000);
  FAULTS(*(volatile char *)0xffff800000000000, SIGSEGV, SEGV_MAPERR, 0xffff800000000000);
  FAULTS(*(volatile char *)0xffffffff80100000 = 1, SIGSEGV, SEGV_MAPERR, 0xffffffff80100000);
  FAULTS(*(volatile char *)0x8000000000000000, SIGSEGV, SI_KERNEL, 0);
}

CASE(execute_needs_permission) {
  static const unsigned char kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov $42,%eax; ret
  char *p = anonymous(1, PROT_READ | PROT_WRITE);
  memcpy(p, kReturn42, sizeof kReturn42);
  FAULTS(((int (*)(void))p)(), SIGSEGV, SEGV_ACCERR, p);
  EXPECT(mprotect(p, kPage, PROT_READ | PROT_EXEC) == 0);
  EQUAL(((int (*)(void))p)(), 42);
  FAULTS(*(volatile char *)p = 1, SIGSEGV, SEGV_ACCERR, p);
  EXPECT(mprotect(p, kPage, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
  p[1] = 43;
  EQUAL(((int (*)(void))p)(), 43);
  EXPECT(munmap(p, kPage) == 0);
  FAULTS(((void (*)(void))0x30)(), SIGSEGV, SEGV_MAPERR, 0x30);
}

CASE(private_file_mapping) {
  int fd = open("fixture/big", O_RDONLY);
  REQUIRE(fd >= 0);
  unsigned char *p = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  REQUIRE(p != MAP_FAILED);
  int wrong = 0;
  for (long i = 0; i < 100000; ++i) wrong += p[i] != (unsigned char)(i * 7 / 3);
  EQUAL(wrong, 0);
  // the rest of the last page is zero
  int sum = 0;
  for (long i = 100000; i < 25 * kPage; ++i) sum |= p[i];
  EQUAL(sum, 0);
  // a private change is private
  p[5000] ^= 0xff;
  unsigned char byte;
  EQUAL(pread(fd, &byte, 1, 5000), 1);
  EQUAL(byte, (unsigned char)(5000 * 7 / 3));
  unsigned char *q = mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, fd, kPage);
  REQUIRE(q != MAP_FAILED);
  EQUAL(q[5000 - kPage], (unsigned char)(5000 * 7 / 3));
  EXPECT(close(fd) == 0);
  EQUAL(p[99999], (unsigned char)(99999L * 7 / 3));
  EXPECT(munmap(p, 100000) == 0);
  EXPECT(munmap(q, kPage) == 0);
}

CASE(mapping_past_the_end_is_sigbus) {
  int fd = open("past", O_CREAT | O_TRUNC | O_RDWR, 0644);
  REQUIRE(fd >= 0 && ftruncate(fd, kPage + 10) == 0);
  char *p = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(p != MAP_FAILED);
  p[kPage + 100] = 1;
  FAULTS(*(volatile char *)(p + 2 * kPage + 3), SIGBUS, BUS_ADRERR, p + 2 * kPage + 3);
  EXPECT(ftruncate(fd, 3 * kPage) == 0);
  EQUAL(p[2 * kPage + 3], 0);
  EXPECT(munmap(p, 4 * kPage) == 0);
  close(fd);
  unlink("past");
}

CASE(shared_file_mapping) {
  char buffer[8];
  int fd = open("shared", O_CREAT | O_TRUNC | O_RDWR, 0644);
  REQUIRE(fd >= 0 && write(fd, "0123456789", 10) == 10);
  char *p = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *q = mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 0);
  REQUIRE(p != MAP_FAILED && q != MAP_FAILED);
  p[2] = 'X';
  EQUAL(q[2], 'X');
  EQUAL(pread(fd, buffer, 4, 0), 4);
  EXPECT(memcmp(buffer, "01X3", 4) == 0);
  EQUAL(pwrite(fd, "Y", 1, 5), 1);
  EQUAL(p[5], 'Y');
  EXPECT(msync(p, kPage, MS_SYNC) == 0);
  FAILS(msync(p + 1, kPage, MS_SYNC), EINVAL);
  FAILS(msync(p, kPage, MS_SYNC | MS_ASYNC), EINVAL);
  EXPECT(munmap(p, kPage) == 0);
  EXPECT(munmap(q, kPage) == 0);
  close(fd);
  fd = open("shared", O_RDONLY);
  FAILS(mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, EACCES);
  p = mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 0);
  REQUIRE(p != MAP_FAILED);
  FAILS(mprotect(p, kPage, PROT_READ | PROT_WRITE), EACCES);
  FAILS(mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 100) == MAP_FAILED ? -1 : 0, EINVAL);
  EXPECT(munmap(p, kPage) == 0);
  close(fd);
  unlink("shared");
  fd = open("fixture/dir", O_RDONLY);
  FAILS(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0, ENODEV);
  close(fd);
}

CASE(shared_anonymous) {
  char *p = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(p != MAP_FAILED);
  p[kPage] = 5;
  // A second view of the same pages: mremap with an old size of 0 (mremap(2)).
  char *q = mremap(p, 0, 2 * kPage, MREMAP_MAYMOVE);
  REQUIRE(q != MAP_FAILED);
  EQUAL(q[kPage], 5);
  q[1] = 6;
  EQUAL(p[1], 6);
  EXPECT(munmap(p, 2 * kPage) == 0);
  EQUAL(q[1], 6);
  EXPECT(munmap(q, 2 * kPage) == 0);
}

CASE(map_dev_zero) {
  int fd = open("/dev/zero", O_RDWR);
  char *p = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  REQUIRE(p != MAP_FAILED);
  EQUAL(p[100], 0);
  p[100] = 1;
  EXPECT(munmap(p, 2 * kPage) == 0);
  close(fd);
}

CASE(mremap_grow_shrink_move) {
  char *p = anonymous(2, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 2; ++i) p[i * kPage] = (char)(i + 1);
  char *q = mremap(p, 2 * kPage, 50 * kPage, MREMAP_MAYMOVE);
  REQUIRE(q != MAP_FAILED);
  EQUAL(q[0], 1);
  EQUAL(q[kPage], 2);
  EQUAL(q[49 * kPage], 0);
  q[49 * kPage] = 3;
  EXPECT(mremap(q, 50 * kPage, kPage, 0) == q);
  FAULTS(*(volatile char *)(q + kPage), SIGSEGV, SEGV_MAPERR, q + kPage);
  char *target = anonymous(4, PROT_READ | PROT_WRITE);
  target[0] = 77;
  EXPECT(mremap(q, kPage, 2 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
  EQUAL(target[0], 1);
  EQUAL(target[kPage], 0);
  FAULTS(*(volatile char *)q, SIGSEGV, SEGV_MAPERR, q);
  FAILS(mremap(target, kPage, 2 * kPage, MREMAP_FIXED, target) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mremap(target + 1, kPage, 2 * kPage, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mremap(target, kPage, 0, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mremap(target, kPage, kPage, 0x100) == MAP_FAILED ? -1 : 0, EINVAL);
  EXPECT(munmap(target, 4 * kPage) == 0);
  FAILS(mremap(target, kPage, 2 * kPage, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, EFAULT);
}

CASE(mremap_in_place_is_refused_when_occupied) {
  char *p = anonymous(3, PROT_READ | PROT_WRITE);
  FAILS(mremap(p, kPage, 2 * kPage, 0) == MAP_FAILED ? -1 : 0, ENOMEM);
  EXPECT(munmap(p, 3 * kPage) == 0);
}

CASE(madvise_dontneed) {
  char *p = anonymous(3, PROT_READ | PROT_WRITE);
  memset(p, 8, 3 * kPage);
  EXPECT(madvise(p + kPage, kPage, MADV_DONTNEED) == 0);
  EQUAL(p[0], 8);
  EQUAL(p[kPage], 0);
  EQUAL(p[2 * kPage], 8);
  EXPECT(madvise(p, 3 * kPage, MADV_WILLNEED) == 0);
  EXPECT(madvise(p, 3 * kPage, MADV_NORMAL) == 0);
  EXPECT(madvise(p, 3 * kPage, MADV_FREE) == 0);
  FAILS(madvise(p + 1, kPage, MADV_DONTNEED), EINVAL);
  FAILS(madvise(p, kPage, 12345), EINVAL);
  EXPECT(munmap(p, 3 * kPage) == 0);
  FAILS(madvise(p, kPage, MADV_DONTNEED), ENOMEM);
  int fd = open("fixture/big", O_RDONLY);
  unsigned char *f = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  REQUIRE(f != MAP_FAILED);
  f[3] ^= 0xff;
  EXPECT(madvise(f, kPage, MADV_DONTNEED) == 0);
  EQUAL(f[3], 7);
  EXPECT(munmap(f, kPage) == 0);
  close(fd);
}

CASE(program_break) {
  char *now = (char *)syscall(SYS_brk, 0);
  EXPECT(now != NULL);
  char *grown = (char *)syscall(SYS_brk, now + 10 * kPage);
  EXPECT(grown == now + 10 * kPage);
  int sum = 0;
  for (int i = 0; i < 10 * kPage; ++i) sum |= now[i];
  EQUAL(sum, 0);
  memset(now, 4, 10 * kPage);
  EXPECT((char *)syscall(SYS_brk, now + 100) == now + 100);
  EXPECT((char *)syscall(SYS_brk, now) == now);
  // impossible requests change nothing
  EXPECT((char *)syscall(SYS_brk, 1) == now);
  EXPECT((char *)syscall(SYS_brk, (1UL << 47)) == now);
}

CASE(memory_is_not_given_before_use) {
  // 4 GiB of address space without storage
  char *p = mmap(NULL, 4UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(p != MAP_FAILED);
  p[3UL << 30] = 1;
  EQUAL(p[1UL << 30], 0);
  EXPECT(munmap(p, 4UL << 30) == 0);
  p = mmap(NULL, 64UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(p != MAP_FAILED);
  EXPECT(mprotect(p + (32UL << 30), kPage, PROT_READ | PROT_WRITE) == 0);
  p[32UL << 30] = 1;
  EXPECT(munmap(p, 64UL << 30) == 0);
}

CASE(many_mappings) {
  enum { kCount = 2000 };
  static char *maps[kCount];
  for (int i = 0; i < kCount; ++i) {
    maps[i] = anonymous(2, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
    if (i % 2) maps[i][0] = (char)i;
  }
  int wrong = 0;
  for (int i = 0; i < kCount; ++i) wrong += maps[i][0] != (i % 2 ? (char)i : 0);
  EQUAL(wrong, 0);
  for (int i = 0; i < kCount; i += 2) EXPECT(munmap(maps[i], 2 * kPage) == 0);
  for (int i = 1; i < kCount; i += 2) EXPECT(munmap(maps[i], 2 * kPage) == 0);
}

CASE(populate_and_lock) {
  char *p = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  REQUIRE(p != MAP_FAILED);
  unsigned char in[4] = {0};
  EXPECT(mincore(p, 4 * kPage, in) == 0);
  EQUAL((in[0] & in[1] & in[2] & in[3]) & 1, 1);
  EXPECT(mlock(p, kPage) == 0);
  EXPECT(munlock(p, kPage) == 0);
  EXPECT(munmap(p, 4 * kPage) == 0);
  FAILS(mincore(p, kPage, in), ENOMEM);
  FAILS(mlock(p, kPage), ENOMEM);
}

static int __attribute__((noinline)) recurse(int depth, volatile char *previous) {
  volatile char local[512];
  local[0] = previous ? previous[0] : 1;
  if (depth == 0) return local[0];
  return recurse(depth - 1, local) + local[0];
}

CASE(stack_grows) {
  // 4 MiB of an 8 MiB stack
  EXPECT(recurse(6000, NULL) > 0);
}

CASE(stack_overflow_is_sigsegv) {
  // The handler needs a stack of its own: the fault is the missing room for one.
  static char stack[64 * 1024];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack}, old;
  REQUIRE(sigaltstack(&alternate, &old) == 0);
  struct sigaction action, previous;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  REQUIRE(sigaction(SIGSEGV, &action, &previous) == 0);
  fault_signal = 0;
  if (sigsetjmp(fault_leave, 1) == 0) {
    volatile int result = recurse(1 << 20, NULL);
    (void)result;
  }
  sigaction(SIGSEGV, &previous, NULL);
  EQUAL(fault_signal, SIGSEGV);
  alternate.ss_flags = SS_DISABLE;
  EXPECT(sigaltstack(&alternate, NULL) == 0);
}
