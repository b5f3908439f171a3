// The program of the boot tests: does as its first argument says.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static int __attribute__((noinline)) probe_overflow(volatile int *previous) {
  volatile int frame[256];
  frame[0] = *previous + 1;
  return probe_overflow(frame) + frame[0];
}

static void __attribute__((noinline)) probe_null_jump(void) {
  void (*volatile nowhere)(void) = NULL;
  nowhere();
  __asm__ volatile("");
}

static void __attribute__((noinline)) probe_null_write(void) {
  *(volatile int *)0 = 1;
  __asm__ volatile("");
}

static void __attribute__((noinline)) probe_kernel_write(void) {
  *(volatile int *)0xffffffff80100000 = 1;
  __asm__ volatile("");
}

static void *probe_thread_fault(void *unused) {
  probe_null_write();
  return unused;
}

// Reads every file and lists every directory; how many of each and how many errors.
static void walk(const char *path, int depth, int *files, int *folders, int *errors) {
  DIR *dir = opendir(path);
  if (dir == NULL) {
    ++*errors;
    return;
  }
  ++*folders;
  int entries = 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL && entries < 2000; ++entries) {
    char name[4096];
    struct stat st;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    if (snprintf(name, sizeof name, "%s/%s", path, e->d_name) >= (int)sizeof name) continue;
    if (lstat(name, &st) != 0) {
      ++*errors;
    } else if (S_ISDIR(st.st_mode)) {
      if (depth < 40 && *folders < 5000) walk(name, depth + 1, files, folders, errors);
    } else if (S_ISREG(st.st_mode)) {
      char buffer[4096];
      long total = 0;
      ssize_t n;
      int fd = open(name, O_RDONLY);
      if (fd < 0) {
        ++*errors;
        continue;
      }
      while ((n = read(fd, buffer, sizeof buffer)) > 0 && total < (1 << 22)) total += n;
      if (n < 0) ++*errors;
      ++*files;
      close(fd);
    }
  }
  closedir(dir);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  const char *argument = argc > 2 ? argv[2] : "";
  if (strcmp(what, "exit") == 0) return atoi(argument);
  if (strcmp(what, "hello") == 0) {
    puts("hello from the guest");
    return 0;
  }
  if (strcmp(what, "arguments") == 0) {
    for (int i = 0; i < argc; ++i) printf("[%s]", argv[i]);
    printf(" cwd %s home %s\n", getcwd(NULL, 0), getenv("HOME") ? getenv("HOME") : "-");
    return 0;
  }
  if (strcmp(what, "signal") == 0) {
    kill(getpid(), atoi(argument));
    return 99;
  }
  if (strcmp(what, "abort") == 0) abort();
  if (strcmp(what, "null-jump") == 0) probe_null_jump();
  if (strcmp(what, "null-write") == 0) probe_null_write();
  if (strcmp(what, "kernel-write") == 0) probe_kernel_write();
  if (strcmp(what, "overflow") == 0) {
    int zero = 0;
    return probe_overflow(&zero);
  }
  if (strcmp(what, "thread-fault") == 0) {
    pthread_t t;
    pthread_create(&t, NULL, probe_thread_fault, NULL);
    pthread_join(t, NULL);
    return 98;
  }
  if (strcmp(what, "privileged") == 0) {
    __asm__ volatile("hlt");
    return 97;
  }
  if (strcmp(what, "eat-memory") == 0) {
    // touches until malloc refuses or the machine ends
    for (long i = 0;; ++i) {
      char *p = malloc(1 << 20);
      if (p == NULL) {
        printf("malloc refused after %ld MiB\n", i);
        return 12;
      }
      memset(p, 1, 1 << 20);
    }
  }
  if (strcmp(what, "fill-tmp") == 0) {
    static char block[65536];
    int fd = open("/tmp/fill", O_CREAT | O_WRONLY, 0600);
    for (;;) {
      if (write(fd, block, sizeof block) < 0) {
        printf("write: %s\n", strerror(errno));
        return errno == ENOSPC ? 28 : 1;
      }
    }
  }
  if (strcmp(what, "addresses") == 0) {
    int local;
    printf("%p %p %p %p\n", (void *)&local, (void *)main, malloc(1),
           mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return 0;
  }
  if (strcmp(what, "walk") == 0) {
    int files = 0, folders = 0, errors = 0;
    walk(argument, 0, &files, &folders, &errors);
    printf("%d files, %d folders, %d errors\n", files, folders, errors);
    return errors != 0;
  }
  if (strcmp(what, "memory") == 0) {
    struct sysinfo info;
    sysinfo(&info);
    printf("total %lu free %lu KiB\n", info.totalram * info.mem_unit / 1024, info.freeram * info.mem_unit / 1024);
    return 0;
  }
  if (strcmp(what, "cat") == 0) {
    char buffer[256];
    ssize_t n;
    while ((n = read(0, buffer, sizeof buffer)) > 0) {
      if (write(1, buffer, (size_t)n) != n) return 1;
    }
    return n == 0 ? 0 : 1;
  }
  if (strcmp(what, "streams") == 0) {
    struct winsize size = {0, 0, 0, 0};
    ioctl(1, TIOCGWINSZ, &size);
    printf("%d%d%d %d %d\n", isatty(0), isatty(1), isatty(2), size.ws_row, size.ws_col);
    return 0;
  }
  if (strcmp(what, "sleep") == 0) {
    usleep((useconds_t)atoi(argument) * 1000);
    return 0;
  }
  if (strcmp(what, "syscall") == 0) {
    long result = syscall(atol(argument), 0, 0, 0, 0, 0, 0);
    printf("%ld %s\n", result, strerror(errno));
    return 0;
  }
  fprintf(stderr, "probe: what is %s?\n", what);
  return 96;
}
