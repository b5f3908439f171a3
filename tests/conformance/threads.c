// POSIX threads over clone, futex, TLS and robust lists.
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

static void sleep_ms(long ms) {
  struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&ts, NULL);
}

static struct timespec in_ms(long ms) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  ts.tv_nsec += ms * 1000000;
  ts.tv_sec += ts.tv_nsec / 1000000000;
  ts.tv_nsec %= 1000000000;
  return ts;
}

static void *give_back(void *argument) { return (void *)((intptr_t)argument * 2); }

CASE(create_join) {
  pthread_t threads[16];
  for (intptr_t i = 0; i < 16; ++i) REQUIRE(pthread_create(&threads[i], NULL, give_back, (void *)i) == 0);
  for (intptr_t i = 0; i < 16; ++i) {
    void *result;
    EXPECT(pthread_join(threads[i], &result) == 0);
    EQUAL((intptr_t)result, i * 2);
  }
}

CASE(create_many_in_turn) {
  for (intptr_t i = 0; i < 300; ++i) {
    pthread_t t;
    void *result;
    REQUIRE(pthread_create(&t, NULL, give_back, (void *)i) == 0);
    REQUIRE(pthread_join(t, &result) == 0);
    REQUIRE((intptr_t)result == i * 2);
  }
}

static _Thread_local int tls_zero;
static _Thread_local int tls_value = 42;
static _Thread_local char tls_big[3000];

static void *use_tls(void *argument) {
  intptr_t bad = tls_zero != 0 || tls_value != 42 || tls_big[2999] != 0;
  tls_zero = (int)(intptr_t)argument;
  tls_value = tls_zero * 3;
  for (int i = 0; i < 50; ++i) {
    sched_yield();
    bad |= tls_zero != (int)(intptr_t)argument || tls_value != tls_zero * 3;
  }
  return (void *)bad;
}

CASE(thread_local_storage) {
  pthread_t threads[8];
  for (intptr_t i = 0; i < 8; ++i) REQUIRE(pthread_create(&threads[i], NULL, use_tls, (void *)(i + 1)) == 0);
  for (int i = 0; i < 8; ++i) {
    void *result;
    EXPECT(pthread_join(threads[i], &result) == 0);
    EQUAL((intptr_t)result, 0);
  }
  EQUAL(tls_value, 42);
}

static pthread_mutex_t counter_mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *count_up(void *unused) {
  for (int i = 0; i < 2000; ++i) {
    pthread_mutex_lock(&counter_mutex);
    long seen = counter;
    if (i % 16 == 0) sched_yield();
    counter = seen + 1;
    pthread_mutex_unlock(&counter_mutex);
  }
  return unused;
}

CASE(mutex_excludes) {
  pthread_t threads[6];
  counter = 0;
  for (int i = 0; i < 6; ++i) REQUIRE(pthread_create(&threads[i], NULL, count_up, NULL) == 0);
  for (int i = 0; i < 6; ++i) EXPECT(pthread_join(threads[i], NULL) == 0);
  EQUAL(counter, 12000);
}

CASE(mutex_kinds) {
  pthread_mutexattr_t attribute;
  pthread_mutex_t mutex;
  pthread_mutexattr_init(&attribute);
  pthread_mutexattr_settype(&attribute, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&mutex, &attribute);
  EQUAL(pthread_mutex_unlock(&mutex), EPERM);
  EQUAL(pthread_mutex_lock(&mutex), 0);
  EQUAL(pthread_mutex_lock(&mutex), EDEADLK);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  pthread_mutex_destroy(&mutex);
  pthread_mutexattr_settype(&attribute, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&mutex, &attribute);
  EQUAL(pthread_mutex_lock(&mutex), 0);
  EQUAL(pthread_mutex_lock(&mutex), 0);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  pthread_mutex_destroy(&mutex);
}

static void *try_timed(void *mutex) {
  struct timespec until = in_ms(30);
  return (void *)(intptr_t)pthread_mutex_timedlock(mutex, &until);
}

