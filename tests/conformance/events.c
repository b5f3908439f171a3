// Pipes, poll, select, epoll, eventfd, timerfd.
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

static long now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(long ms) {
  struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&ts, NULL);
}

CASE(pipe_basics) {
  int p[2];
  char buffer[16];
  struct stat st;
  REQUIRE(pipe(p) == 0);
  EQUAL(write(p[1], "hello", 5), 5);
  EQUAL(read(p[0], buffer, 3), 3);
  EQUAL(read(p[0], buffer, 16), 2);
  FAILS(write(p[0], "x", 1), EBADF);
  FAILS(read(p[1], buffer, 1), EBADF);
  EXPECT(fstat(p[0], &st) == 0);
  EXPECT(S_ISFIFO(st.st_mode));
  int n = -1;
  EQUAL(write(p[1], "abc", 3), 3);
  EXPECT(ioctl(p[0], FIONREAD, &n) == 0);
  EQUAL(n, 3);
  close(p[1]);
  EQUAL(read(p[0], buffer, 16), 3);
  EQUAL(read(p[0], buffer, 16), 0);
  close(p[0]);
  FAILS(syscall(SYS_pipe2, p, 0x1000000), EINVAL);
}

CASE(pipe_nonblocking_and_capacity) {
  int p[2];
  static char block[4096];
  REQUIRE(pipe2(p, O_NONBLOCK | O_CLOEXEC) == 0);
  EQUAL(fcntl(p[0], F_GETFD), FD_CLOEXEC);
  FAILS(read(p[0], block, 1), EAGAIN);
  long total = 0;
  ssize_t n;
  while ((n = write(p[1], block, sizeof block)) > 0) total += n;
  FAILS(write(p[1], block, 1), EAGAIN);
  EQUAL(total, 65536);
  EQUAL(fcntl(p[1], F_GETPIPE_SZ), 65536);
  // A write of at most PIPE_BUF is all or nothing.
  EQUAL(read(p[0], block, 100), 100);
  FAILS(write(p[1], block, 4096), EAGAIN);
  close(p[0]);
  close(p[1]);
}

CASE(pipe_without_reader) {
  int p[2];
  REQUIRE(pipe(p) == 0);
  close(p[0]);
  signal(SIGPIPE, SIG_IGN);
  FAILS(write(p[1], "x", 1), EPIPE);
  signal(SIGPIPE, SIG_DFL);
  close(p[1]);
}

static void *write_slowly(void *argument) {
  int fd = *(int *)argument;
  sleep_ms(20);
  for (int i = 0; i < 300; ++i) {
    static char data[1000];
    memset(data, 'a' + i % 26, sizeof data);
    if (write(fd, data, sizeof data) != (ssize_t)sizeof data) return (void *)1;
  }
  close(fd);
  return NULL;
}

CASE(pipe_blocks_between_threads) {
  int p[2];
  pthread_t t;
  void *result;
  REQUIRE(pipe(p) == 0);
  REQUIRE(pthread_create(&t, NULL, write_slowly, &p[1]) == 0);
  char buffer[777];
  long total = 0;
  ssize_t n;
  int wrong = 0;
  while ((n = read(p[0], buffer, sizeof buffer)) > 0) {
    for (ssize_t i = 0; i < n; ++i) wrong += buffer[i] != 'a' + (total + i) / 1000 % 26;
    total += n;
  }
  EQUAL(n, 0);
  EQUAL(total, 300000);
  EQUAL(wrong, 0);
  pthread_join(t, &result);
  EQUAL((long)result, 0);
  close(p[0]);
}

CASE(poll_states) {
  int p[2];
  char byte;
  REQUIRE(pipe(p) == 0);
  struct pollfd fds[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {-1, POLLIN, 5}};
  EQUAL(poll(fds, 3, 0), 1);
  EQUAL(fds[0].revents, 0);
  EQUAL(fds[1].revents, POLLOUT);
  EQUAL(fds[2].revents, 0);
  EQUAL(write(p[1], "x", 1), 1);
  EQUAL(poll(fds, 1, -1), 1);
  EQUAL(fds[0].revents, POLLIN);
  EQUAL(read(p[0], &byte, 1), 1);
  close(p[1]);
  EQUAL(poll(fds, 1, -1), 1);
  EQUAL(fds[0].revents, POLLHUP);
  fds[1].fd = 1000;
  EQUAL(poll(fds + 1, 1, -1), 1);
  EQUAL(fds[1].revents, POLLNVAL);
  close(p[0]);
  int file = open("fixture/file.txt", O_RDONLY);
  fds[0] = (struct pollfd){file, POLLIN | POLLOUT, 0};
  EQUAL(poll(fds, 1, -1), 1);
  EQUAL(fds[0].revents, POLLIN | POLLOUT);
  close(file);
}

