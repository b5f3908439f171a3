// /init of a Linux guest that runs one test program and says how it ended, as the kernel under test does: the
// line `kiln-end exit=N` or `kiln-end signal=N` on the debug port. Arguments: /init.args, one per line, environment
// in /init.env; working directory /work.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>


static char **read_lines(const char *path) {
  static char text[2][65536];
  static int used;
  FILE *f = fopen(path, "r");
  char *buffer = text[used++];
  size_t n = f ? fread(buffer, 1, sizeof text[0] - 1, f) : 0;
  if (f) fclose(f);
  char **out = calloc(256, sizeof *out);
  int count = 0;
  for (char *at = buffer; at < buffer + n && count < 255; at += strlen(at) + 1) {
    char *end = strchr(at, '\n');
    if (end == NULL) break;
    *end = 0;
    out[count++] = at;
  }
  return out;
}

int main(void) {
  mount("proc", "/proc", "proc", 0, NULL);
  mount("sys", "/sys", "sysfs", 0, NULL);
  mount("dev", "/dev", "devtmpfs", 0, NULL);
  if (symlink("/proc/self/fd", "/dev/fd") || symlink("/proc/self/fd/0", "/dev/stdin") ||
      symlink("/proc/self/fd/1", "/dev/stdout") || symlink("/proc/self/fd/2", "/dev/stderr")) {
    perror("links in /dev");
  }
  char **argv = read_lines("/init.args"), **envp = read_lines("/init.env");
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    close(null);
    if (chdir("/work") == 0) execve(argv[0], argv, envp);
    perror(argv[0]);
    _exit(127);
  }
  while (waitpid(child, &status, 0) < 0) {
  }
  char record[64];
  int n = WIFSIGNALED(status) ? snprintf(record, sizeof record, "kiln-end signal=%d\n", WTERMSIG(status))
                              : snprintf(record, sizeof record, "kiln-end exit=%d\n", WEXITSTATUS(status));
  fflush(stdout);
  sync();
  if (ioperm(0xe9, 1, 1) == 0) {
    for (int i = 0; i < n; ++i) outb((unsigned char)record[i], 0xe9);
  }
  reboot(RB_AUTOBOOT);
  return 1;
}