CASE(mutex_timed) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_t t;
  void *result;
  pthread_mutex_lock(&mutex);
  REQUIRE(pthread_create(&t, NULL, try_timed, &mutex) == 0);
  pthread_join(t, &result);
  EQUAL((intptr_t)result, ETIMEDOUT);
  EQUAL(pthread_mutex_trylock(&mutex), EBUSY);
  pthread_mutex_unlock(&mutex);
}

static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static pthread_cond_t queue_emptied = PTHREAD_COND_INITIALIZER;
static int queue_items;
static int queue_taken;

static void *consume(void *unused) {
  for (int i = 0; i < 500; ++i) {
    pthread_mutex_lock(&queue_mutex);
    while (queue_items == 0) pthread_cond_wait(&queue_filled, &queue_mutex);
    queue_items--;
    queue_taken++;
    pthread_cond_signal(&queue_emptied);
    pthread_mutex_unlock(&queue_mutex);
  }
  return unused;
}

CASE(condition_variables) {
  pthread_t threads[3];
  queue_taken = 0;
  for (int i = 0; i < 3; ++i) REQUIRE(pthread_create(&threads[i], NULL, consume, NULL) == 0);
  for (int i = 0; i < 1500; ++i) {
    pthread_mutex_lock(&queue_mutex);
    while (queue_items >= 4) pthread_cond_wait(&queue_emptied, &queue_mutex);
    queue_items++;
    pthread_cond_signal(&queue_filled);
    pthread_mutex_unlock(&queue_mutex);
  }
  for (int i = 0; i < 3; ++i) EXPECT(pthread_join(threads[i], NULL) == 0);
  EQUAL(queue_taken, 1500);
}

static atomic_int released;
static int gate_open;

static void *wait_gate(void *unused) {
  pthread_mutex_lock(&queue_mutex);
  while (!gate_open) pthread_cond_wait(&queue_filled, &queue_mutex);
  pthread_mutex_unlock(&queue_mutex);
  atomic_fetch_add(&released, 1);
  return unused;
}

CASE(condition_broadcast) {
  pthread_t threads[10];
  gate_open = 0;
  atomic_store(&released, 0);
  for (int i = 0; i < 10; ++i) REQUIRE(pthread_create(&threads[i], NULL, wait_gate, NULL) == 0);
  sleep_ms(20);
  EQUAL(atomic_load(&released), 0);
  pthread_mutex_lock(&queue_mutex);
  gate_open = 1;
  pthread_cond_broadcast(&queue_filled);
  pthread_mutex_unlock(&queue_mutex);
  for (int i = 0; i < 10; ++i) EXPECT(pthread_join(threads[i], NULL) == 0);
  EQUAL(atomic_load(&released), 10);
}

CASE(condition_timed) {
  pthread_mutex_lock(&queue_mutex);
  struct timespec until = in_ms(30), before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  EQUAL(pthread_cond_timedwait(&queue_emptied, &queue_mutex, &until), ETIMEDOUT);
  clock_gettime(CLOCK_MONOTONIC, &after);
  pthread_mutex_unlock(&queue_mutex);
  long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
  EXPECT(ms >= 29);
}

static void *die_holding(void *mutex) {
  pthread_mutex_lock(mutex);
  return NULL;
}

CASE(robust_mutex) {
  pthread_mutexattr_t attribute;
  pthread_mutex_t mutex;
  pthread_t t;
  pthread_mutexattr_init(&attribute);
  pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex, &attribute);
  REQUIRE(pthread_create(&t, NULL, die_holding, &mutex) == 0);
  pthread_join(t, NULL);
  // The owner died: by its robust list the kernel marked the mutex.
  EQUAL(pthread_mutex_trylock(&mutex), EOWNERDEAD);
  EQUAL(pthread_mutex_consistent(&mutex), 0);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  EQUAL(pthread_mutex_lock(&mutex), 0);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
}

static void *die_with_waiter(void *mutex) {
  pthread_mutex_lock(mutex);
  sleep_ms(40);
  return NULL;
}

CASE(robust_mutex_wakes_waiter) {
  pthread_mutexattr_t attribute;
  pthread_mutex_t mutex;
  pthread_t t;
  pthread_mutexattr_init(&attribute);
  pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex, &attribute);
  REQUIRE(pthread_create(&t, NULL, die_with_waiter, &mutex) == 0);
  sleep_ms(10);
  EQUAL(pthread_mutex_lock(&mutex), EOWNERDEAD);
  EQUAL(pthread_mutex_consistent(&mutex), 0);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  pthread_join(t, NULL);
}

