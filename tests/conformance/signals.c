// Signals to self and between threads.
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

static void sleep_ms(long ms) {
  struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&ts, &ts) != 0) {
  }
}

static volatile sig_atomic_t caught, caught_number;
static siginfo_t caught_info;
static volatile uintptr_t caught_stack;

static void on_simple(int number) {
  caught = caught + 1;
  caught_number = number;
}

static void on_info(int number, siginfo_t *info, void *context) {
  int local;
  caught = caught + 1;
  caught_number = number;
  caught_info = *info;
  caught_stack = (uintptr_t)&local;
  if (context == NULL) caught_number = -1;
}

static void handle(int number, int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  if (flags & SA_SIGINFO) {
    action.sa_sigaction = on_info;
  } else {
    action.sa_handler = on_simple;
  }
  action.sa_flags = flags;
  REQUIRE(sigaction(number, &action, NULL) == 0);
  caught = 0;
}

static void reset(int number) { signal(number, SIG_DFL); }

CASE(raise_runs_the_handler) {
  handle(SIGUSR1, 0);
  EXPECT(raise(SIGUSR1) == 0);
  EQUAL(caught, 1);
  EQUAL(caught_number, SIGUSR1);
  EXPECT(kill(getpid(), SIGUSR1) == 0);
  EQUAL(caught, 2);
  EXPECT(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1) == 0);
  EQUAL(caught, 3);
  reset(SIGUSR1);
}

CASE(siginfo_of_kill) {
  handle(SIGUSR2, SA_SIGINFO);
  EXPECT(kill(getpid(), SIGUSR2) == 0);
  EQUAL(caught, 1);
  EQUAL(caught_info.si_signo, SIGUSR2);
  EQUAL(caught_info.si_code, SI_USER);
  EQUAL(caught_info.si_pid, getpid());
  EQUAL(caught_info.si_uid, getuid());
  EXPECT(raise(SIGUSR2) == 0);
  EQUAL(caught_info.si_code, SI_TKILL);
  union sigval value = {.sival_int = 4711};
  EXPECT(sigqueue(getpid(), SIGUSR2, value) == 0);
  EQUAL(caught_info.si_code, SI_QUEUE);
  EQUAL(caught_info.si_value.sival_int, 4711);
  reset(SIGUSR2);
}

CASE(sigaction_reports_and_refuses) {
  struct sigaction action, old;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_simple;
  action.sa_flags = SA_RESTART;
  sigaddset(&action.sa_mask, SIGHUP);
  EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
  EXPECT(sigaction(SIGUSR1, NULL, &old) == 0);
  EXPECT(old.sa_handler == on_simple);
  EQUAL(old.sa_flags & SA_RESTART, SA_RESTART);
  EXPECT(sigismember(&old.sa_mask, SIGHUP) == 1);
  EXPECT(sigismember(&old.sa_mask, SIGINT) == 0);
  FAILS(sigaction(SIGKILL, &action, NULL), EINVAL);
  FAILS(sigaction(SIGSTOP, &action, NULL), EINVAL);
  FAILS(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
  FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
  FAILS(kill(getpid(), 65), EINVAL);
  EXPECT(kill(getpid(), 0) == 0);
  FAILS(kill(0x3fffffff, 0), ESRCH);
  FAILS(syscall(SYS_tgkill, getpid(), 0x3fffffff, 0), ESRCH);
  FAILS(syscall(SYS_tgkill, getpid(), -1, SIGUSR1), EINVAL);
  reset(SIGUSR1);
}

CASE(mask_blocks_until_unblocked) {
  sigset_t set, old, pending;
  handle(SIGUSR1, 0);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  EXPECT(sigprocmask(SIG_BLOCK, &set, &old) == 0);
  raise(SIGUSR1);
  raise(SIGUSR1);
  EQUAL(caught, 0);
  EXPECT(sigpending(&pending) == 0);
  EXPECT(sigismember(&pending, SIGUSR1) == 1);
  EXPECT(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
  // standard signals do not queue
  EQUAL(caught, 1);
  EXPECT(sigpending(&pending) == 0);
  EXPECT(sigismember(&pending, SIGUSR1) == 0);
  FAILS(syscall(SYS_rt_sigprocmask, 77, &set, NULL, 8), EINVAL);
  reset(SIGUSR1);
}

CASE(realtime_signals_queue_in_order) {
  sigset_t set, old;
  handle(SIGRTMIN, SA_SIGINFO);
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, &old);
  for (int i = 1; i <= 3; ++i) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
  EQUAL(caught, 0);
  for (int i = 1; i <= 3; ++i) {
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGRTMIN);
    EQUAL(info.si_value.sival_int, i);
  }
  sigprocmask(SIG_SETMASK, &old, NULL);
  EQUAL(caught, 0);
  reset(SIGRTMIN);
}

