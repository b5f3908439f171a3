// Files: open and its flags, the order of errors, stat, truncate, links, access.
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

static int make_file(const char *path, const char *content) {
  int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0644);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
  REQUIRE(lseek(fd, 0, SEEK_SET) == 0);
  return fd;
}

CASE(open_missing) {
  FAILS(open("missing", O_RDONLY), ENOENT);
  FAILS(open("missing/deeper", O_RDONLY), ENOENT);
  FAILS(open("", O_RDONLY), ENOENT);
  FAILS(open("fixture/file.txt/x", O_RDONLY), ENOTDIR);
  FAILS(open("fixture/file.txt/", O_RDONLY), ENOTDIR);
  FAILS(open("fixture/dir", O_WRONLY), EISDIR);
  FAILS(open("fixture/dir", O_RDWR), EISDIR);
  FAILS(open("fixture/dir", O_RDONLY | O_CREAT, 0644), EISDIR);
  FAILS(open("missing/", O_CREAT | O_WRONLY, 0644), EISDIR);
  FAILS(open("fixture/file.txt", O_RDONLY | O_DIRECTORY), ENOTDIR);
  FAILS(open("fixture/loop1", O_RDONLY), ELOOP);
  FAILS(open("fixture/link", O_RDONLY | O_NOFOLLOW), ELOOP);
}

CASE(open_name_limits) {
  char name[PATH_MAX + 10];
  memset(name, 'n', sizeof name);
  name[NAME_MAX + 1] = 0;
  FAILS(open(name, O_RDONLY), ENAMETOOLONG);
  FAILS(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
  name[NAME_MAX] = 0;
  FAILS(open(name, O_RDONLY), ENOENT);
  int fd = open(name, O_CREAT | O_WRONLY, 0644);
  EXPECT(fd >= 0);
  EXPECT(close(fd) == 0);
  EXPECT(unlink(name) == 0);
  memset(name, '/', sizeof name);
  name[PATH_MAX + 5] = 0;
  FAILS(open(name, O_RDONLY), ENAMETOOLONG);
  name[PATH_MAX] = 0;
  FAILS(open(name, O_RDONLY), ENAMETOOLONG);
  name[PATH_MAX - 1] = 0;
  fd = open(name, O_RDONLY | O_DIRECTORY);
  EXPECT(fd >= 0);
  close(fd);
}

CASE(open_create_exclusive) {
  unlink("exclusive");
  int fd = open("exclusive", O_CREAT | O_EXCL | O_RDWR, 0640);
  REQUIRE(fd >= 0);
  FAILS(open("exclusive", O_CREAT | O_EXCL | O_RDWR, 0640), EEXIST);
  FAILS(open("fixture/link", O_CREAT | O_EXCL | O_RDWR, 0640), EEXIST);
  struct stat st;
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_mode, S_IFREG | 0640);
  EQUAL(st.st_size, 0);
  EQUAL(st.st_nlink, 1);
  EQUAL(st.st_uid, getuid());
  close(fd);
  EXPECT(unlink("exclusive") == 0);
}

CASE(open_lowest_descriptor) {
  int a = open("fixture/file.txt", O_RDONLY);
  int b = open("fixture/file.txt", O_RDONLY);
  int c = open("fixture/file.txt", O_RDONLY);
  EXPECT(a >= 3 && b > a && c > b);
  EXPECT(close(b) == 0);
  EQUAL(open("fixture/file.txt", O_RDONLY), b);
  EXPECT(close(a) == 0);
  EXPECT(close(b) == 0);
  EXPECT(close(c) == 0);
  FAILS(close(c), EBADF);
  FAILS(close(-1), EBADF);
}

CASE(access_mode_is_enforced) {
  char byte = 'x';
  int fd = make_file("mode", "abc");
  close(fd);
  fd = open("mode", O_RDONLY);
  FAILS(write(fd, &byte, 1), EBADF);
  FAILS(ftruncate(fd, 0), EINVAL);
  EQUAL(read(fd, &byte, 1), 1);
  close(fd);
  fd = open("mode", O_WRONLY);
  FAILS(read(fd, &byte, 1), EBADF);
  EQUAL(write(fd, &byte, 1), 1);
  close(fd);
  fd = open("mode", O_PATH);
  FAILS(read(fd, &byte, 1), EBADF);
  FAILS(write(fd, &byte, 1), EBADF);
  struct stat st;
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_size, 3);
  close(fd);
  unlink("mode");
}

CASE(truncate_on_open) {
  int fd = make_file("trunc", "0123456789");
  close(fd);
  fd = open("trunc", O_WRONLY | O_TRUNC);
  struct stat st;
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_size, 0);
  close(fd);
  unlink("trunc");
}

