// Micro-benchmarks: each stands between two markers (see micro_marks in ../run.py); the harness counts the
// instructions in between and divides by the number of rounds. Every operation's result is checked.
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "marker.h"

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      printf("micro: line %d: %s (errno %d)\n", __LINE__, #condition, \
             errno);                                                  \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

enum { kPage = 4096, kFilePages = 64 };
static const char *const kFile = "/bench.dat";

// Under -icount shift=0 one instruction is one tick of the time stamp counter, so this is a second count of
// the same stretch, which the harness compares with the plugin's.
static unsigned long null_syscall_ticks;

static unsigned long ticks(void) {
  unsigned low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
  return (unsigned long)high << 32 | low;
}

static void null_syscall(void) {
  getppid();
  unsigned long start = ticks();
  MARKER(4);
  for (int i = 0; i < 1000; ++i) getppid();
  MARKER(5);
  null_syscall_ticks = ticks() - start;
}

static void anonymous_fault(void) {
  enum { kPages = 256 };
  char *warm = mmap(NULL, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(warm != MAP_FAILED);
  for (int i = 0; i < kPages; ++i) warm[i * kPage] = 1;
  CHECK(munmap(warm, kPages * kPage) == 0);
  volatile char *p =
      mmap(NULL, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  MARKER(6);
  for (int i = 0; i < kPages; ++i) p[i * kPage] = 1;
  MARKER(7);
  CHECK(munmap((void *)p, kPages * kPage) == 0);
}

static void file_fault(void) {
  int fd = open(kFile, O_RDONLY);
  CHECK(fd >= 0);
  volatile char *p = mmap(NULL, kFilePages * kPage, PROT_READ, MAP_PRIVATE, fd, 0);
  CHECK(p != MAP_FAILED);
  unsigned sum = 0;
  MARKER(26);
  for (int i = 0; i < kFilePages; ++i) sum += (unsigned char)p[i * kPage];
  MARKER(27);
  CHECK(sum == kFilePages * (unsigned)'k');
  CHECK(munmap((void *)p, kFilePages * kPage) == 0);
  CHECK(close(fd) == 0);
}

static atomic_int yield_go;

static void *yielder(void *unused) {
  (void)unused;
  while (atomic_load(&yield_go)) sched_yield();
  return NULL;
}

static void yield_switch(void) {
  pthread_t other;
  atomic_store(&yield_go, 1);
  CHECK(pthread_create(&other, NULL, yielder, NULL) == 0);
  for (int i = 0; i < 20; ++i) sched_yield();
  MARKER(8);
  for (int i = 0; i < 200; ++i) sched_yield();
  MARKER(9);
  atomic_store(&yield_go, 0);
  CHECK(pthread_join(other, NULL) == 0);
}

static atomic_int turn;
enum { kPingRounds = 200, kPingWarm = 20 };

static void wait_turn(int wanted) {
  int seen;
  while ((seen = atomic_load(&turn)) != wanted) {
    syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
  }
}

static void give_turn(int next) {
  atomic_store(&turn, next);
  syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *ponger(void *unused) {
  (void)unused;
  for (int i = 0; i < kPingRounds + kPingWarm; ++i) {
    wait_turn(1);
    give_turn(0);
  }
  return NULL;
}

static void futex_ping_pong(void) {
  pthread_t other;
  CHECK(pthread_create(&other, NULL, ponger, NULL) == 0);
  for (int i = 0; i < kPingWarm; ++i) {
    give_turn(1);
    wait_turn(0);
  }
  MARKER(10);
  for (int i = 0; i < kPingRounds; ++i) {
    give_turn(1);
    wait_turn(0);
  }
  MARKER(11);
  CHECK(pthread_join(other, NULL) == 0);
}

static void *nothing(void *argument) { return argument; }

static void thread_create_join(void) {
  pthread_t t;
  for (int i = 0; i < 5; ++i) {
    CHECK(pthread_create(&t, NULL, nothing, NULL) == 0);
    CHECK(pthread_join(t, NULL) == 0);
  }
  MARKER(12);
  for (int i = 0; i < 50; ++i) {
    CHECK(pthread_create(&t, NULL, nothing, NULL) == 0);
    CHECK(pthread_join(t, NULL) == 0);
  }
  MARKER(13);
}

static void pipe_byte(void) {
  int fds[2];
  char byte = 'x';
  CHECK(pipe(fds) == 0);
  CHECK(write(fds[1], &byte, 1) == 1 && read(fds[0], &byte, 1) == 1);
  MARKER(14);
  for (int i = 0; i < 200; ++i) {
    if (write(fds[1], &byte, 1) != 1 || read(fds[0], &byte, 1) != 1) exit(1);
  }
  MARKER(15);
  CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static void vdso_clock(void) {
  struct timespec ts;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
  MARKER(16);
  for (int i = 0; i < 1000; ++i) clock_gettime(CLOCK_MONOTONIC, &ts);
  MARKER(17);
}

static void map_unmap(void) {
  enum { kBytes = 16 * kPage };
  MARKER(18);
  for (int i = 0; i < 200; ++i) {
    void *p = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || munmap(p, kBytes) != 0) exit(1);
  }
  MARKER(19);
}

static void open_close(void) {
  CHECK(close(open(kFile, O_RDONLY)) == 0);
  MARKER(20);
  for (int i = 0; i < 200; ++i) {
    int fd = open(kFile, O_RDONLY);
    if (fd < 0 || close(fd) != 0) exit(1);
  }
  MARKER(21);
}

static void pread_page(void) {
  static char buffer[kPage];
  int fd = open(kFile, O_RDONLY);
  CHECK(fd >= 0);
  CHECK(pread(fd, buffer, kPage, 0) == kPage && buffer[0] == 'k');
  MARKER(22);
  for (int i = 0; i < 200; ++i) {
    if (pread(fd, buffer, kPage, (i % kFilePages) * kPage) != kPage) exit(1);
  }
  MARKER(23);
  CHECK(close(fd) == 0);
}

static void stat_file(void) {
  struct stat st;
  CHECK(stat(kFile, &st) == 0 && st.st_size == kFilePages * kPage);
  MARKER(24);
  for (int i = 0; i < 200; ++i) {
    if (stat(kFile, &st) != 0) exit(1);
  }
  MARKER(25);
}

static volatile sig_atomic_t signals_seen;
static void on_signal(int number) {
  (void)number;
  signals_seen = signals_seen + 1;
}

static void signal_self(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  pid_t pid = getpid();
  pid_t tid = (pid_t)syscall(SYS_gettid);
  syscall(SYS_tgkill, pid, tid, SIGUSR1);
  MARKER(28);
  for (int i = 0; i < 200; ++i) syscall(SYS_tgkill, pid, tid, SIGUSR1);
  MARKER(29);
  CHECK(signals_seen == 201);
}

int main(void) {
  null_syscall();
  anonymous_fault();
  file_fault();
  yield_switch();
  futex_ping_pong();
  thread_create_join();
  pipe_byte();
  vdso_clock();
  map_unmap();
  open_close();
  pread_page();
  stat_file();
  signal_self();
  printf("micro ok ticks=%lu\n", null_syscall_ticks);
  return fflush(stdout) == 0 ? 0 : 1;
}
