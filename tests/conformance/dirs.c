// Directories: making, removing, listing, renaming, working directory.
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct linux_dirent64 {
  unsigned long long d_ino;
  long long d_off;
  unsigned short d_reclen;
  unsigned char d_type;
  char d_name[];
};

static void touch(const char *path) {
  int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, path, strlen(path)) == (ssize_t)strlen(path));
  close(fd);
}

static int exists(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0;
}

CASE(mkdir_rmdir) {
  struct stat st;
  EXPECT(mkdir("d", 0755) == 0);
  FAILS(mkdir("d", 0755), EEXIST);
  FAILS(mkdir("missing/d", 0755), ENOENT);
  FAILS(mkdir("fixture/file.txt/d", 0755), ENOTDIR);
  FAILS(mkdir("", 0755), ENOENT);
  FAILS(mkdir("fixture/file.txt", 0755), EEXIST);
  FAILS(mkdir("fixture/link", 0755), EEXIST);
  EXPECT(mkdir("d/sub/", 0700) == 0);
  EXPECT(stat("d/sub", &st) == 0);
  EQUAL(st.st_mode, S_IFDIR | 0700);
  FAILS(rmdir("d"), ENOTEMPTY);
  FAILS(rmdir("fixture/file.txt"), ENOTDIR);
  FAILS(rmdir("missing"), ENOENT);
  FAILS(rmdir("d/."), EINVAL);
  FAILS(rmdir("d/sub/.."), ENOTEMPTY);
  FAILS(rmdir("/"), EBUSY);
  EXPECT(rmdir("d/sub") == 0);
  EXPECT(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR) == 0);
  EXPECT(!exists("d"));
}

CASE(getdents_lists_everything_once) {
  // 300 names need several calls with a small buffer.
  char buffer[512];
  unsigned char seen[300] = {0};
  int dot = 0, dotdot = 0, other = 0;
  int fd = open("fixture/many", O_RDONLY | O_DIRECTORY);
  REQUIRE(fd >= 0);
  long n;
  while ((n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < n;) {
      struct linux_dirent64 *d = (void *)(buffer + at);
      int number;
      REQUIRE(d->d_reclen >= 24 && d->d_reclen % 8 == 0 && at + d->d_reclen <= n);
      if (strcmp(d->d_name, ".") == 0) {
        dot++;
        EQUAL(d->d_type, DT_DIR);
      } else if (strcmp(d->d_name, "..") == 0) {
        dotdot++;
      } else if (sscanf(d->d_name, "entry-%d", &number) == 1 && number >= 0 && number < 300) {
        seen[number]++;
        EXPECT(d->d_type == DT_REG || d->d_type == DT_UNKNOWN);
        EXPECT(d->d_ino != 0);
      } else {
        other++;
      }
      at += d->d_reclen;
    }
  }
  EQUAL(n, 0);
  EQUAL(dot, 1);
  EQUAL(dotdot, 1);
  EQUAL(other, 0);
  int wrong = 0;
  for (int i = 0; i < 300; ++i) wrong += seen[i] != 1;
  EQUAL(wrong, 0);
  EQUAL(syscall(SYS_getdents64, fd, buffer, sizeof buffer), 0);
  EQUAL(lseek(fd, 0, SEEK_SET), 0);
  EXPECT(syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0);
  FAILS(syscall(SYS_getdents64, fd, buffer, 10), EINVAL);
  FAILS(read(fd, buffer, 10), EISDIR);
  close(fd);
  fd = open("fixture/file.txt", O_RDONLY);
  FAILS(syscall(SYS_getdents64, fd, buffer, sizeof buffer), ENOTDIR);
  close(fd);
  FAILS(syscall(SYS_getdents64, 1000, buffer, sizeof buffer), EBADF);
}

