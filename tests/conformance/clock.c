// Clocks and sleeping.
#include "check.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

static long long ns(struct timespec ts) { return ts.tv_sec * 1000000000LL + ts.tv_nsec; }

static long long now_ns(clockid_t clock) {
  struct timespec ts;
  REQUIRE(clock_gettime(clock, &ts) == 0);
  return ns(ts);
}

CASE(clocks_exist) {
  static const clockid_t kClocks[] = {CLOCK_REALTIME,        CLOCK_MONOTONIC,        CLOCK_PROCESS_CPUTIME_ID,
                                      CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,  CLOCK_REALTIME_COARSE,
                                      CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
  for (size_t i = 0; i < sizeof kClocks / sizeof *kClocks; ++i) {
    struct timespec ts = {-1, -1};
    EXPECT(clock_gettime(kClocks[i], &ts) == 0);
    EXPECT(ts.tv_sec >= 0 && ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
    EXPECT(clock_getres(kClocks[i], &ts) == 0);
    EXPECT(ts.tv_sec == 0 && ts.tv_nsec > 0);
    // the system call agrees with the vDSO
    EXPECT(syscall(SYS_clock_gettime, kClocks[i], &ts) == 0);
  }
  struct timespec ts;
  FAILS(clock_gettime(99, &ts), EINVAL);
  FAILS(clock_getres(99, &ts), EINVAL);
}

CASE(vdso_and_system_call_agree) {
  for (int i = 0; i < 100; ++i) {
    struct timespec a, b, c;
    clock_gettime(CLOCK_MONOTONIC, &a);
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &b);
    clock_gettime(CLOCK_MONOTONIC, &c);
    EXPECT(ns(a) <= ns(b) && ns(b) <= ns(c));
  }
}

CASE(monotonic_never_goes_back) {
  long long last = now_ns(CLOCK_MONOTONIC);
  int back = 0;
  for (int i = 0; i < 20000; ++i) {
    long long now = now_ns(CLOCK_MONOTONIC);
    back += now < last;
    last = now;
  }
  EQUAL(back, 0);
}

CASE(realtime_is_sane) {
  // 2020-01-01 to 2100-01-01
  time_t now = time(NULL);
  EXPECT(now > 1577836800 && now < 4102444800);
  struct timeval tv;
  EXPECT(gettimeofday(&tv, NULL) == 0);
  EXPECT(tv.tv_sec - now <= 1 && tv.tv_sec >= now);
  EXPECT(tv.tv_usec >= 0 && tv.tv_usec < 1000000);
}

CASE(nanosleep_sleeps) {
  struct timespec wanted = {0, 20000000};
  long long start = now_ns(CLOCK_MONOTONIC);
  EXPECT(nanosleep(&wanted, NULL) == 0);
  long long slept = now_ns(CLOCK_MONOTONIC) - start;
  EXPECT(slept >= 20000000);
  EXPECT(slept < 2000000000);
  wanted.tv_nsec = 0;
  EXPECT(nanosleep(&wanted, NULL) == 0);
  wanted.tv_nsec = 1000000000;
  FAILS(nanosleep(&wanted, NULL), EINVAL);
  wanted.tv_nsec = 0;
  wanted.tv_sec = -1;
  FAILS(nanosleep(&wanted, NULL), EINVAL);
}

CASE(clock_nanosleep_absolute) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += 20000000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  EQUAL(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
  EXPECT(now_ns(CLOCK_MONOTONIC) >= ns(until));
  EQUAL(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
  clock_gettime(CLOCK_REALTIME, &until);
  EQUAL(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL), 0);
  EQUAL(clock_nanosleep(99, 0, &until, NULL), EINVAL);
}

CASE(sleep_accuracy_is_coarse_but_fair) {
  struct timespec wanted = {0, 1000000};
  long long start = now_ns(CLOCK_MONOTONIC);
  for (int i = 0; i < 20; ++i) nanosleep(&wanted, NULL);
  long long slept = now_ns(CLOCK_MONOTONIC) - start;
  EXPECT(slept >= 20000000);
  EXPECT(slept < 2000000000);
}

CASE(realtime_and_monotonic_run_together) {
  long long r = now_ns(CLOCK_REALTIME), m = now_ns(CLOCK_MONOTONIC);
  struct timespec wanted = {0, 30000000};
  nanosleep(&wanted, NULL);
  long long dr = now_ns(CLOCK_REALTIME) - r, dm = now_ns(CLOCK_MONOTONIC) - m;
  EXPECT(dr - dm < 5000000 && dm - dr < 5000000);
}

CASE(cpu_time_advances_with_work) {
  long long p = now_ns(CLOCK_PROCESS_CPUTIME_ID), t = now_ns(CLOCK_THREAD_CPUTIME_ID);
  for (volatile int i = 0; i < 3000000; i = i + 1) {
  }
  EXPECT(now_ns(CLOCK_PROCESS_CPUTIME_ID) > p);
  EXPECT(now_ns(CLOCK_THREAD_CPUTIME_ID) > t);
  p = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  struct timespec wanted = {0, 50000000};
  nanosleep(&wanted, NULL);
  EXPECT(now_ns(CLOCK_PROCESS_CPUTIME_ID) - p < 40000000);
  struct tms tms;
  EXPECT(times(&tms) != (clock_t)-1);
}

static void *nap(void *unused) {
  struct timespec wanted = {0, 30000000};
  nanosleep(&wanted, NULL);
  return unused;
}

CASE(sleeps_overlap) {
  pthread_t threads[10];
  long long start = now_ns(CLOCK_MONOTONIC);
  for (int i = 0; i < 10; ++i) REQUIRE(pthread_create(&threads[i], NULL, nap, NULL) == 0);
  for (int i = 0; i < 10; ++i) pthread_join(threads[i], NULL);
  long long took = now_ns(CLOCK_MONOTONIC) - start;
  EXPECT(took >= 30000000 && took < 290000000);
}
