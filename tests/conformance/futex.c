// The futex system call itself.
#include "check.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

static long futex(void *word, int operation, unsigned value, void *timeout, void *second, unsigned third) {
  return syscall(SYS_futex, word, operation, value, timeout, second, third);
}

static void sleep_ms(long ms) {
  struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&ts, NULL);
}

static long now_ms(clockid_t clock) {
  struct timespec ts;
  clock_gettime(clock, &ts);
  return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static atomic_uint word, other;
static atomic_int awake;

CASE(wait_compares) {
  atomic_store(&word, 5);
  FAILS(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
  FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 6, NULL, NULL, 0), EAGAIN);
  EQUAL(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
}

CASE(wait_times_out) {
  struct timespec relative = {0, 25000000};
  atomic_store(&word, 5);
  long start = now_ms(CLOCK_MONOTONIC);
  FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 5, &relative, NULL, 0), ETIMEDOUT);
  EXPECT(now_ms(CLOCK_MONOTONIC) - start >= 24);
  relative.tv_nsec = 0;
  FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 5, &relative, NULL, 0), ETIMEDOUT);
  relative.tv_nsec = 1000000000;
  FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 5, &relative, NULL, 0), EINVAL);
  relative.tv_nsec = -1;
  FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 5, &relative, NULL, 0), EINVAL);
}

CASE(wait_bitset_is_absolute) {
  struct timespec until;
  atomic_store(&word, 5);
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += 25000000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  long start = now_ms(CLOCK_MONOTONIC);
  FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 5, &until, NULL, ~0u), ETIMEDOUT);
  EXPECT(now_ms(CLOCK_MONOTONIC) - start >= 23);
  clock_gettime(CLOCK_REALTIME, &until);
  FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &until, NULL, ~0u), ETIMEDOUT);
  until.tv_sec -= 1000;
  FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &until, NULL, ~0u), ETIMEDOUT);
  FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 5, &until, NULL, 0), EINVAL);
}

CASE(errors) {
  FAILS(futex((char *)&word + 1, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
  FAILS(futex((char *)&word + 1, FUTEX_WAKE, 0, NULL, NULL, 0), EINVAL);
  FAILS(futex((void *)0x1000, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EFAULT);
  FAILS(futex((void *)0xffffffff80000000, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EFAULT);
  FAILS(futex(&word, 99, 0, NULL, NULL, 0), ENOSYS);
  FAILS(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
}

static void *waiter(void *bits) {
  while (futex(&word, bits ? FUTEX_WAIT_BITSET_PRIVATE : FUTEX_WAIT_PRIVATE, 7, NULL, NULL,
               (unsigned)(uintptr_t)bits) != 0) {
  }
  atomic_fetch_add(&awake, 1);
  return NULL;
}

static void start_waiters(pthread_t *threads, int count, void *bits) {
  atomic_store(&word, 7);
  atomic_store(&awake, 0);
  for (int i = 0; i < count; ++i) REQUIRE(pthread_create(&threads[i], NULL, waiter, bits) == 0);
  sleep_ms(30);
}

CASE(wake_counts) {
  pthread_t threads[5];
  start_waiters(threads, 5, NULL);
  EQUAL(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
  sleep_ms(20);
  EQUAL(atomic_load(&awake), 2);
  EQUAL(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 3);
  for (int i = 0; i < 5; ++i) pthread_join(threads[i], NULL);
  EQUAL(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
}

CASE(bitset_selects) {
  pthread_t a, b;
  start_waiters(&a, 1, (void *)1);
  REQUIRE(pthread_create(&b, NULL, waiter, (void *)2) == 0);
  sleep_ms(20);
  EQUAL(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), 0);
  EQUAL(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2), 1);
  pthread_join(b, NULL);
  EQUAL(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 3), 1);
  pthread_join(a, NULL);
}

CASE(requeue) {
  pthread_t threads[4];
  start_waiters(threads, 4, NULL);
  FAILS(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &other, 99), EAGAIN);
  // wakes one, moves two: the count is of both
  EQUAL(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &other, 7), 3);
  sleep_ms(20);
  EQUAL(atomic_load(&awake), 1);
  EQUAL(futex(&other, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 2);
  EQUAL(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
}

CASE(wake_op) {
  pthread_t threads[2];
  start_waiters(threads, 2, NULL);
  atomic_store(&other, 10);
  // other += 5; wake one of word; if the old value was 10, wake of other too (nobody waits there)
  unsigned operation = FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 10);
  EQUAL(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &other, operation), 1);
  EQUAL(atomic_load(&other), 15);
  EQUAL(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
}

CASE(shared_keys) {
  // A shared futex is known by its memory, not by its address.
  char *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(a != MAP_FAILED);
  char *b = mremap(a, 0, 4096, MREMAP_MAYMOVE);
  REQUIRE(b != MAP_FAILED && b != a);
  EQUAL(futex(a, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
  EQUAL(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
  munmap(a, 4096);
  munmap(b, 4096);
}

static void *shared_waiter(void *address) {
  struct timespec limit = {5, 0};
  return (void *)futex(address, FUTEX_WAIT, 0, &limit, NULL, 0);
}

CASE(shared_wake_through_other_mapping) {
  char *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(a != MAP_FAILED);
  char *b = mremap(a, 0, 4096, MREMAP_MAYMOVE);
  REQUIRE(b != MAP_FAILED && b != a);
  pthread_t t;
  void *result;
  REQUIRE(pthread_create(&t, NULL, shared_waiter, a) == 0);
  sleep_ms(30);
  EQUAL(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
  pthread_join(t, &result);
  EQUAL((long)result, 0);
  munmap(a, 4096);
  munmap(b, 4096);
}

CASE(priority_inheritance) {
  atomic_uint pi = 0;
  EQUAL(futex(&pi, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  EQUAL(atomic_load(&pi) & FUTEX_TID_MASK, syscall(SYS_gettid));
  FAILS(futex(&pi, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
  EQUAL(futex(&pi, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  EQUAL(atomic_load(&pi), 0);
  FAILS(futex(&pi, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
}

CASE(robust_list_calls) {
  void *head = NULL;
  size_t length = 0;
  EXPECT(syscall(SYS_get_robust_list, 0, &head, &length) == 0);
  EXPECT(head != NULL);
  EQUAL(length, 24);
  FAILS(syscall(SYS_set_robust_list, head, 10), EINVAL);
  EXPECT(syscall(SYS_set_robust_list, head, 24) == 0);
}
