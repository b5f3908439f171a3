// F_SETPIPE_SZ and F_GETPIPE_SZ: the pipes register how.
#pragma once

#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

/// Sets the capacity (−1: does not) and returns it. EBADF: no pipe; EBUSY, EPERM, EINVAL, ENOMEM.
using PipeSizeHook = Result<std::int64_t> (*)(vfs::File& file, std::int64_t new_size);
void set_pipe_size_hook(PipeSizeHook hook);
/// Null while there are no pipes.
PipeSizeHook pipe_size_hook();

}  // namespace kiln::posix
