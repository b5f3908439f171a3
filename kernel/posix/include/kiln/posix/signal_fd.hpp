// signalfd(2).
#pragma once

#include <kiln/base/result.hpp>
#include <kiln/posix/signal.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

/// A file that gives the reader's own pending signals of `mask`. `flags`: O_NONBLOCK or 0. ENOMEM.
Result<Ref<vfs::File>> create_signal_file(SignalSet mask, std::uint32_t flags);
/// EINVAL: `file` is none.
Result<void> set_signal_file_mask(vfs::File& file, SignalSet mask);

}  // namespace kiln::posix
