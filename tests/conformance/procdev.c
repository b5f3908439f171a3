// /proc and /dev as far as programs read them.
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static char text[1 << 16];

static long slurp(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -1;
  long total = 0;
  ssize_t n;
  while (total < (long)sizeof text - 1 && (n = read(fd, text + total, sizeof text - 1 - (size_t)total)) > 0) total += n;
  text[total] = 0;
  close(fd);
  return total;
}

CASE(self_exe) {
  char path[PATH_MAX + 1] = {0};
  ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
  REQUIRE(n > 0);
  EXPECT(path[0] == '/');
  EXPECT(strstr(path, "procdev") != NULL);
  int fd = open("/proc/self/exe", O_RDONLY);
  REQUIRE(fd >= 0);
  char magic[4];
  EQUAL(read(fd, magic, 4), 4);
  EXPECT(memcmp(magic, "\177ELF", 4) == 0);
  close(fd);
}

CASE(self_maps) {
  REQUIRE(slurp("/proc/self/maps") > 0);
  int stack = 0, program = 0, code = 0;
  uintptr_t here = (uintptr_t)&slurp, local = (uintptr_t)&stack;
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    unsigned long from, to;
    char permissions[5];
    REQUIRE(sscanf(line, "%lx-%lx %4s", &from, &to, permissions) == 3);
    EXPECT(from < to);
    if (local >= from && local < to) {
      stack = strstr(line, "[stack]") != NULL;
      EXPECT(permissions[0] == 'r' && permissions[1] == 'w');
    }
    if (here >= from && here < to) {
      code = permissions[2] == 'x' && permissions[1] == '-';
      program = strstr(line, "procdev") != NULL;
    }
  }
  EQUAL(stack, 1);
  EQUAL(code, 1);
  EQUAL(program, 1);
}

CASE(self_stat_and_status) {
  REQUIRE(slurp("/proc/self/stat") > 0);
  EQUAL(atoi(text), getpid());
  char *after = strrchr(text, ')');
  REQUIRE(after != NULL);
  EQUAL(after[2], 'R');
  REQUIRE(slurp("/proc/self/status") > 0);
  EXPECT(strstr(text, "Name:\t") != NULL);
  char *pid = strstr(text, "\nPid:\t");
  REQUIRE(pid != NULL);
  EQUAL(atoi(pid + 6), getpid());
  EXPECT(strstr(text, "\nVmRSS:") != NULL);
  EXPECT(strstr(text, "\nThreads:\t1\n") != NULL);
  REQUIRE(slurp("/proc/self/statm") > 0);
  long size = 0, resident = 0;
  EQUAL(sscanf(text, "%ld %ld", &size, &resident), 2);
  EXPECT(size > 0 && resident > 0 && resident <= size);
}

CASE(self_cmdline_and_comm) {
  REQUIRE(slurp("/proc/self/cmdline") > 0);
  EXPECT(strstr(text, "procdev") != NULL);
  REQUIRE(slurp("/proc/self/comm") > 0);
  EXPECT(strncmp(text, "procdev", 7) == 0);
  EXPECT(slurp("/proc/self/environ") >= 0);
}

CASE(self_fd) {
  char path[64], target[PATH_MAX + 1] = {0};
  int fd = open("fixture/file.txt", O_RDONLY);
  REQUIRE(fd >= 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(path, target, PATH_MAX);
  EXPECT(n > 0 && strstr(target, "/fixture/file.txt") != NULL);
  int again = open(path, O_RDONLY);
  EXPECT(again >= 0);
  close(again);
  DIR *dir = opendir("/proc/self/fd");
  REQUIRE(dir != NULL);
  int seen = 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) seen += atoi(e->d_name) == fd;
  EQUAL(seen, 1);
  closedir(dir);
  close(fd);
  FAILS(readlink(path, target, PATH_MAX), ENOENT);
}

CASE(pid_directory_is_self) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/stat", getpid());
  EXPECT(slurp(path) > 0);
  EXPECT(slurp("/proc/thread-self/stat") > 0 || slurp("/proc/self/task") < 0);
  FAILS(open("/proc/999999999/stat", O_RDONLY), ENOENT);
}