CASE(listing_after_changes) {
  // A directory of the root image, changed: new names appear, removed ones do not.
  touch("fixture/changing/new");
  EXPECT(unlink("fixture/changing/old") == 0);
  DIR *dir = opendir("fixture/changing");
  REQUIRE(dir != NULL);
  int new_seen = 0, old_seen = 0, kept_seen = 0, total = 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    new_seen += strcmp(e->d_name, "new") == 0;
    old_seen += strcmp(e->d_name, "old") == 0;
    kept_seen += strcmp(e->d_name, "kept") == 0;
    total++;
  }
  EQUAL(new_seen, 1);
  EQUAL(old_seen, 0);
  EQUAL(kept_seen, 1);
  EQUAL(total, 4);
  closedir(dir);
}

CASE(seekdir_resumes) {
  DIR *dir = opendir("fixture/many");
  REQUIRE(dir != NULL);
  for (int i = 0; i < 50; ++i) REQUIRE(readdir(dir) != NULL);
  long at = telldir(dir);
  struct dirent *e = readdir(dir);
  REQUIRE(e != NULL);
  char name[256];
  strcpy(name, e->d_name);
  for (int i = 0; i < 100; ++i) readdir(dir);
  seekdir(dir, at);
  e = readdir(dir);
  REQUIRE(e != NULL);
  EXPECT(strcmp(name, e->d_name) == 0);
  closedir(dir);
}

CASE(rename_file) {
  touch("from");
  touch("onto");
  struct stat before, after;
  EXPECT(stat("from", &before) == 0);
  EXPECT(rename("from", "onto") == 0);
  EXPECT(!exists("from"));
  EXPECT(stat("onto", &after) == 0);
  EQUAL(before.st_ino, after.st_ino);
  EXPECT(rename("onto", "onto") == 0);
  FAILS(rename("missing", "x"), ENOENT);
  FAILS(rename("onto", "missing/x"), ENOENT);
  FAILS(rename("onto", "fixture"), EISDIR);
  FAILS(rename("onto", "fixture/file.txt/x"), ENOTDIR);
  EXPECT(unlink("onto") == 0);
}

CASE(rename_directory) {
  EXPECT(mkdir("r1", 0755) == 0);
  touch("r1/file");
  EXPECT(rename("r1", "r2") == 0);
  EXPECT(exists("r2/file"));
  EXPECT(!exists("r1"));
  EXPECT(mkdir("r3", 0755) == 0);
  FAILS(rename("r3", "r2"), ENOTEMPTY);
  EXPECT(rename("r2", "r3") == 0);
  EXPECT(exists("r3/file"));
  FAILS(rename("r3", "r3/inside"), EINVAL);
  touch("plain");
  FAILS(rename("r3", "plain"), ENOTDIR);
  EXPECT(unlink("plain") == 0);
  EXPECT(unlink("r3/file") == 0);
  EXPECT(rmdir("r3") == 0);
}

CASE(renameat2_flags) {
  touch("a");
  touch("b");
  FAILS(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
  FAILS(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 0x100), EINVAL);
  FAILS(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
  struct stat a, b;
  EXPECT(stat("a", &a) == 0);
  EXPECT(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0);
  EXPECT(stat("b", &b) == 0);
  EQUAL(a.st_ino, b.st_ino);
  EXPECT(exists("a"));
  EXPECT(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE) == 0);
  EXPECT(unlink("b") == 0);
  EXPECT(unlink("c") == 0);
}

CASE(rename_from_image) {
  EXPECT(rename("fixture/changing/kept", "moved") == 0);
  EXPECT(!exists("fixture/changing/kept"));
  char buffer[16];
  int fd = open("moved", O_RDONLY);
  EQUAL(read(fd, buffer, sizeof buffer), 5);
  close(fd);
  EXPECT(rename("moved", "fixture/changing/kept") == 0);
  EXPECT(exists("fixture/changing/kept"));
}

