// What a program finds when it starts: stack, arguments, environment, auxiliary vector, vDSO, registers.
#include "check.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

extern char **environ;

extern const char __ehdr_start __attribute__((visibility("hidden")));

static uintptr_t page_of(uintptr_t value) { return value & -4096UL; }

// As it lies on the stack, after the environment: the C library changes its copy of some values.
static unsigned long raw_auxval(unsigned long type) {
  char **p = environ;
  while (*p != NULL) p++;
  for (ElfW(auxv_t) *a = (void *)(p + 1); a->a_type != AT_NULL; ++a) {
    if (a->a_type == type) return a->a_un.a_val;
  }
  return 0;
}

CASE(auxiliary_vector) {
  EQUAL(getauxval(AT_PAGESZ), 4096);
  EQUAL(getauxval(AT_CLKTCK), 100);
  EQUAL(getauxval(AT_UID), getuid());
  EQUAL(getauxval(AT_EUID), geteuid());
  EQUAL(getauxval(AT_GID), getgid());
  EQUAL(getauxval(AT_EGID), getegid());
  EQUAL(getauxval(AT_SECURE), 0);
  EQUAL(getauxval(AT_PHENT), sizeof(ElfW(Phdr)));
  EXPECT(getauxval(AT_PHNUM) > 0);
  EXPECT(getauxval(AT_PHDR) != 0);
  EXPECT(getauxval(AT_ENTRY) != 0);
  unsigned eax = 1, ebx, ecx = 0, edx;
  __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  EQUAL(raw_auxval(AT_HWCAP), edx);
  EXPECT(strcmp((char *)getauxval(AT_PLATFORM), "x86_64") == 0);
  EXPECT(strstr((char *)getauxval(AT_EXECFN), "execenv") != NULL);
}

CASE(program_headers_are_ours) {
  ElfW(Phdr) *ph = (void *)getauxval(AT_PHDR);
  size_t count = getauxval(AT_PHNUM);
  uintptr_t bias = (uintptr_t)&__ehdr_start;  // both kinds are linked at 0
  int found = 0;
  for (size_t i = 0; i < count; ++i) {
    uintptr_t from = bias + ph[i].p_vaddr;
    if (ph[i].p_type == PT_LOAD && getauxval(AT_ENTRY) >= from && getauxval(AT_ENTRY) < from + ph[i].p_memsz) {
      found = (ph[i].p_flags & PF_X) != 0;
    }
  }
  EQUAL(found, 1);
}

CASE(random_bytes) {
  const unsigned char *r = (void *)getauxval(AT_RANDOM);
  REQUIRE(r != NULL);
  int different = 0;
  for (int i = 1; i < 16; ++i) different += r[i] != r[0];
  EXPECT(different > 4);
}

CASE(vdso_is_an_elf) {
  ElfW(Ehdr) *eh = (void *)getauxval(AT_SYSINFO_EHDR);
  REQUIRE(eh != NULL);
  EXPECT(memcmp(eh->e_ident, ELFMAG, SELFMAG) == 0);
  EQUAL(eh->e_type, ET_DYN);
  EQUAL(eh->e_machine, EM_X86_64);
  EQUAL(page_of((uintptr_t)eh), (uintptr_t)eh);
  ElfW(Phdr) *ph = (void *)((char *)eh + eh->e_phoff);
  int load = 0, dynamic = 0;
  for (int i = 0; i < eh->e_phnum; ++i) {
    load += ph[i].p_type == PT_LOAD;
    dynamic += ph[i].p_type == PT_DYNAMIC;
  }
  EQUAL(load, 1);
  EQUAL(dynamic, 1);
}

CASE(environment) {
  EXPECT(environ != NULL);
  const char *value = getenv("KILN_TEST_VALUE");
  REQUIRE(value != NULL);
  EXPECT(strcmp(value, "a value, with = and spaces") == 0);
  const char *empty = getenv("KILN_TEST_EMPTY");
  REQUIRE(empty != NULL);
  EXPECT(*empty == 0);
  EXPECT(getenv("KILN_TEST_ABSENT") == NULL);
}

CASE(strings_lie_on_the_stack) {
  int local;
  uintptr_t here = (uintptr_t)&local;
  uintptr_t random = (uintptr_t)getauxval(AT_RANDOM), name = (uintptr_t)getauxval(AT_EXECFN);
  EXPECT(random > here && random - here < 256 * 1024);
  EXPECT(name > here && name - here < 256 * 1024);
  EXPECT((uintptr_t)environ[0] > here);
}

static uintptr_t __attribute__((noinline)) frame_alignment(void) {
  uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
  return frame % 16;
}

CASE(stack_alignment) { EQUAL(frame_alignment(), 0); }

CASE(floating_point_state) {
  unsigned short control;
  unsigned mxcsr;
  __asm__ volatile("fnstcw %0" : "=m"(control));
  __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
  EQUAL(control, 0x37f);
  EQUAL(mxcsr & 0xffc0, 0x1f80);
  volatile double x = 1.0, y = 3.0;
  EXPECT(x / y > 0.333 && x / y < 0.334);
  volatile long double l = 1.0L;
  EXPECT(l / 3 * 3 > 0.99L);
}

CASE(flags_register) {
  unsigned long flags;
  __asm__ volatile("pushfq; pop %0" : "=r"(flags));
  EQUAL(flags & 0x400, 0);  // the direction flag is clear
  EQUAL(flags & 0x200, 0x200);  // interrupts are on
  EQUAL(flags & 0x100, 0);
  EQUAL(flags & 0x40000, 0);  // no alignment checks
}

CASE(standard_descriptors) {
  struct stat st;
  for (int i = 0; i < 3; ++i) EXPECT(fstat(i, &st) == 0);
  EQUAL(open("/dev/null", O_RDONLY), 3);
  close(3);
}

CASE(signals_are_default) {
  sigset_t mask;
  EXPECT(sigprocmask(SIG_SETMASK, NULL, &mask) == 0);
  int blocked = 0;
  for (int i = 1; i < 32; ++i) blocked += sigismember(&mask, i) == 1;
  EQUAL(blocked, 0);
  struct sigaction action;
  EXPECT(sigaction(SIGTERM, NULL, &action) == 0);
  EXPECT(action.sa_handler == SIG_DFL);
}

static int constructed;
__attribute__((constructor)) static void construct(void) { constructed = 17; }
static int relocated_data = 5;
static int *relocated_pointer = &relocated_data;
static _Thread_local int thread_value = 23;

CASE(image_is_relocated) {
  EQUAL(constructed, 17);
  EQUAL(*relocated_pointer, 5);
  EQUAL(thread_value, 23);
}

CASE(null_page_is_absent) {
  FAILS(msync((void *)0, 4096, MS_ASYNC), ENOMEM);
}

CASE(addresses_are_in_the_lower_half) {
  int local;
  EXPECT((uintptr_t)&local < 1UL << 47);
  EXPECT((uintptr_t)&construct < 1UL << 47);
  void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(p != MAP_FAILED && (uintptr_t)p < 1UL << 47 && (uintptr_t)p >= 65536);
  munmap(p, 4096);
}