static volatile sig_atomic_t depth, max_depth;
static void on_nested(int number) {
  depth = depth + 1;
  if (depth > max_depth) max_depth = depth;
  if (max_depth < 3 && depth < 3) raise(number);
  depth = depth - 1;
  caught = caught + 1;
}

CASE(handler_masks_itself_unless_nodefer) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_nested;
  max_depth = caught = 0;
  sigaction(SIGUSR1, &action, NULL);
  // each run raises once more, which becomes pending and runs after
  action.sa_flags = SA_NODEFER;
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  EQUAL(max_depth, 3);
  reset(SIGUSR1);
}

static volatile sig_atomic_t order[4], order_count;
static void on_order(int number) {
  if (order_count < 4) order[order_count] = number;
  order_count = order_count + 1;
  if (number == SIGUSR1) raise(SIGUSR2);
  if (order_count < 4) order[order_count] = -number;
  order_count = order_count + 1;
}

CASE(sa_mask_defers_others) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_order;
  sigaddset(&action.sa_mask, SIGUSR2);
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
  order_count = 0;
  raise(SIGUSR1);
  EQUAL(order_count, 4);
  EQUAL(order[0], SIGUSR1);
  EQUAL(order[1], -SIGUSR1);
  EQUAL(order[2], SIGUSR2);
  EQUAL(order[3], -SIGUSR2);
  reset(SIGUSR1);
  reset(SIGUSR2);
}

CASE(resethand) {
  handle(SIGUSR1, SA_RESETHAND);
  raise(SIGUSR1);
  EQUAL(caught, 1);
  struct sigaction old;
  EXPECT(sigaction(SIGUSR1, NULL, &old) == 0);
  EXPECT(old.sa_handler == SIG_DFL);
}

CASE(ignored_signals) {
  signal(SIGUSR1, SIG_IGN);
  EXPECT(raise(SIGUSR1) == 0);
  signal(SIGCHLD, SIG_DFL);
  EXPECT(raise(SIGCHLD) == 0);
  EXPECT(raise(SIGWINCH) == 0);
  EXPECT(raise(SIGURG) == 0);
  EXPECT(raise(SIGCONT) == 0);
  reset(SIGUSR1);
}

CASE(alternate_stack) {
  static char area[64 * 1024];
  stack_t stack = {.ss_sp = area, .ss_size = sizeof area}, old;
  EXPECT(sigaltstack(NULL, &old) == 0);
  EXPECT(old.ss_flags & SS_DISABLE);
  EXPECT(sigaltstack(&stack, NULL) == 0);
  handle(SIGUSR1, SA_SIGINFO | SA_ONSTACK);
  raise(SIGUSR1);
  EXPECT(caught_stack >= (uintptr_t)area && caught_stack < (uintptr_t)area + sizeof area);
  handle(SIGUSR1, SA_SIGINFO);
  raise(SIGUSR1);
  EXPECT(caught_stack < (uintptr_t)area || caught_stack >= (uintptr_t)area + sizeof area);
  EXPECT(sigaltstack(NULL, &old) == 0);
  EXPECT(old.ss_sp == area);
  EQUAL(old.ss_flags, 0);
  stack.ss_size = 100;
  FAILS(sigaltstack(&stack, NULL), ENOMEM);
  stack.ss_flags = 0x55;
  FAILS(sigaltstack(&stack, NULL), EINVAL);
  stack.ss_flags = SS_DISABLE;
  EXPECT(sigaltstack(&stack, NULL) == 0);
  reset(SIGUSR1);
}

