// Sockets: none yet. Programs that try (glibc's name service asks for nscd over AF_UNIX) get the answer of a Linux
// without the address family.
#include "support.hpp"

namespace kiln::syscalls {
namespace {

/// SOCK_ types and the flags beside them (include/linux/net.h).
constexpr int kTypeMask = 0xf;
constexpr int kTypeFlags = abi::kO_NONBLOCK | abi::kO_CLOEXEC;
constexpr int kTypeMax = 11;
constexpr int kFamilyMax = 46;  // AF_MAX

Status check_family(int family, int type) {
    if (type & ~(kTypeMask | kTypeFlags)) return Errno::kEINVAL;
    if (family < 0 || family >= kFamilyMax) return Errno::kEAFNOSUPPORT;
    if ((type & kTypeMask) >= kTypeMax) return Errno::kEINVAL;
    posix::report_unsupported("socket of address family", static_cast<u64>(family));
    return Errno::kEAFNOSUPPORT;
}

/// No file is a socket.
Status not_a_socket(int fd) {
    TRY(io_file_at(fd));
    return Errno::kENOTSOCK;
}

}  // namespace

Status sys_socket(int family, int type, int) { return check_family(family, type); }
Status sys_socketpair(int family, int type, int, UserPtr<i32>) {
    return check_family(family, type);
}
Status sys_connect(int fd, UserPtr<void>, int) { return not_a_socket(fd); }
Status sys_accept(int fd, UserPtr<void>, UserPtr<i32>) { return not_a_socket(fd); }
Status sys_accept4(int fd, UserPtr<void>, UserPtr<i32>, u32) { return not_a_socket(fd); }
Status sys_sendto(int fd, UserPtr<void>, std::size_t, u32, UserPtr<void>, int) {
    return not_a_socket(fd);
}
Status sys_recvfrom(int fd, UserPtr<void>, std::size_t, u32, UserPtr<void>, UserPtr<i32>) {
    return not_a_socket(fd);
}
Status sys_sendmsg(int fd, UserPtr<void>, u32) { return not_a_socket(fd); }
Status sys_recvmsg(int fd, UserPtr<void>, u32) { return not_a_socket(fd); }
Status sys_sendmmsg(int fd, UserPtr<void>, u32, u32) { return not_a_socket(fd); }
Status sys_recvmmsg(int fd, UserPtr<void>, u32, u32, UserPtr<const abi::TimeSpec>) {
    return not_a_socket(fd);
}
Status sys_shutdown(int fd, int) { return not_a_socket(fd); }
Status sys_bind(int fd, UserPtr<void>, int) { return not_a_socket(fd); }
Status sys_listen(int fd, int) { return not_a_socket(fd); }
Status sys_getsockname(int fd, UserPtr<void>, UserPtr<i32>) { return not_a_socket(fd); }
Status sys_getpeername(int fd, UserPtr<void>, UserPtr<i32>) { return not_a_socket(fd); }
Status sys_setsockopt(int fd, int, int, UserPtr<void>, int) { return not_a_socket(fd); }
Status sys_getsockopt(int fd, int, int, UserPtr<void>, UserPtr<i32>) { return not_a_socket(fd); }

}  // namespace kiln::syscalls
