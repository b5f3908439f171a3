// Reading, writing, seeking, vectors, descriptors.
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>

static int scratch(const char *content) {
  int fd = open("io", O_CREAT | O_TRUNC | O_RDWR, 0644);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
  REQUIRE(lseek(fd, 0, SEEK_SET) == 0);
  return fd;
}

CASE(read_write_offsets) {
  char buffer[16];
  int fd = scratch("0123456789");
  EQUAL(read(fd, buffer, 4), 4);
  EQUAL(lseek(fd, 0, SEEK_CUR), 4);
  EQUAL(write(fd, "AB", 2), 2);
  EQUAL(read(fd, buffer, 16), 4);
  EXPECT(memcmp(buffer, "6789", 4) == 0);
  EQUAL(read(fd, buffer, 16), 0);
  EQUAL(read(fd, buffer, 0), 0);
  EQUAL(pread(fd, buffer, 16, 3), 7);
  EXPECT(memcmp(buffer, "3AB6789", 7) == 0);
  EQUAL(lseek(fd, 0, SEEK_CUR), 10);
  EQUAL(pwrite(fd, "Z", 1, 20), 1);
  EQUAL(lseek(fd, 0, SEEK_END), 21);
  EQUAL(pread(fd, buffer, 4, 18), 3);
  EXPECT(memcmp(buffer, "\0\0Z", 3) == 0);
  FAILS(pread(fd, buffer, 1, -1), EINVAL);
  FAILS(pwrite(fd, buffer, 1, -1), EINVAL);
  EQUAL(pread(fd, buffer, 1, 1000), 0);
  FAILS(read(1000, buffer, 1), EBADF);
  FAILS(write(-1, buffer, 1), EBADF);
  close(fd);
}

CASE(seeking) {
  int fd = scratch("0123456789");
  EQUAL(lseek(fd, 3, SEEK_SET), 3);
  EQUAL(lseek(fd, 2, SEEK_CUR), 5);
  EQUAL(lseek(fd, -1, SEEK_END), 9);
  EQUAL(lseek(fd, 100, SEEK_END), 110);
  FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
  FAILS(lseek(fd, -1000, SEEK_CUR), EINVAL);
  FAILS(lseek(fd, 0, 99), EINVAL);
  FAILS(lseek(1000, 0, SEEK_SET), EBADF);
  int p[2];
  REQUIRE(pipe(p) == 0);
  FAILS(lseek(p[0], 0, SEEK_CUR), ESPIPE);
  FAILS(pread(p[0], &fd, 1, 0), ESPIPE);
  close(p[0]);
  close(p[1]);
  close(fd);
}

CASE(seek_data_and_hole) {
  int fd = scratch("0123456789");
  EQUAL(lseek(fd, 2, SEEK_DATA), 2);
  EQUAL(lseek(fd, 2, SEEK_HOLE), 10);
  FAILS(lseek(fd, 10, SEEK_DATA), ENXIO);
  FAILS(lseek(fd, 11, SEEK_HOLE), ENXIO);
  EXPECT(ftruncate(fd, 1 << 20) == 0);
  EQUAL(pwrite(fd, "end", 3, (1 << 20) - 4096), 3);
  off_t data = lseek(fd, 65536, SEEK_DATA);
  EXPECT(data == (1 << 20) - 4096 || data == 65536);  // 65536: a file system without holes
  close(fd);
}

CASE(sparse_file) {
  char buffer[8];
  struct stat st;
  int fd = scratch("");
  EQUAL(pwrite(fd, "x", 1, 100 << 20), 1);
  EXPECT(fstat(fd, &st) == 0);
  EQUAL(st.st_size, (100 << 20) + 1);
  EQUAL(pread(fd, buffer, 8, 50 << 20), 8);
  EXPECT(memcmp(buffer, "\0\0\0\0\0\0\0\0", 8) == 0);
  close(fd);
  unlink("io");
}