CASE(system_files) {
  REQUIRE(slurp("/proc/meminfo") > 0);
  long total = 0, free_ = 0, available = 0;
  char *line = strstr(text, "MemTotal:");
  EXPECT(line != NULL && sscanf(line, "MemTotal: %ld kB", &total) == 1);
  line = strstr(text, "MemFree:");
  EXPECT(line != NULL && sscanf(line, "MemFree: %ld kB", &free_) == 1);
  line = strstr(text, "MemAvailable:");
  EXPECT(line != NULL && sscanf(line, "MemAvailable: %ld kB", &available) == 1);
  EXPECT(total > 0 && free_ > 0 && free_ <= total && available <= total);
  REQUIRE(slurp("/proc/cpuinfo") > 0);
  EXPECT(strstr(text, "processor\t: 0") != NULL);
  EXPECT(strstr(text, "flags\t\t: ") != NULL);
  REQUIRE(slurp("/proc/filesystems") > 0);
  EXPECT(strstr(text, "proc") != NULL);
  REQUIRE(slurp("/proc/self/mountinfo") > 0);
  EXPECT(strstr(text, " / / ") != NULL);
  REQUIRE(slurp("/proc/mounts") > 0);
  REQUIRE(slurp("/proc/version") > 0);
  EXPECT(strncmp(text, "Linux version ", 14) == 0);
  REQUIRE(slurp("/proc/stat") > 0);
  EXPECT(strncmp(text, "cpu ", 4) == 0);
  REQUIRE(slurp("/proc/uptime") > 0);
  REQUIRE(slurp("/proc/loadavg") > 0);
  REQUIRE(slurp("/proc/sys/kernel/osrelease") > 0);
  REQUIRE(slurp("/proc/sys/vm/overcommit_memory") > 0);
  REQUIRE(slurp("/proc/sys/kernel/pid_max") > 0);
  REQUIRE(slurp("/proc/sys/net/core/somaxconn") > 0);
  REQUIRE(slurp("/proc/self/limits") > 0);
  EXPECT(strstr(text, "Max open files") != NULL);
}

CASE(proc_seeks_and_refuses) {
  char a[64], b[64];
  int fd = open("/proc/meminfo", O_RDONLY);
  REQUIRE(fd >= 0);
  EQUAL(read(fd, a, 9), 9);
  EQUAL(lseek(fd, 0, SEEK_SET), 0);
  EQUAL(read(fd, b, 9), 9);
  EXPECT(memcmp(a, b, 9) == 0);
  EQUAL(pread(fd, b, 4, 5), 4);
  EXPECT(memcmp(a + 5, b, 4) == 0);
  FAILS(write(fd, "x", 1), EBADF);
  close(fd);
  FAILS(open("/proc/meminfo/x", O_RDONLY), ENOTDIR);
  FAILS(open("/proc/no-such-file", O_RDONLY), ENOENT);
  EXPECT(open("/proc/new", O_CREAT | O_WRONLY, 0644) == -1);
}

CASE(cpu_lists) {
  REQUIRE(slurp("/sys/devices/system/cpu/online") > 0);
  EQUAL(text[0], '0');
  REQUIRE(slurp("/sys/devices/system/cpu/possible") > 0);
  EQUAL(text[0], '0');
}

CASE(standard_device_names) {
  struct stat st;
  char path[PATH_MAX + 1] = {0};
  static const char *const kDevices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
  for (size_t i = 0; i < sizeof kDevices / sizeof *kDevices; ++i) {
    EXPECT(stat(kDevices[i], &st) == 0);
    EXPECT(S_ISCHR(st.st_mode));
  }
  EXPECT(readlink("/dev/fd", path, PATH_MAX) > 0);
  EXPECT(lstat("/dev/stdin", &st) == 0);
  EXPECT(lstat("/dev/stdout", &st) == 0);
  EXPECT(lstat("/dev/stderr", &st) == 0);
  int p[2];
  char byte = 0;
  REQUIRE(pipe(p) == 0);
  snprintf(path, sizeof path, "/dev/fd/%d", p[0]);
  int fd = open(path, O_RDONLY);
  EXPECT(fd >= 0);
  EQUAL(write(p[1], "z", 1), 1);
  EQUAL(read(fd, &byte, 1), 1);
  EQUAL(byte, 'z');
  close(fd);
  close(p[0]);
  close(p[1]);
}