static void *priority_inherit(void *mutex) {
  pthread_mutex_lock(mutex);
  sleep_ms(20);
  pthread_mutex_unlock(mutex);
  return NULL;
}

CASE(priority_inheritance_mutex) {
  pthread_mutexattr_t attribute;
  pthread_mutex_t mutex;
  pthread_t t;
  pthread_mutexattr_init(&attribute);
  pthread_mutexattr_setprotocol(&attribute, PTHREAD_PRIO_INHERIT);
  REQUIRE(pthread_mutex_init(&mutex, &attribute) == 0);
  REQUIRE(pthread_create(&t, NULL, priority_inherit, &mutex) == 0);
  sleep_ms(5);
  EQUAL(pthread_mutex_lock(&mutex), 0);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  pthread_join(t, NULL);
}

static atomic_int cleaned;
static void clean_up(void *unused) {
  (void)unused;
  atomic_store(&cleaned, 1);
}

static void *sleep_for_ever(void *unused) {
  pthread_cleanup_push(clean_up, NULL);
  for (;;) sleep(100);
  pthread_cleanup_pop(0);
  return unused;
}

CASE(cancellation) {
  pthread_t t;
  void *result;
  atomic_store(&cleaned, 0);
  REQUIRE(pthread_create(&t, NULL, sleep_for_ever, NULL) == 0);
  sleep_ms(10);
  EXPECT(pthread_cancel(t) == 0);
  EXPECT(pthread_join(t, &result) == 0);
  EXPECT(result == PTHREAD_CANCELED);
  EQUAL(atomic_load(&cleaned), 1);
}

static void *spin_cancellable(void *unused) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  for (volatile long i = 0;; i = i + 1) {
  }
  return unused;
}

CASE(asynchronous_cancellation_of_a_spinner) {
  // needs preemption and a signal to another running thread
  pthread_t t;
  void *result;
  REQUIRE(pthread_create(&t, NULL, spin_cancellable, NULL) == 0);
  sleep_ms(10);
  EXPECT(pthread_cancel(t) == 0);
  EXPECT(pthread_join(t, &result) == 0);
  EXPECT(result == PTHREAD_CANCELED);
}

static atomic_int spin_stop;
static void *spin(void *unused) {
  while (!atomic_load(&spin_stop)) {
  }
  return unused;
}

CASE(preemption) {
  // Two spinning threads do not keep this one from running.
  pthread_t a, b;
  atomic_store(&spin_stop, 0);
  REQUIRE(pthread_create(&a, NULL, spin, NULL) == 0);
  REQUIRE(pthread_create(&b, NULL, spin, NULL) == 0);
  for (int i = 0; i < 5; ++i) sleep_ms(2);
  for (volatile int i = 0; i < 1000000; i = i + 1) {
  }
  atomic_store(&spin_stop, 1);
  EXPECT(pthread_join(a, NULL) == 0);
  EXPECT(pthread_join(b, NULL) == 0);
}

static void *detached(void *semaphore) {
  sem_post(semaphore);
  return NULL;
}

CASE(detached_threads) {
  sem_t semaphore;
  pthread_attr_t attribute;
  pthread_t t;
  sem_init(&semaphore, 0, 0);
  pthread_attr_init(&attribute);
  pthread_attr_setdetachstate(&attribute, PTHREAD_CREATE_DETACHED);
  for (int i = 0; i < 20; ++i) REQUIRE(pthread_create(&t, &attribute, detached, &semaphore) == 0);
  for (int i = 0; i < 20; ++i) EXPECT(sem_wait(&semaphore) == 0);
  EQUAL(sem_trywait(&semaphore), -1);
  struct timespec until = in_ms(20);
  FAILS(sem_timedwait(&semaphore, &until), ETIMEDOUT);
}

static pthread_barrier_t barrier;
static atomic_int serial;

