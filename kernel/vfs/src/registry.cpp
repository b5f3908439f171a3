// What registers itself in linker sections. Weak: a configuration may have none of a kind.
#include <atomic>

#include <kiln/abi/linux/stat.hpp>
#include <kiln/vfs/device.hpp>
#include <kiln/vfs/file_system.hpp>

extern "C" {
extern const kiln::vfs::FileSystemType __start_kiln_filesystems[] [[gnu::weak]];
extern const kiln::vfs::FileSystemType __stop_kiln_filesystems[] [[gnu::weak]];
extern const kiln::vfs::CharDevice __start_kiln_char_devices[] [[gnu::weak]];
extern const kiln::vfs::CharDevice __stop_kiln_char_devices[] [[gnu::weak]];
extern const kiln::vfs::ProcFile __start_kiln_proc_files[] [[gnu::weak]];
extern const kiln::vfs::ProcFile __stop_kiln_proc_files[] [[gnu::weak]];
}

namespace kiln::vfs {
namespace {

// Numbers of file systems without a device, as Linux's get_anon_bdev(): 0:1 on.
constinit std::atomic<std::uint32_t> next_device{1};

}  // namespace

FileSystem::FileSystem()
    : device_number_(abi::make_device(0, next_device.fetch_add(1, std::memory_order_relaxed))) {}

Result<const FileSystemType*> find_file_system_type(std::string_view name) {
    for (const FileSystemType* t = __start_kiln_filesystems; t != __stop_kiln_filesystems; t++) {
        if (t->name == name) return t;
    }
    return Errno::kENODEV;
}

void for_each_file_system_type(void (*visit)(const FileSystemType&, void*), void* cookie) {
    for (const FileSystemType* t = __start_kiln_filesystems; t != __stop_kiln_filesystems; t++)
        visit(*t, cookie);
}

void for_each_char_device(void (*visit)(const CharDevice&, void*), void* cookie) {
    for (const CharDevice* d = __start_kiln_char_devices; d != __stop_kiln_char_devices; d++)
        visit(*d, cookie);
}

Result<Ref<File>> open_char_device(std::uint64_t rdev, const OpenContext& context) {
    const std::uint32_t major = abi::device_major(rdev);
    const std::uint32_t minor = abi::device_minor(rdev);
    for (const CharDevice* d = __start_kiln_char_devices; d != __stop_kiln_char_devices; d++) {
        if (d->major == major && d->minor == minor) return d->open(context);
    }
    return Errno::kENXIO;
}

void for_each_proc_file(void (*visit)(const ProcFile&, void*), void* cookie) {
    for (const ProcFile* f = __start_kiln_proc_files; f != __stop_kiln_proc_files; f++)
        visit(*f, cookie);
}

}  // namespace kiln::vfs