static pthread_t main_thread;
static void *poke_main(void *delay) {
  sleep_ms((long)(intptr_t)delay);
  pthread_kill(main_thread, SIGUSR1);
  return NULL;
}

static void poke_after(pthread_t *t, long ms) {
  main_thread = pthread_self();
  REQUIRE(pthread_create(t, NULL, poke_main, (void *)(intptr_t)ms) == 0);
}

CASE(interrupts_a_blocking_read) {
  int p[2];
  char byte;
  pthread_t t;
  REQUIRE(pipe(p) == 0);
  handle(SIGUSR1, 0);
  poke_after(&t, 20);
  FAILS(read(p[0], &byte, 1), EINTR);
  EQUAL(caught, 1);
  pthread_join(t, NULL);
  close(p[0]);
  close(p[1]);
  reset(SIGUSR1);
}

static int restart_pipe[2];
static void *poke_then_write(void *unused) {
  sleep_ms(20);
  pthread_kill(main_thread, SIGUSR1);
  sleep_ms(20);
  if (write(restart_pipe[1], "x", 1) != 1) return (void *)1;
  return unused;
}

CASE(restarts_a_blocking_read) {
  char byte = 0;
  pthread_t t;
  REQUIRE(pipe(restart_pipe) == 0);
  handle(SIGUSR1, SA_RESTART);
  main_thread = pthread_self();
  REQUIRE(pthread_create(&t, NULL, poke_then_write, NULL) == 0);
  EQUAL(read(restart_pipe[0], &byte, 1), 1);
  EQUAL(byte, 'x');
  EQUAL(caught, 1);
  pthread_join(t, NULL);
  close(restart_pipe[0]);
  close(restart_pipe[1]);
  reset(SIGUSR1);
}

CASE(nanosleep_is_interrupted_with_the_rest) {
  pthread_t t;
  struct timespec wanted = {5, 0}, rest = {0, 0};
  handle(SIGUSR1, SA_RESTART);
  poke_after(&t, 20);
  FAILS(nanosleep(&wanted, &rest), EINTR);
  EXPECT(rest.tv_sec == 4 && rest.tv_nsec > 0);
  pthread_join(t, NULL);
  reset(SIGUSR1);
}

CASE(sigsuspend_waits) {
  sigset_t blocked, none, old;
  pthread_t t;
  handle(SIGUSR1, 0);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, &old);
  poke_after(&t, 20);
  sigemptyset(&none);
  FAILS(sigsuspend(&none), EINTR);
  EQUAL(caught, 1);
  sigset_t now;
  sigprocmask(SIG_SETMASK, NULL, &now);
  EXPECT(sigismember(&now, SIGUSR1) == 1);
  sigprocmask(SIG_SETMASK, &old, NULL);
  pthread_join(t, NULL);
  reset(SIGUSR1);
}

CASE(pause_returns) {
  pthread_t t;
  handle(SIGUSR1, SA_RESTART);
  poke_after(&t, 20);
  FAILS(pause(), EINTR);
  EQUAL(caught, 1);
  pthread_join(t, NULL);
  reset(SIGUSR1);
}

CASE(sigtimedwait_takes_or_times_out) {
  sigset_t set, old;
  siginfo_t info;
  struct timespec limit = {0, 20000000};
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, &old);
  FAILS(sigtimedwait(&set, &info, &limit), EAGAIN);
  raise(SIGUSR2);
  EQUAL(sigtimedwait(&set, &info, &limit), SIGUSR2);
  EQUAL(info.si_signo, SIGUSR2);
  pthread_t t;
  poke_after(&t, 20);
  limit.tv_sec = 5;
  EQUAL(sigtimedwait(&set, &info, &limit), SIGUSR1);
  pthread_join(t, NULL);
  limit.tv_nsec = -1;
  FAILS(sigtimedwait(&set, &info, &limit), EINVAL);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