CASE(append) {
  int fd = make_file("append", "0123");
  close(fd);
  fd = open("append", O_RDWR | O_APPEND);
  REQUIRE(fd >= 0);
  EQUAL(lseek(fd, 0, SEEK_CUR), 0);
  EQUAL(write(fd, "45", 2), 2);
  EQUAL(lseek(fd, 0, SEEK_CUR), 6);
  EQUAL(lseek(fd, 1, SEEK_SET), 1);
  EQUAL(write(fd, "67", 2), 2);
  // Linux appends on pwrite, too (pwrite(2), BUGS).
  EQUAL(pwrite(fd, "89", 2, 0), 2);
  char buffer[16] = {0};
  EQUAL(pread(fd, buffer, sizeof buffer, 0), 10);
  EXPECT(memcmp(buffer, "0123456789", 10) == 0);
  close(fd);
  unlink("append");
}

CASE(truncate) {
  int fd = make_file("t", "0123456789");
  char buffer[32];
  struct stat st;
  EXPECT(ftruncate(fd, 4) == 0);
  EQUAL(pread(fd, buffer, sizeof buffer, 0), 4);
  EXPECT(ftruncate(fd, 8) == 0);
  EQUAL(pread(fd, buffer, sizeof buffer, 0), 8);
  EXPECT(memcmp(buffer, "0123\0\0\0\0", 8) == 0);
  EXPECT(truncate("t", 5000) == 0);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_size, 5000);
  EQUAL(pread(fd, buffer, 1, 4999), 1);
  EQUAL(buffer[0], 0);
  FAILS(ftruncate(fd, -1), EINVAL);
  FAILS(truncate("t", -1), EINVAL);
  FAILS(truncate("missing", 1), ENOENT);
  FAILS(truncate("fixture/dir", 1), EISDIR);
  FAILS(ftruncate(1000, 1), EBADF);
  close(fd);
  unlink("t");
}

CASE(stat_kinds) {
  struct stat st;
  EXPECT(stat("fixture/file.txt", &st) == 0);
  EXPECT(S_ISREG(st.st_mode));
  EQUAL(st.st_size, 14);
  EXPECT(stat("fixture/dir", &st) == 0);
  EXPECT(S_ISDIR(st.st_mode));
  EXPECT(st.st_nlink >= 1);
  EXPECT(lstat("fixture/link", &st) == 0);
  EXPECT(S_ISLNK(st.st_mode));
  EQUAL(st.st_size, 8);
  EXPECT(stat("fixture/link", &st) == 0);
  EXPECT(S_ISREG(st.st_mode));
  EXPECT(stat("/dev/null", &st) == 0);
  EXPECT(S_ISCHR(st.st_mode));
  EQUAL(major(st.st_rdev), 1);
  EQUAL(minor(st.st_rdev), 3);
  FAILS(stat("missing", &st), ENOENT);
  FAILS(stat("", &st), ENOENT);
  FAILS(fstat(1000, &st), EBADF);
  FAILS(fstatat(AT_FDCWD, "fixture", &st, 0x10000000), EINVAL);
  int fd = open("fixture/file.txt", O_RDONLY);
  EXPECT(fstatat(fd, "", &st, AT_EMPTY_PATH) == 0);
  EQUAL(st.st_size, 14);
  FAILS(fstatat(fd, "x", &st, 0), ENOTDIR);
  close(fd);
}