CASE(poll_timeout) {
  long start = now_ms();
  EQUAL(poll(NULL, 0, 30), 0);
  EXPECT(now_ms() - start >= 29);
  struct timespec ts = {0, 30000000};
  start = now_ms();
  EQUAL(ppoll(NULL, 0, &ts, NULL), 0);
  EXPECT(now_ms() - start >= 29);
  ts.tv_nsec = -1;
  FAILS(ppoll(NULL, 0, &ts, NULL), EINVAL);
}

static void *write_later(void *argument) {
  sleep_ms(25);
  return (void *)write(*(int *)argument, "12345678", 8);
}

CASE(poll_wakes) {
  int p[2];
  pthread_t t;
  REQUIRE(pipe(p) == 0);
  REQUIRE(pthread_create(&t, NULL, write_later, &p[1]) == 0);
  struct pollfd fd = {p[0], POLLIN, 0};
  EQUAL(poll(&fd, 1, 5000), 1);
  EQUAL(fd.revents, POLLIN);
  pthread_join(t, NULL);
  close(p[0]);
  close(p[1]);
}

CASE(select_sets) {
  int p[2];
  fd_set in, out;
  REQUIRE(pipe(p) == 0);
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(p[0], &in);
  FD_SET(p[1], &out);
  struct timeval limit = {0, 0};
  EQUAL(select(p[1] + 1, &in, &out, NULL, &limit), 1);
  EXPECT(!FD_ISSET(p[0], &in));
  EXPECT(FD_ISSET(p[1], &out));
  FD_SET(p[0], &in);
  limit.tv_usec = 30000;
  long start = now_ms();
  EQUAL(select(p[0] + 1, &in, NULL, NULL, &limit), 0);
  EXPECT(now_ms() - start >= 29);
  EQUAL(write(p[1], "x", 1), 1);
  FD_SET(p[0], &in);
  EQUAL(select(p[0] + 1, &in, NULL, NULL, NULL), 1);
  EXPECT(FD_ISSET(p[0], &in));
  FD_ZERO(&in);
  int closed = dup(p[0]);
  EXPECT(close(closed) == 0);
  FD_SET(closed, &in);
  FAILS(select(closed + 1, &in, NULL, NULL, NULL), EBADF);
  FAILS(select(-1, NULL, NULL, NULL, NULL), EINVAL);
  struct timespec ts = {0, 0};
  FD_ZERO(&in);
  FD_SET(p[0], &in);
  EQUAL(pselect(p[0] + 1, &in, NULL, NULL, &ts, NULL), 1);
  close(p[0]);
  close(p[1]);
}

CASE(epoll_level_and_edge) {
  int p[2];
  char buffer[16];
  struct epoll_event event, events[4];
  int ep = epoll_create1(EPOLL_CLOEXEC);
  REQUIRE(ep >= 0 && pipe(p) == 0);
  event = (struct epoll_event){EPOLLIN, {.u64 = 0x123456789abcdef0}};
  EXPECT(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event) == 0);
  FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event), EEXIST);
  EQUAL(epoll_wait(ep, events, 4, 0), 0);
  EQUAL(write(p[1], "abcd", 4), 4);
  EQUAL(epoll_wait(ep, events, 4, -1), 1);
  EQUAL(events[0].events, EPOLLIN);
  EQUAL(events[0].data.u64, 0x123456789abcdef0);
  EQUAL(epoll_wait(ep, events, 4, 0), 1);
  event.events = EPOLLIN | EPOLLET;
  EXPECT(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event) == 0);
  EQUAL(epoll_wait(ep, events, 4, 0), 1);
  EQUAL(epoll_wait(ep, events, 4, 0), 0);
  EQUAL(write(p[1], "e", 1), 1);
  EQUAL(epoll_wait(ep, events, 4, 0), 1);
  EQUAL(epoll_wait(ep, events, 4, 0), 0);
  EQUAL(read(p[0], buffer, 16), 5);
  event.events = EPOLLIN | EPOLLONESHOT;
  EXPECT(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event) == 0);
  EQUAL(write(p[1], "f", 1), 1);
  EQUAL(epoll_wait(ep, events, 4, 0), 1);
  EQUAL(write(p[1], "g", 1), 1);
  EQUAL(epoll_wait(ep, events, 4, 0), 0);
  EXPECT(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event) == 0);
  EQUAL(epoll_wait(ep, events, 4, 0), 1);
  EXPECT(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL) == 0);
  FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL), ENOENT);
  FAILS(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event), ENOENT);
  close(p[0]);
  close(p[1]);
  close(ep);
}

