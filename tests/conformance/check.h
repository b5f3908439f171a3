// The frame of a conformance test: cases, expectations, TAP lines.
//
// A family is one C file: CASE(name) { … } blocks, and nothing else. It prints `ok N - name` or `not ok N - name`
// for each case, `# …` lines saying what was expected, and at the end `1..N` and one plain line `ok` or `not ok`.
// Exit status 0 or 1. Arguments select cases by name. A case which faults counts as failed and the next one runs.
// The same binary runs on Linux first, where it must pass, and then in the guest. The working directory is
// a writable scratch folder which holds fixture/ (see run_conformance.py).
#ifndef KILN_TESTS_CONFORMANCE_CHECK_H
#define KILN_TESTS_CONFORMANCE_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct check_case {
  const char *name;
  void (*run)(void);
  struct check_case *next;
};

static struct check_case *check_first;
static struct check_case **check_last = &check_first;
static int check_failures;
static sigjmp_buf check_leave;

#define CASE(identifier)                                                                      \
  static void case_##identifier(void);                                                        \
  static struct check_case entry_##identifier = {#identifier, case_##identifier, NULL};       \
  __attribute__((constructor)) static void register_##identifier(void) {                      \
    *check_last = &entry_##identifier;                                                        \
    check_last = &entry_##identifier.next;                                                    \
  }                                                                                           \
  static void case_##identifier(void)

// The condition holds, or the case fails and goes on.
#define EXPECT(condition)                                                                           \
  do {                                                                                              \
    errno = 0;                                                                                      \
    if (!(condition)) {                                                                             \
      int saved_errno_ = errno;                                                                     \
      check_failures++;                                                                             \
      printf("# %s:%d: %s (errno %d %s)\n", __FILE__, __LINE__, #condition, saved_errno_,          \
             strerror(saved_errno_));                                                               \
    }                                                                                               \
  } while (0)

// Two integers are equal.
#define EQUAL(actual, expected)                                                                     \
  do {                                                                                              \
    errno = 0;                                                                                      \
    long long actual_ = (long long)(actual);                                                        \
    int saved_errno_ = errno;                                                                       \
    long long expected_ = (long long)(expected);                                                    \
    if (actual_ != expected_) {                                                                     \
      check_failures++;                                                                             \
      printf("# %s:%d: %s is %lld (%#llx), expected %lld (%#llx) (errno %d %s)\n", __FILE__,       \
             __LINE__, #actual, actual_, actual_, expected_, expected_, saved_errno_,               \
             strerror(saved_errno_));                                                               \
    }                                                                                               \
  } while (0)

// The call returns -1 with this errno.
#define FAILS(call, wanted)                                                                         \
  do {                                                                                              \
    errno = 0;                                                                                      \
    long long result_ = (long long)(call);                                                          \
    int saved_errno_ = errno;                                                                       \
    if (result_ != -1 || saved_errno_ != (wanted)) {                                                \
      check_failures++;                                                                             \
      printf("# %s:%d: %s returned %lld errno %d (%s), expected -1 %s\n", __FILE__, __LINE__,      \
             #call, result_, saved_errno_, strerror(saved_errno_), #wanted);                        \
    }                                                                                               \
  } while (0)

// The condition holds, or the case ends here.
#define REQUIRE(condition)                                                                          \
  do {                                                                                              \
    errno = 0;                                                                                      \
    if (!(condition)) {                                                                             \
      int saved_errno_ = errno;                                                                     \
      check_failures++;                                                                             \
      printf("# %s:%d: required: %s (errno %d %s)\n", __FILE__, __LINE__, #condition,              \
             saved_errno_, strerror(saved_errno_));                                                 \
      siglongjmp(check_leave, 1);                                                                   \
    }                                                                                               \
  } while (0)

static void check_fault(int number, siginfo_t *info, void *context) {
  (void)context;
  char text[120];
  int n = snprintf(text, sizeof text, "# unexpected signal %d code %d address %p\n", number,
                   info->si_code, info->si_addr);
  if (n > 0 && write(1, text, (size_t)n) < 0) _exit(3);
  check_failures++;
  siglongjmp(check_leave, 1);
}

static void check_catch_faults(void) {
  static const int kFaults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  for (size_t i = 0; i < sizeof kFaults / sizeof *kFaults; ++i) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = check_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(kFaults[i], &action, NULL);
  }
}

// In a function of its own: sigsetjmp returns twice.
static void __attribute__((noinline)) check_run(const struct check_case *c) {
  check_failures = 0;
  check_catch_faults();
  if (sigsetjmp(check_leave, 1) == 0) c->run();
}

int main(int argc, char **argv) {
  int number = 0;
  int failed = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (struct check_case *c = check_first; c != NULL; c = c->next) {
    int wanted = argc < 2;
    for (int i = 1; i < argc; ++i) wanted |= strcmp(argv[i], c->name) == 0;
    if (!wanted) continue;
    number++;
    check_run(c);
    if (check_failures != 0) failed++;
    printf("%s %d - %s\n", check_failures != 0 ? "not ok" : "ok", number, c->name);
  }
  printf("1..%d\n%s\n", number, failed != 0 || number == 0 ? "not ok" : "ok");
  return failed != 0 || number == 0;
}

#endif