static void *meet(void *unused) {
  for (int i = 0; i < 20; ++i) {
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) atomic_fetch_add(&serial, 1);
  }
  return unused;
}

CASE(barriers) {
  pthread_t threads[5];
  pthread_barrier_init(&barrier, NULL, 5);
  atomic_store(&serial, 0);
  for (int i = 0; i < 5; ++i) REQUIRE(pthread_create(&threads[i], NULL, meet, NULL) == 0);
  for (int i = 0; i < 5; ++i) EXPECT(pthread_join(threads[i], NULL) == 0);
  EQUAL(atomic_load(&serial), 20);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long rw_a, rw_b;
static atomic_int rw_torn;

static void *rw_user(void *writer) {
  for (int i = 0; i < 500; ++i) {
    if (writer != NULL) {
      pthread_rwlock_wrlock(&rwlock);
      rw_a++;
      if (i % 10 == 0) sched_yield();
      rw_b++;
    } else {
      pthread_rwlock_rdlock(&rwlock);
      if (rw_a != rw_b) atomic_fetch_add(&rw_torn, 1);
    }
    pthread_rwlock_unlock(&rwlock);
  }
  return NULL;
}

CASE(read_write_locks) {
  pthread_t threads[6];
  for (int i = 0; i < 6; ++i) REQUIRE(pthread_create(&threads[i], NULL, rw_user, i % 3 ? NULL : &rwlock) == 0);
  for (int i = 0; i < 6; ++i) EXPECT(pthread_join(threads[i], NULL) == 0);
  EQUAL(atomic_load(&rw_torn), 0);
  EQUAL(rw_a, 1000);
}

static void *own_ids(void *out) {
  *(long *)out = syscall(SYS_gettid);
  return (void *)(intptr_t)getpid();
}

CASE(ids) {
  pthread_t t;
  void *pid;
  long tid = 0;
  EQUAL(syscall(SYS_gettid), getpid());
  REQUIRE(pthread_create(&t, NULL, own_ids, &tid) == 0);
  pthread_join(t, &pid);
  EQUAL((intptr_t)pid, getpid());
  EXPECT(tid != getpid() && tid > 0);
}

static void *make_key_value(void *key) {
  pthread_setspecific(*(pthread_key_t *)key, (void *)1);
  return NULL;
}

static atomic_int destroyed;
static void destroy_value(void *value) { atomic_fetch_add(&destroyed, (int)(intptr_t)value); }

CASE(key_destructors) {
  pthread_key_t key;
  pthread_t threads[4];
  atomic_store(&destroyed, 0);
  REQUIRE(pthread_key_create(&key, destroy_value) == 0);
  for (int i = 0; i < 4; ++i) REQUIRE(pthread_create(&threads[i], NULL, make_key_value, &key) == 0);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  EQUAL(atomic_load(&destroyed), 4);
}

static void *stack_use(void *unused) {
  volatile char big[300 * 1024];
  for (size_t i = 0; i < sizeof big; i += 4096) big[i] = (char)i;
  return unused;
}

CASE(stack_sizes) {
  pthread_attr_t attribute;
  pthread_t t;
  pthread_attr_init(&attribute);
  EXPECT(pthread_attr_setstacksize(&attribute, 512 * 1024) == 0);
  REQUIRE(pthread_create(&t, &attribute, stack_use, NULL) == 0);
  EXPECT(pthread_join(t, NULL) == 0);
}

CASE(affinity_and_scheduling) {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT(sched_getaffinity(0, sizeof set, &set) == 0);
  EXPECT(CPU_COUNT(&set) >= 1);
  EXPECT(CPU_ISSET(sched_getcpu(), &set));
  EXPECT(sched_setaffinity(0, sizeof set, &set) == 0);
  CPU_ZERO(&set);
  FAILS(sched_setaffinity(0, sizeof set, &set), EINVAL);
  EQUAL(sched_getscheduler(0), SCHED_OTHER);
  struct sched_param param;
  EXPECT(sched_getparam(0, &param) == 0);
  EQUAL(param.sched_priority, 0);
  EQUAL(sched_get_priority_max(SCHED_FIFO), 99);
  EQUAL(sched_get_priority_min(SCHED_OTHER), 0);
}