CASE(epoll_errors) {
  struct epoll_event event = {EPOLLIN, {.fd = 0}}, events[1];
  int ep = epoll_create1(0);
  REQUIRE(ep >= 0);
  int file = open("fixture/file.txt", O_RDONLY);
  FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, file, &event), EPERM);
  FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &event), EINVAL);
  FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, 1000, &event), EBADF);
  FAILS(epoll_ctl(1000, EPOLL_CTL_ADD, 0, &event), EBADF);
  FAILS(epoll_ctl(file, EPOLL_CTL_ADD, ep, &event), EINVAL);
  FAILS(epoll_wait(ep, events, 0, 0), EINVAL);
  FAILS(epoll_wait(file, events, 1, 0), EINVAL);
  FAILS(epoll_create1(0x1000), EINVAL);
  FAILS(epoll_create(0), EINVAL);
  close(file);
  close(ep);
}

CASE(epoll_closed_descriptor_leaves) {
  int p[2];
  struct epoll_event event = {EPOLLIN, {.fd = 0}}, events[4];
  int ep = epoll_create1(0);
  REQUIRE(ep >= 0 && pipe(p) == 0);
  EXPECT(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event) == 0);
  EQUAL(write(p[1], "x", 1), 1);
  close(p[0]);
  EQUAL(epoll_wait(ep, events, 4, 0), 0);
  close(p[1]);
  close(ep);
}

CASE(epoll_wakes_and_hangs_up) {
  int p[2];
  pthread_t t;
  struct epoll_event event = {EPOLLIN, {.fd = 7}}, events[4];
  int ep = epoll_create1(0);
  REQUIRE(ep >= 0 && pipe(p) == 0);
  EXPECT(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event) == 0);
  REQUIRE(pthread_create(&t, NULL, write_later, &p[1]) == 0);
  EQUAL(epoll_wait(ep, events, 4, 5000), 1);
  EQUAL(events[0].data.fd, 7);
  pthread_join(t, NULL);
  long start = now_ms();
  char buffer[8];
  EQUAL(read(p[0], buffer, 8), 8);
  EQUAL(epoll_wait(ep, events, 4, 25), 0);
  EXPECT(now_ms() - start >= 24);
  close(p[1]);
  EQUAL(epoll_wait(ep, events, 4, -1), 1);
  EQUAL(events[0].events, EPOLLHUP);
  close(p[0]);
  close(ep);
}

CASE(epoll_nests) {
  int inner = epoll_create1(0), outer = epoll_create1(0);
  int fd = eventfd(0, 0);
  struct epoll_event event = {EPOLLIN, {.fd = 1}}, events[2];
  REQUIRE(inner >= 0 && outer >= 0 && fd >= 0);
  EXPECT(epoll_ctl(inner, EPOLL_CTL_ADD, fd, &event) == 0);
  EXPECT(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event) == 0);
  EQUAL(epoll_wait(outer, events, 2, 0), 0);
  EXPECT(eventfd_write(fd, 1) == 0);
  EQUAL(epoll_wait(outer, events, 2, 0), 1);
  FAILS(epoll_ctl(inner, EPOLL_CTL_ADD, outer, &event), ELOOP);
  close(fd);
  close(inner);
  close(outer);
}