static sigjmp_buf recover;
static volatile uintptr_t recover_rip;
static void on_recover(int number, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  (void)number;
  caught_info = *info;
  recover_rip = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
  siglongjmp(recover, 1);
}

static void recover_from(int number) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_recover;
  action.sa_flags = SA_SIGINFO;
  REQUIRE(sigaction(number, &action, NULL) == 0);
}

CASE(segv_recover) {
  recover_from(SIGSEGV);
  for (int i = 0; i < 5; ++i) {
    if (sigsetjmp(recover, 1) == 0) {
      *(volatile int *)(uintptr_t)(0x100 + i) = 1;
      EXPECT(!"no fault");
    }
    EQUAL(caught_info.si_code, SEGV_MAPERR);
    EQUAL((uintptr_t)caught_info.si_addr, 0x100 + i);
    EXPECT(recover_rip > 0x1000);
  }
}

CASE(division_is_sigfpe) {
  int zero = 0;
  volatile int result = 1;
  recover_from(SIGFPE);
  if (sigsetjmp(recover, 1) == 0) {
    __asm__ volatile("xor %%edx, %%edx; idivl %1" : "+a"(result) : "r"(zero) : "edx", "cc");
    EXPECT(!"no fault");
  }
  EQUAL(caught_info.si_signo, SIGFPE);
  EQUAL(caught_info.si_code, FPE_INTDIV);
  EQUAL((uintptr_t)caught_info.si_addr, recover_rip);
  EQUAL(result, 1);
}

CASE(undefined_instruction_is_sigill) {
  recover_from(SIGILL);
  if (sigsetjmp(recover, 1) == 0) {
    __asm__ volatile("ud2");
    EXPECT(!"no fault");
  }
  EQUAL(caught_info.si_signo, SIGILL);
  EQUAL(caught_info.si_code, ILL_ILLOPN);
  EQUAL((uintptr_t)caught_info.si_addr, recover_rip);
}

CASE(breakpoint_is_sigtrap) {
  handle(SIGTRAP, SA_SIGINFO);
  __asm__ volatile("int3");
  EQUAL(caught, 1);
  EQUAL(caught_info.si_code, SI_KERNEL);
  reset(SIGTRAP);
}

static void on_patch(int number, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  (void)number;
  (void)info;
  u->uc_mcontext.gregs[REG_RIP] += 2;  // ud2 is two bytes long
  u->uc_mcontext.gregs[REG_RBX] = 0x1234567890;
  caught = caught + 1;
}

CASE(handler_changes_registers) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_patch;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, NULL);
  caught = 0;
  long rbx = 0;
  __asm__ volatile("ud2" : "+b"(rbx));
  EQUAL(rbx, 0x1234567890);
  EQUAL(caught, 1);
}

static void on_clobber(int number) {
  (void)number;
  double values[8];
  for (int i = 0; i < 8; ++i) values[i] = i * 1.5 + number;
  for (int i = 0; i < 8; ++i) __asm__ volatile("" ::"x"(values[i]));
  __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm5, %%xmm5; pcmpeqd %%xmm15, %%xmm15" ::: "xmm0", "xmm5", "xmm15");
  caught = caught + 1;
}

CASE(vector_registers_survive) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_clobber;
  sigaction(SIGUSR1, &action, NULL);
  long pid = getpid(), tid = syscall(SYS_gettid), result = SYS_tgkill;
  double in = 3.25, out0, out5, out15;
  __asm__ volatile(
      "movsd %[in], %%xmm0; movsd %[in], %%xmm5; movsd %[in], %%xmm15; syscall;"
      "movsd %%xmm0, %[o0]; movsd %%xmm5, %[o5]; movsd %%xmm15, %[o15]"
      : "+a"(result), [o0] "=m"(out0), [o5] "=m"(out5), [o15] "=m"(out15)
      : "D"(pid), "S"(tid), "d"((long)SIGUSR1), [in] "m"(in)
      : "rcx", "r11", "xmm0", "xmm5", "xmm15", "memory");
  EQUAL(result, 0);
  EXPECT(out0 == 3.25 && out5 == 3.25 && out15 == 3.25);
  reset(SIGUSR1);
}