CASE(vectors) {
  char a[4], b[8], c[16];
  int fd = scratch("");
  struct iovec out[3] = {{"one", 3}, {"", 0}, {"three", 5}};
  EQUAL(writev(fd, out, 3), 8);
  EQUAL(pwritev(fd, out, 3, 8), 8);
  EQUAL(lseek(fd, 0, SEEK_CUR), 8);
  struct iovec in[3] = {{a, 4}, {b, 8}, {c, 16}};
  EQUAL(preadv(fd, in, 3, 0), 16);
  EXPECT(memcmp(a, "onet", 4) == 0 && memcmp(b, "hreeonet", 8) == 0 && memcmp(c, "hree", 4) == 0);
  EQUAL(lseek(fd, 0, SEEK_SET), 0);
  EQUAL(readv(fd, in, 2), 12);
  EQUAL(readv(fd, in, 0), 0);
  FAILS(readv(fd, in, -1), EINVAL);
  FAILS(readv(fd, in, IOV_MAX + 1), EINVAL);
  in[0].iov_len = (size_t)-1;
  FAILS(readv(fd, in, 1), EINVAL);
  FAILS(preadv(fd, out, 1, -5), EINVAL);
  EQUAL(preadv2(fd, in + 1, 1, 0, 0), 8);
  FAILS(preadv2(fd, in + 1, 1, 0, 0x40000000), EOPNOTSUPP);
  close(fd);
}

CASE(duplicates_share_the_offset) {
  char byte;
  int fd = scratch("abcdef");
  int other = dup(fd);
  EXPECT(other > fd);
  EQUAL(read(fd, &byte, 1), 1);
  EQUAL(read(other, &byte, 1), 1);
  EQUAL(byte, 'b');
  EQUAL(dup2(fd, 50), 50);
  EQUAL(read(50, &byte, 1), 1);
  EQUAL(byte, 'c');
  EQUAL(dup2(fd, fd), fd);
  FAILS(dup2(1000, 60), EBADF);
  FAILS(dup2(fd, -1), EBADF);
  FAILS(dup3(fd, fd, 0), EINVAL);
  FAILS(dup3(fd, 51, O_APPEND), EINVAL);
  EQUAL(dup3(fd, 51, O_CLOEXEC), 51);
  EQUAL(fcntl(51, F_GETFD), FD_CLOEXEC);
  EQUAL(fcntl(50, F_GETFD), 0);
  FAILS(dup(1000), EBADF);
  close(fd);
  EQUAL(read(other, &byte, 1), 1);
  EQUAL(byte, 'd');
  close(other);
  close(50);
  close(51);
}

CASE(fcntl_commands) {
  int fd = scratch("abc");
  EQUAL(fcntl(fd, F_GETFD), 0);
  EQUAL(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
  EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
  EQUAL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR);
  EQUAL(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK), 0);
  EQUAL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR | O_APPEND | O_NONBLOCK);
  EQUAL(fcntl(fd, F_SETFL, 0), 0);
  int high = fcntl(fd, F_DUPFD, 70);
  EQUAL(high, 70);
  EQUAL(fcntl(high, F_GETFD), 0);
  int exec = fcntl(fd, F_DUPFD_CLOEXEC, 70);
  EQUAL(exec, 71);
  EQUAL(fcntl(exec, F_GETFD), FD_CLOEXEC);
  FAILS(fcntl(fd, F_DUPFD, -1), EINVAL);
  FAILS(fcntl(fd, 9999), EINVAL);
  FAILS(fcntl(1000, F_GETFD), EBADF);
  close(high);
  close(exec);
  close(fd);
}

CASE(close_range_closes) {
  int fd = scratch("abc");
  for (int i = 80; i < 90; ++i) EQUAL(dup2(fd, i), i);
  EXPECT(syscall(SYS_close_range, 82, 85, 0) == 0);
  EXPECT(fcntl(81, F_GETFD) == 0);
  FAILS(fcntl(82, F_GETFD), EBADF);
  FAILS(fcntl(85, F_GETFD), EBADF);
  EXPECT(fcntl(86, F_GETFD) == 0);
  FAILS(syscall(SYS_close_range, 90, 80, 0), EINVAL);
  FAILS(syscall(SYS_close_range, 80, 90, 0x1000), EINVAL);
  EXPECT(syscall(SYS_close_range, 80, ~0u, 0) == 0);
  FAILS(fcntl(89, F_GETFD), EBADF);
  close(fd);
}