CASE(statx_basic) {
  struct statx sx;
  memset(&sx, 0xff, sizeof sx);
  EXPECT(statx(AT_FDCWD, "fixture/file.txt", 0, STATX_BASIC_STATS, &sx) == 0);
  EQUAL(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
  EQUAL(sx.stx_size, 14);
  EQUAL(sx.stx_mode & S_IFMT, S_IFREG);
  struct stat st;
  EXPECT(stat("fixture/file.txt", &st) == 0);
  EQUAL(sx.stx_ino, st.st_ino);
  EQUAL(makedev(sx.stx_dev_major, sx.stx_dev_minor), st.st_dev);
  FAILS(statx(AT_FDCWD, "missing", 0, STATX_BASIC_STATS, &sx), ENOENT);
  FAILS(statx(AT_FDCWD, "fixture", 0x40000000, STATX_BASIC_STATS, &sx), EINVAL);
  FAILS(statx(AT_FDCWD, "fixture", 0, 0x80000000u, &sx), EINVAL);
  EXPECT(statx(AT_FDCWD, "fixture/link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx) == 0);
  EXPECT(S_ISLNK(sx.stx_mode));
}

CASE(hard_links) {
  struct stat a, b;
  close(make_file("one", "data"));
  unlink("two");
  EXPECT(link("one", "two") == 0);
  EXPECT(stat("one", &a) == 0 && stat("two", &b) == 0);
  EQUAL(a.st_ino, b.st_ino);
  EQUAL(a.st_nlink, 2);
  FAILS(link("one", "two"), EEXIST);
  FAILS(link("missing", "three"), ENOENT);
  FAILS(link("fixture", "three"), EPERM);
  EXPECT(unlink("one") == 0);
  EXPECT(stat("two", &b) == 0);
  EQUAL(b.st_nlink, 1);
  EXPECT(unlink("two") == 0);
  FAILS(unlink("two"), ENOENT);
}

CASE(unlinked_file_lives_on) {
  int fd = make_file("ghost", "still here");
  EXPECT(unlink("ghost") == 0);
  FAILS(open("ghost", O_RDONLY), ENOENT);
  char buffer[16];
  EQUAL(read(fd, buffer, sizeof buffer), 10);
  struct stat st;
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_nlink, 0);
  EQUAL(write(fd, "!", 1), 1);
  close(fd);
}

CASE(unlink_errors) {
  FAILS(unlink("fixture/dir"), EISDIR);
  FAILS(unlink("missing"), ENOENT);
  FAILS(unlink("fixture/file.txt/x"), ENOTDIR);
  FAILS(unlinkat(AT_FDCWD, "fixture/file.txt", AT_REMOVEDIR), ENOTDIR);
  FAILS(unlinkat(AT_FDCWD, "missing", 0x1), EINVAL);
  FAILS(unlink(""), ENOENT);
}

CASE(symbolic_links) {
  char buffer[64];
  unlink("s");
  EXPECT(symlink("fixture/file.txt", "s") == 0);
  FAILS(symlink("x", "s"), EEXIST);
  FAILS(symlink("", "empty"), ENOENT);
  EQUAL(readlink("s", buffer, sizeof buffer), 16);
  EXPECT(memcmp(buffer, "fixture/file.txt", 16) == 0);
  EQUAL(readlink("s", buffer, 3), 3);
  FAILS(readlink("s", buffer, 0), EINVAL);
  FAILS(readlink("fixture/file.txt", buffer, sizeof buffer), EINVAL);
  FAILS(readlink("missing", buffer, sizeof buffer), ENOENT);
  int fd = open("s", O_RDONLY);
  EXPECT(fd >= 0);
  close(fd);
  EXPECT(unlink("s") == 0);
  // the target stays
  EXPECT(access("fixture/file.txt", F_OK) == 0);
  unlink("dangling");
  EXPECT(symlink("nowhere", "dangling") == 0);
  FAILS(open("dangling", O_RDONLY), ENOENT);
  fd = open("dangling", O_CREAT | O_WRONLY, 0644);
  EXPECT(fd >= 0);
  close(fd);
  EXPECT(access("nowhere", F_OK) == 0);
  unlink("nowhere");
  unlink("dangling");
}

CASE(symlink_chain_limit) {
  char from[32], to[32];
  for (int i = 0; i < 42; ++i) {
    snprintf(from, sizeof from, "chain%d", i);
    snprintf(to, sizeof to, i == 0 ? "fixture/file.txt" : "chain%d", i - 1);
    unlink(from);
    REQUIRE(symlink(to, from) == 0);
  }
  // path_resolution(7): at most 40 links are followed.
  int fd = open("chain39", O_RDONLY);
  EXPECT(fd >= 0);
  close(fd);
  FAILS(open("chain40", O_RDONLY), ELOOP);
  for (int i = 0; i < 42; ++i) {
    snprintf(from, sizeof from, "chain%d", i);
    unlink(from);
  }
}

CASE(access_checks) {
  EXPECT(access("fixture/file.txt", F_OK) == 0);
  EXPECT(access("fixture/file.txt", R_OK) == 0);
  FAILS(access("missing", F_OK), ENOENT);
  FAILS(access("fixture/file.txt", 0x100), EINVAL);
  FAILS(access("fixture/file.txt/x", F_OK), ENOTDIR);
  EXPECT(faccessat(AT_FDCWD, "fixture/loop1", F_OK, AT_SYMLINK_NOFOLLOW) == 0);
  FAILS(access("fixture/loop1", F_OK), ELOOP);
  // root may not execute a file without any x bit
  FAILS(access("fixture/file.txt", X_OK), EACCES);
  EXPECT(access("fixture/dir", X_OK) == 0);
}

CASE(chmod_chown_times) {
  struct stat st;
  int fd = make_file("perm", "x");
  EXPECT(chmod("perm", 0600) == 0);
  EXPECT(stat("perm", &st) == 0);
  EQUAL(st.st_mode & 07777, 0600);
  EXPECT(fchmod(fd, 04755) == 0);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_mode & 07777, 04755);
  EXPECT(chown("perm", 12, 34) == 0);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_uid, 12);
  EQUAL(st.st_gid, 34);
  EQUAL(st.st_mode & 07777, 0755);  // chown(2): set-user-ID is cleared
  EXPECT(fchown(fd, (uid_t)-1, 35) == 0);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_uid, 12);
  EQUAL(st.st_gid, 35);
  struct timespec times[2] = {{1000, 1}, {2000, 2}};
  EXPECT(utimensat(AT_FDCWD, "perm", times, 0) == 0);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_atim.tv_sec, 1000);
  EQUAL(st.st_mtim.tv_sec, 2000);
  EQUAL(st.st_mtim.tv_nsec, 2);
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_nsec = UTIME_NOW;
  EXPECT(futimens(fd, times) == 0);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_atim.tv_sec, 1000);
  EXPECT(st.st_mtim.tv_sec != 2000);
  times[0].tv_nsec = 1000000000;
  FAILS(utimensat(AT_FDCWD, "perm", times, 0), EINVAL);
  FAILS(chmod("missing", 0600), ENOENT);
  FAILS(fchmod(1000, 0600), EBADF);
  close(fd);
  unlink("perm");
}

