// /proc/cpuinfo, which each architecture has in words of its own.
#pragma once

#include <kiln/vfs/device.hpp>

namespace kiln::fs {

/// CPUs that run: one, until the others are started.
inline constexpr unsigned kCpus = 1;

Result<void> format_cpuinfo(vfs::TextSink& out);

}  // namespace kiln::fs