static atomic_int victim_hit;
static atomic_long victim_tid;
static void on_victim(int number) {
  (void)number;
  if (syscall(SYS_gettid) == atomic_load(&victim_tid)) atomic_fetch_add(&victim_hit, 1);
}

static void *victim(void *unused) {
  atomic_store(&victim_tid, syscall(SYS_gettid));
  while (atomic_load(&victim_hit) < 3) {
  }
  return unused;
}

CASE(signal_to_a_spinning_thread) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_victim;
  sigaction(SIGUSR2, &action, NULL);
  pthread_t t;
  atomic_store(&victim_hit, 0);
  atomic_store(&victim_tid, 0);
  REQUIRE(pthread_create(&t, NULL, victim, NULL) == 0);
  while (atomic_load(&victim_tid) == 0) sleep_ms(1);
  for (int i = 1; i <= 3; ++i) {
    EXPECT(pthread_kill(t, SIGUSR2) == 0);
    for (int j = 0; j < 2000 && atomic_load(&victim_hit) < i; ++j) sleep_ms(1);
    EQUAL(atomic_load(&victim_hit), i);
  }
  atomic_store(&victim_hit, 3);
  pthread_join(t, NULL);
  reset(SIGUSR2);
}

CASE(process_signal_goes_to_a_thread_that_takes_it) {
  sigset_t set, old;
  handle(SIGUSR1, 0);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_t t;
  atomic_store(&victim_hit, 0);
  atomic_store(&victim_tid, 0);
  REQUIRE(pthread_create(&t, NULL, victim, NULL) == 0);
  while (atomic_load(&victim_tid) == 0) sleep_ms(1);
  pthread_sigmask(SIG_BLOCK, &set, &old);
  EXPECT(kill(getpid(), SIGUSR1) == 0);
  for (int i = 0; i < 2000 && caught == 0; ++i) sleep_ms(1);
  EQUAL(caught, 1);
  atomic_store(&victim_hit, 3);
  pthread_join(t, NULL);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  reset(SIGUSR1);
}

CASE(signalfd_reads) {
  sigset_t set, old;
  struct signalfd_siginfo info;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, &old);
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  REQUIRE(fd >= 0);
  FAILS(read(fd, &info, sizeof info), EAGAIN);
  raise(SIGUSR1);
  EQUAL(read(fd, &info, sizeof info), sizeof info);
  EQUAL(info.ssi_signo, SIGUSR1);
  FAILS(read(fd, &info, 10), EINVAL);
  close(fd);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

CASE(interval_timer_and_alarm) {
  handle(SIGALRM, 0);
  struct itimerval timer = {{0, 5000}, {0, 5000}}, old;
  EXPECT(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  for (int i = 0; i < 1000 && caught < 3; ++i) {
    struct timespec ts = {0, 1000000};
    nanosleep(&ts, NULL);
  }
  EXPECT(caught >= 3);
  memset(&timer, 0, sizeof timer);
  EXPECT(setitimer(ITIMER_REAL, &timer, &old) == 0);
  EQUAL(old.it_interval.tv_usec, 5000);
  EQUAL(alarm(100), 0);
  unsigned left = alarm(0);
  EXPECT(left == 100 || left == 99);
  FAILS(setitimer(99, &timer, NULL), EINVAL);
  reset(SIGALRM);
}

CASE(posix_timers) {
  timer_t timer;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  event.sigev_value.sival_int = 99;
  handle(SIGUSR1, SA_SIGINFO);
  REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec when = {{0, 0}, {0, 10000000}};
  EXPECT(timer_settime(timer, 0, &when, NULL) == 0);
  for (int i = 0; i < 1000 && caught == 0; ++i) {
    struct timespec ts = {0, 1000000};
    nanosleep(&ts, NULL);
  }
  EQUAL(caught, 1);
  EQUAL(caught_info.si_code, SI_TIMER);
  EQUAL(caught_info.si_value.sival_int, 99);
  EXPECT(timer_delete(timer) == 0);
  reset(SIGUSR1);
}