CASE(eventfd_counts) {
  uint64_t value = 0;
  int fd = eventfd(3, EFD_NONBLOCK);
  REQUIRE(fd >= 0);
  EQUAL(read(fd, &value, 8), 8);
  EQUAL(value, 3);
  FAILS(read(fd, &value, 8), EAGAIN);
  FAILS(read(fd, &value, 4), EINVAL);
  value = 5;
  EQUAL(write(fd, &value, 8), 8);
  EQUAL(write(fd, &value, 8), 8);
  EQUAL(read(fd, &value, 8), 8);
  EQUAL(value, 10);
  value = UINT64_MAX;
  FAILS(write(fd, &value, 8), EINVAL);
  value = UINT64_MAX - 1;
  EQUAL(write(fd, &value, 8), 8);
  value = 1;
  FAILS(write(fd, &value, 8), EAGAIN);
  struct pollfd p = {fd, POLLIN | POLLOUT, 0};
  EQUAL(poll(&p, 1, 0), 1);
  EQUAL(p.revents, POLLIN);
  close(fd);
  fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  EQUAL(read(fd, &value, 8), 8);
  EQUAL(value, 1);
  EQUAL(read(fd, &value, 8), 8);
  FAILS(read(fd, &value, 8), EAGAIN);
  close(fd);
  FAILS(eventfd(0, 0x10000), EINVAL);
}

static void *signal_event(void *argument) {
  sleep_ms(25);
  return (void *)(long)eventfd_write(*(int *)argument, 9);
}

CASE(eventfd_blocks) {
  uint64_t value = 0;
  pthread_t t;
  int fd = eventfd(0, 0);
  REQUIRE(pthread_create(&t, NULL, signal_event, &fd) == 0);
  EQUAL(read(fd, &value, 8), 8);
  EQUAL(value, 9);
  pthread_join(t, NULL);
  close(fd);
}

CASE(timerfd_fires) {
  uint64_t ticks = 0;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  REQUIRE(fd >= 0);
  FAILS(read(fd, &ticks, 8), EAGAIN);
  struct itimerspec when = {{0, 0}, {0, 20000000}}, now;
  long start = now_ms();
  EXPECT(timerfd_settime(fd, 0, &when, NULL) == 0);
  EXPECT(timerfd_gettime(fd, &now) == 0);
  EXPECT(now.it_value.tv_sec == 0 && now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 20000000);
  struct pollfd p = {fd, POLLIN, 0};
  EQUAL(poll(&p, 1, 5000), 1);
  EXPECT(now_ms() - start >= 19);
  EQUAL(read(fd, &ticks, 8), 8);
  EQUAL(ticks, 1);
  FAILS(read(fd, &ticks, 8), EAGAIN);
  when.it_interval.tv_nsec = 5000000;
  when.it_value.tv_nsec = 5000000;
  EXPECT(timerfd_settime(fd, 0, &when, NULL) == 0);
  sleep_ms(40);
  EQUAL(read(fd, &ticks, 8), 8);
  EXPECT(ticks >= 7);
  memset(&when, 0, sizeof when);
  EXPECT(timerfd_settime(fd, 0, &when, &now) == 0);
  EQUAL(now.it_interval.tv_nsec, 5000000);
  struct timespec base;
  clock_gettime(CLOCK_MONOTONIC, &base);
  when.it_value = base;
  EXPECT(timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
  EQUAL(poll(&p, 1, 1000), 1);
  when.it_value.tv_nsec = 1000000000;
  FAILS(timerfd_settime(fd, 0, &when, NULL), EINVAL);
  FAILS(timerfd_settime(fd, 0x100, &now, NULL), EINVAL);
  close(fd);
  FAILS(timerfd_create(99, 0), EINVAL);
  FAILS(timerfd_create(CLOCK_MONOTONIC, 0x10), EINVAL);
  FAILS(timerfd_settime(0x7fff, 0, &now, NULL), EBADF);
}

CASE(fifo_in_the_file_system) {
  pthread_t t;
  char buffer[16];
  unlink("fifo");
  REQUIRE(mkfifo("fifo", 0600) == 0);
  int fd = open("fifo", O_RDWR);
  REQUIRE(fd >= 0);
  REQUIRE(pthread_create(&t, NULL, write_later, &fd) == 0);
  EQUAL(read(fd, buffer, 16), 8);
  pthread_join(t, NULL);
  close(fd);
  FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
  fd = open("fifo", O_RDONLY | O_NONBLOCK);
  EXPECT(fd >= 0);
  EQUAL(read(fd, buffer, 16), 0);
  close(fd);
  unlink("fifo");
}