CASE(working_directory) {
  char here[PATH_MAX], there[PATH_MAX], buffer[PATH_MAX];
  REQUIRE(getcwd(here, sizeof here) != NULL);
  EXPECT(chdir("fixture/dir") == 0);
  REQUIRE(getcwd(there, sizeof there) != NULL);
  snprintf(buffer, sizeof buffer, "%.4000s/fixture/dir", here);
  EXPECT(strcmp(buffer, there) == 0);
  EXPECT(exists("a"));
  EXPECT(chdir("..") == 0);
  EXPECT(exists("file.txt"));
  FAILS(chdir("file.txt"), ENOTDIR);
  FAILS(chdir("missing"), ENOENT);
  FAILS(chdir("loop1"), ELOOP);
  int fd = open(here, O_RDONLY | O_DIRECTORY);
  EXPECT(fchdir(fd) == 0);
  close(fd);
  REQUIRE(getcwd(buffer, sizeof buffer) != NULL);
  EXPECT(strcmp(buffer, here) == 0);
  // the system call counts the NUL
  EQUAL(syscall(SYS_getcwd, buffer, sizeof buffer), (long)strlen(here) + 1);
  FAILS(syscall(SYS_getcwd, buffer, 1), ERANGE);
  fd = open("fixture/file.txt", O_RDONLY);
  FAILS(fchdir(fd), ENOTDIR);
  close(fd);
  EXPECT(chdir("/") == 0);
  REQUIRE(getcwd(buffer, sizeof buffer) != NULL);
  EXPECT(strcmp(buffer, "/") == 0);
  EXPECT(chdir("../..") == 0);
  REQUIRE(getcwd(buffer, sizeof buffer) != NULL);
  EXPECT(strcmp(buffer, "/") == 0);
  EXPECT(chdir(here) == 0);
}

CASE(removed_working_directory) {
  char here[PATH_MAX], buffer[PATH_MAX];
  REQUIRE(getcwd(here, sizeof here) != NULL);
  EXPECT(mkdir("gone", 0755) == 0);
  EXPECT(chdir("gone") == 0);
  EXPECT(rmdir("../gone") == 0);
  FAILS(syscall(SYS_getcwd, buffer, sizeof buffer), ENOENT);
  FAILS(open("x", O_CREAT | O_WRONLY, 0644), ENOENT);
  EXPECT(chdir(here) == 0);
}

CASE(link_counts) {
  struct stat st;
  EXPECT(mkdir("counted", 0755) == 0);
  EXPECT(stat("counted", &st) == 0);
  EXPECT(st.st_nlink == 2 || st.st_nlink == 1);  // 1: the file system does not count
  EXPECT(mkdir("counted/sub", 0755) == 0);
  EXPECT(stat("counted", &st) == 0);
  EXPECT(st.st_nlink == 3 || st.st_nlink == 1);
  EXPECT(rmdir("counted/sub") == 0);
  EXPECT(rmdir("counted") == 0);
}

CASE(deep_paths) {
  char path[1200] = "deep";
  EXPECT(mkdir(path, 0755) == 0);
  int depth = 0;
  while (strlen(path) < 1000) {
    strcat(path, "/level");
    REQUIRE(mkdir(path, 0755) == 0);
    depth++;
  }
  EXPECT(exists(path));
  for (; depth >= 0; --depth) {
    EXPECT(rmdir(path) == 0);
    char *slash = strrchr(path, '/');
    if (slash != NULL) *slash = 0;
  }
  EXPECT(!exists("deep"));
}

CASE(dot_and_slashes) {
  struct stat a, b;
  EXPECT(stat("fixture/./dir//../file.txt", &a) == 0);
  EXPECT(stat("fixture/file.txt", &b) == 0);
  EQUAL(a.st_ino, b.st_ino);
  EXPECT(stat("fixture/dir/.", &a) == 0);
  FAILS(stat("fixture/file.txt/.", &a), ENOTDIR);
  FAILS(stat("fixture/file.txt/..", &a), ENOTDIR);
  FAILS(mkdir(".", 0755), EEXIST);
  FAILS(unlink("."), EISDIR);
  FAILS(rename(".", "x"), EBUSY);
}
