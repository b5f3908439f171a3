// Inodes and file systems: what a file system implements.
//
// Locking: the VFS calls directory operations with the parent's inode lock held (exclusive for
// changes, shared for lookup), read/write/truncate of regular files with the file's inode lock as
// stated. Public non-virtual calls lock; the virtual ones run locked.
#pragma once

#include <cstdint>
#include <string_view>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/vm/memory_object.hpp>

namespace kiln::vfs {

class File;
class FileSystem;
class Dentry;
struct OpenContext;

/// S_IFMT part of a mode (include/uapi/linux/stat.h).
inline constexpr std::uint32_t kModeTypeMask = 0170000;
inline constexpr std::uint32_t kModeSocket = 0140000;
inline constexpr std::uint32_t kModeSymlink = 0120000;
inline constexpr std::uint32_t kModeRegular = 0100000;
inline constexpr std::uint32_t kModeBlock = 0060000;
inline constexpr std::uint32_t kModeDirectory = 0040000;
inline constexpr std::uint32_t kModeCharacter = 0020000;
inline constexpr std::uint32_t kModeFifo = 0010000;

struct Timestamp {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
};

/// What stat(2) tells.
struct Attributes {
    std::uint64_t inode_number = 0;
    std::uint32_t mode = 0;  ///< type and permissions
    std::uint32_t links = 1;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t rdev = 0;
    std::uint64_t size = 0;
    std::uint64_t blocks = 0;  ///< 512-byte units
    std::uint32_t block_size = 4096;
    Timestamp atime, mtime, ctime, btime;
};

/// Which members of Attributes a set_attributes() changes.
enum SetMask : std::uint32_t {
    kSetMode = 1,
    kSetUid = 2,
    kSetGid = 4,
    kSetSize = 8,
    kSetAtime = 16,
    kSetMtime = 32,
    kSetCtime = 64,
};

/// Receives directory entries (getdents64). Returns false when its buffer is full: the directory
/// then stops, and continues at `next_offset` of the last accepted entry the next time.
class DirectorySink {
public:
    virtual bool add(std::string_view name, std::uint64_t inode_number, std::uint32_t mode_type,
                     std::uint64_t next_offset) = 0;

protected:
    ~DirectorySink() = default;
};

struct FileSystemInfo;  ///< statfs numbers, file_system.hpp

class Inode : public RefCounted<Inode> {
public:
    virtual ~Inode();

    FileSystem& file_system() const { return *fs_; }
    std::uint64_t number() const { return number_; }
    std::uint32_t mode() const { return mode_.load(std::memory_order_relaxed); }
    std::uint32_t type() const { return mode() & kModeTypeMask; }
    bool is_directory() const { return type() == kModeDirectory; }
    bool is_regular() const { return type() == kModeRegular; }
    bool is_symlink() const { return type() == kModeSymlink; }

    virtual Result<Attributes> attributes() = 0;
    /// EROFS on read-only file systems.
    virtual Result<void> set_attributes(const Attributes& values, std::uint32_t mask);

    // -- directories: ENOTDIR by default -------------------------------------------------------
    /// ENOENT if there is no such name.
    virtual Result<Ref<Inode>> lookup(std::string_view name);
    virtual Result<Ref<Inode>> create(
        std::string_view name, std::uint32_t mode, std::uint64_t rdev, std::uint32_t uid,
        std::uint32_t gid);  ///< any type but symlink, directory included
    virtual Result<Ref<Inode>> symlink(std::string_view name, std::string_view target,
                                       std::uint32_t uid, std::uint32_t gid);
    virtual Result<void> link(std::string_view name, Inode& target);
    virtual Result<void> unlink(std::string_view name, Inode& target);
    virtual Result<void> rmdir(std::string_view name, Inode& target);
    /// `flags`: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2. `replaced` may be null.
    virtual Result<void> rename(std::string_view old_name, Inode& moved, Inode& new_parent,
                                std::string_view new_name, Inode* replaced, std::uint32_t flags);
    /// Entries from `offset` on (0 = start; "." and ".." are added by the VFS).
    virtual Result<void> read_directory(std::uint64_t offset, DirectorySink& sink);

    // -- symlinks ------------------------------------------------------------------------------
    /// The target, cut to the buffer; EINVAL if it is no symlink. procfs "magic" links override
    /// follow().
    virtual Result<std::size_t> read_link(std::span<char> out);

    // -- regular files -------------------------------------------------------------------------
    /// Reads at `offset`; returns bytes read, 0 at the end.
    virtual Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t offset);
    virtual Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t offset);
    /// The object to map and to share pages with; ENODEV if it can't be mapped.
    virtual Result<Ref<vm::MemoryObject>> memory_object();
    virtual Result<void> allocate(int mode, std::uint64_t offset,
                                  std::uint64_t length);  ///< fallocate; EOPNOTSUPP
    virtual Result<void> sync() { return {}; }

    /// Opens it: the File to use. Regular files and directories use the default; devices, FIFOs and
    /// procfs files override it.
    virtual Result<Ref<File>> open(const OpenContext& context);

    /// Serialises changes; see the top of this file.
    sched::RwLock& lock() { return lock_; }

    /// inotify, leases and the like can hang here later.
protected:
    Inode(FileSystem& fs, std::uint64_t number, std::uint32_t mode)
        : fs_(&fs), number_(number), mode_(mode) {}
    FileSystem* fs_;
    std::uint64_t number_;
    std::atomic<std::uint32_t> mode_;

private:
    sched::RwLock lock_{sync::LockRank::kInode};
};

}  // namespace kiln::vfs
