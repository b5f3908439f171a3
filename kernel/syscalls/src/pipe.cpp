// pipe(2).
#include <kiln/posix/pipe.hpp>

#include "support.hpp"

namespace kiln::syscalls {

Status sys_pipe(UserPtr<i32> fds) { return sys_pipe2(fds, 0); }

Status sys_pipe2(UserPtr<i32> fds, u32 flags) {
    if ((flags & ~(abi::kO_CLOEXEC | abi::kO_NONBLOCK)) != 0) {
        if ((flags & abi::kO_DIRECT) != 0) posix::report_unsupported("pipe2 flags", abi::kO_DIRECT);
        return Errno::kEINVAL;
    }
    auto ends = TRY(posix::create_pipe(flags & abi::kO_NONBLOCK));
    const auto read_fd = static_cast<i32>(TRY(install(std::move(ends.read_end), flags)));
    const Status write_fd = install(std::move(ends.write_end), flags);
    Errno error = write_fd.error();
    if (write_fd.ok()) {
        const i32 both[2] = {read_fd, static_cast<i32>(*write_fd)};
        const Result<void> written = fds.write_array(both);
        if (written.ok()) return 0;
        error = written.error();
        (void)this_process().files().close(both[1]);
    }
    (void)this_process().files().close(read_fd);
    return error;
}

}  // namespace kiln::syscalls