CASE(umask_applies) {
  mode_t old = umask(027);
  struct stat st;
  unlink("masked");
  int fd = open("masked", O_CREAT | O_WRONLY, 0777);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_mode & 07777, 0750);
  close(fd);
  EXPECT(unlink("masked") == 0);
  EXPECT(mkdir("maskeddir", 0777) == 0);
  EXPECT(stat("maskeddir", &st) == 0);
  EQUAL(st.st_mode & 07777, 0750);
  EXPECT(rmdir("maskeddir") == 0);
  EQUAL(umask(old), 027);
}

CASE(openat_relative) {
  int dir = open("fixture/dir", O_RDONLY | O_DIRECTORY);
  REQUIRE(dir >= 0);
  int fd = openat(dir, "a", O_RDONLY);
  EXPECT(fd >= 0);
  close(fd);
  fd = openat(dir, "../file.txt", O_RDONLY);
  EXPECT(fd >= 0);
  FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
  close(fd);
  FAILS(openat(1000, "a", O_RDONLY), EBADF);
  FAILS(openat(dir, "missing", O_RDONLY), ENOENT);
  fd = openat(1000, "/", O_RDONLY);
  EXPECT(fd >= 0);
  close(fd);
  close(dir);
}

CASE(fixture_is_writable) {
  // In the guest the fixture lies in the read-only root image: a write copies it up.
  char buffer[32];
  int fd = open("fixture/dir/b", O_RDWR);
  REQUIRE(fd >= 0);
  EQUAL(pread(fd, buffer, sizeof buffer, 0), 2);
  EQUAL(pwrite(fd, "changed", 7, 0), 7);
  EQUAL(pread(fd, buffer, sizeof buffer, 0), 7);
  close(fd);
  fd = open("fixture/dir/b", O_RDONLY);
  EQUAL(read(fd, buffer, sizeof buffer), 7);
  EXPECT(memcmp(buffer, "changed", 7) == 0);
  close(fd);
  EXPECT(unlink("fixture/dir/c") == 0);
  FAILS(open("fixture/dir/c", O_RDONLY), ENOENT);
  fd = open("fixture/dir/c", O_CREAT | O_EXCL | O_WRONLY, 0644);
  EXPECT(fd >= 0);
  close(fd);
}

CASE(big_fixture_content) {
  int fd = open("fixture/big", O_RDONLY);
  REQUIRE(fd >= 0);
  unsigned char buffer[1000];
  long at = 0;
  int wrong = 0;
  ssize_t n;
  while ((n = read(fd, buffer, sizeof buffer)) > 0) {
    for (ssize_t i = 0; i < n; ++i) wrong += buffer[i] != (unsigned char)((at + i) * 7 / 3);
    at += n;
  }
  EQUAL(n, 0);
  EQUAL(at, 100000);
  EQUAL(wrong, 0);
  close(fd);
}

CASE(statfs_root) {
  struct statfs fs;
  EXPECT(statfs("/", &fs) == 0);
  EXPECT(fs.f_bsize > 0);
  EXPECT(fs.f_namelen >= 255 || fs.f_namelen == 0);
  FAILS(statfs("missing", &fs), ENOENT);
  FAILS(fstatfs(1000, &fs), EBADF);
}

CASE(fallocate_and_sync) {
  int fd = make_file("alloc", "abc");
  struct stat st;
  EXPECT(posix_fallocate(fd, 0, 9000) == 0);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_size, 9000);
  EXPECT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000) == 0);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_size, 9000);
  FAILS(fallocate(fd, 0, -1, 10), EINVAL);
  FAILS(fallocate(fd, 0, 0, 0), EINVAL);
  EXPECT(fsync(fd) == 0);
  EXPECT(fdatasync(fd) == 0);
  FAILS(fsync(1000), EBADF);
  close(fd);
  unlink("alloc");
}