CASE(descriptor_limit) {
  int last = -1, count = 0;
  for (;;) {
    int fd = open("/dev/null", O_RDONLY);
    if (fd < 0) break;
    last = fd;
    if (++count > 70000) break;
  }
  FAILS(open("/dev/null", O_RDONLY), EMFILE);
  EXPECT(count > 16);
  for (int i = last; count > 0; --i, --count) close(i);
}

CASE(devices) {
  char buffer[64];
  int fd = open("/dev/null", O_RDWR);
  REQUIRE(fd >= 0);
  EQUAL(read(fd, buffer, 10), 0);
  EQUAL(write(fd, buffer, 10), 10);
  close(fd);
  fd = open("/dev/zero", O_RDWR);
  REQUIRE(fd >= 0);
  memset(buffer, 1, sizeof buffer);
  EQUAL(read(fd, buffer, 64), 64);
  EQUAL(buffer[0] | buffer[63], 0);
  EQUAL(write(fd, buffer, 10), 10);
  close(fd);
  fd = open("/dev/full", O_RDWR);
  REQUIRE(fd >= 0);
  EQUAL(read(fd, buffer, 10), 10);
  FAILS(write(fd, buffer, 10), ENOSPC);
  close(fd);
  fd = open("/dev/urandom", O_RDONLY);
  REQUIRE(fd >= 0);
  char again[64];
  EQUAL(read(fd, buffer, 64), 64);
  EQUAL(read(fd, again, 64), 64);
  EXPECT(memcmp(buffer, again, 64) != 0);
  close(fd);
}

CASE(ioctl_on_files) {
  struct termios t;
  int fd = scratch("abcdef");
  FAILS(ioctl(fd, TCGETS, &t), ENOTTY);
  FAILS(ioctl(1000, TCGETS, &t), EBADF);
  int available = -1;
  EXPECT(lseek(fd, 2, SEEK_SET) == 2);
  EXPECT(ioctl(fd, FIONREAD, &available) == 0);
  EQUAL(available, 4);
  int on = 1;
  EXPECT(ioctl(fd, FIONBIO, &on) == 0);
  EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
  EXPECT(ioctl(fd, FIOCLEX) == 0);
  EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
  close(fd);
}

CASE(memfd) {
  char buffer[8];
  int fd = (int)syscall(SYS_memfd_create, "name", 1 /* MFD_CLOEXEC */);
  REQUIRE(fd >= 0);
  EQUAL(write(fd, "hello", 5), 5);
  EQUAL(pread(fd, buffer, 8, 0), 5);
  EXPECT(ftruncate(fd, 8192) == 0);
  char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(map != MAP_FAILED);
  EXPECT(memcmp(map, "hello", 5) == 0);
  map[4096] = 'm';
  EQUAL(pread(fd, buffer, 1, 4096), 1);
  EQUAL(buffer[0], 'm');
  EXPECT(munmap(map, 8192) == 0);
  FAILS(syscall(SYS_memfd_create, "name", 0x8000), EINVAL);
  close(fd);
}

CASE(sendfile_copies) {
  char buffer[32];
  int in = open("fixture/file.txt", O_RDONLY);
  int out = scratch("");
  off_t offset = 6;
  EQUAL(sendfile(out, in, &offset, 100), 8);
  EQUAL(offset, 14);
  EQUAL(pread(out, buffer, 32, 0), 8);
  EXPECT(memcmp(buffer, "fixture\n", 8) == 0);
  EQUAL(lseek(in, 0, SEEK_CUR), 0);
  close(in);
  close(out);
}

CASE(big_transfers) {
  enum { kSize = 3 << 20 };
  unsigned char *data = malloc(kSize), *back = malloc(kSize);
  REQUIRE(data != NULL && back != NULL);
  for (int i = 0; i < kSize; ++i) data[i] = (unsigned char)(i * 31 + i / 4096);
  int fd = scratch("");
  EQUAL(write(fd, data, kSize), kSize);
  EQUAL(pread(fd, back, kSize, 0), kSize);
  EXPECT(memcmp(data, back, kSize) == 0);
  EQUAL(pread(fd, back, 10000, 4095), 10000);
  EXPECT(memcmp(data + 4095, back, 10000) == 0);
  close(fd);
  unlink("io");
  free(data);
  free(back);
}
