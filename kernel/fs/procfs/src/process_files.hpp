// The texts that a process's directory holds; proc(5) tells their formats.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/fs/procfs.hpp>
#include <kiln/vfs/device.hpp>

namespace kiln::fs {

struct ProcessFile {
    std::string_view name;
    std::uint32_t mode;
    /// `tid` 0: of the process as a whole.
    Result<void> (*format)(ProcessView& view, std::int32_t pid, std::int32_t tid,
                           vfs::TextSink& out);
    Result<void> (*store)(ProcessView& view, std::int32_t pid, std::int32_t tid,
                          std::string_view text);
};
std::span<const ProcessFile> process_files();

Result<void> format_fdinfo(ProcessView& view, std::int32_t pid, int fd, vfs::TextSink& out);

}  // namespace kiln::fs
