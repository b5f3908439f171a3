// Character devices as files: a driver or library registers one, devfs shows it.
#pragma once

#include <cstdint>
#include <string_view>

#include <kiln/base/registry.hpp>
#include <kiln/base/result.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::vfs {

/// Registered statically with KILN_CHAR_DEVICE.
struct CharDevice {
    std::string_view name;  ///< below /dev
    std::uint32_t major;    ///< Linux's numbers (Documentation/admin-guide/devices.txt)
    std::uint32_t minor;
    std::uint32_t mode;  ///< permissions
    Result<Ref<File>> (*open)(const OpenContext& context);
};
void for_each_char_device(void (*visit)(const CharDevice&, void*), void* cookie);
/// Opens the device of a node's rdev; ENXIO.
Result<Ref<File>> open_char_device(std::uint64_t rdev, const OpenContext& context);

/// A file of procfs that is computed when opened. `format` writes the text into a growing sink.
class TextSink {
public:
    virtual void write(std::string_view text) = 0;

protected:
    ~TextSink() = default;
};
/// Registered statically with KILN_PROC_FILE: path below /proc ("meminfo", "sys/kernel/osrelease").
/// What belongs to a process is procfs's own (kiln/fs/procfs.hpp).
struct ProcFile {
    std::string_view path;
    std::uint32_t mode;
    Result<void> (*format)(TextSink& out);
    /// Null: read-only.
    Result<void> (*store)(std::string_view text);
};
void for_each_proc_file(void (*visit)(const ProcFile&, void*), void* cookie);

}  // namespace kiln::vfs

#define KILN_CHAR_DEVICE(ident, ...)                                                     \
    KILN_REGISTER(::kiln::vfs::CharDevice, kiln_char_devices) kiln_char_device_##ident { \
        __VA_ARGS__                                                                      \
    }
#define KILN_PROC_FILE(ident, ...) \
    KILN_REGISTER(::kiln::vfs::ProcFile, kiln_proc_files) kiln_proc_file_##ident { __VA_ARGS__ }
