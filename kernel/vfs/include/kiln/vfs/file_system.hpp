// File systems: types, instances.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/ref.hpp>
#include <kiln/base/registry.hpp>
#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>
#include <kiln/vfs/inode.hpp>

namespace kiln::vfs {

class Dentry;

/// statfs(2) numbers.
struct FileSystemInfo {
    std::uint64_t magic = 0;
    std::uint64_t block_size = 4096;
    std::uint64_t blocks = 0;
    std::uint64_t blocks_free = 0;
    std::uint64_t files = 0;
    std::uint64_t files_free = 0;
    std::uint64_t name_max = 255;
};

/// A mounted instance of a file system (Linux: super block). Inodes point to it without a
/// reference: whoever holds an inode holds a Mount, too.
class FileSystem : public RefCounted<FileSystem> {
public:
    virtual ~FileSystem() = default;
    virtual Ref<Inode> root() = 0;
    virtual FileSystemInfo info() = 0;
    virtual std::string_view type_name() const = 0;
    virtual bool is_read_only() const { return false; }
    /// False: names must be looked up anew each time (procfs).
    virtual bool caches_names() const { return true; }
    virtual Result<void> sync() { return {}; }
    /// Options as /proc/mounts shows them after "rw" or "ro": "" or ",lowerdir=/…".
    virtual std::string_view options() const { return {}; }
    std::uint64_t device_number() const { return device_number_; }

protected:
    FileSystem();  ///< takes the next anonymous device number

private:
    std::uint64_t device_number_;
};

/// What a mount is made from.
struct MountSource {
    std::string_view device;            ///< as in mount(2)
    std::string_view options;           ///< data of mount(2)
    std::span<const std::byte> memory;  ///< an image in memory (erofs), in the direct map; stays
    PhysAddr memory_phys;               ///< its physical address
};

/// A registered type (KILN_FILESYSTEM below puts it into a linker section).
struct FileSystemType {
    std::string_view name;
    Result<Ref<FileSystem>> (*create)(const MountSource& source);
};
/// ENODEV when no such type is in this configuration.
Result<const FileSystemType*> find_file_system_type(std::string_view name);
void for_each_file_system_type(void (*visit)(const FileSystemType&, void*), void* cookie);

}  // namespace kiln::vfs

/// Registers a file system type: `KILN_FILESYSTEM(ramfs, "ramfs", RamFs::create);`
#define KILN_FILESYSTEM(ident, type_name, create_fn)                                       \
    KILN_REGISTER(::kiln::vfs::FileSystemType, kiln_filesystems) kiln_filesystem_##ident { \
        type_name, create_fn                                                               \
    }
