// Inodes: what a file system implements.
//
// Locking. Each inode has one sleeping lock, lock(). The VFS holds it
//   shared     around lookup() and read_directory() (of the directory),
//   exclusive  around create(), symlink(), link(), unlink(), rmdir(), rename() (of the directory or
//              both; rmdir() and a replacing rename() also of the directory that goes),
//              write(), allocate(), set_attributes() (of the inode itself),
//   not at all around read(), attributes(), read_link(), memory_object(), open().
// Who calls an inode directly (a file system stacked on another) does the same. read() must not
// assume that the application's pages are present: no lock that a page fault needs may be held while
// an IoBuffer is filled or drained; lock() itself is not such a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/vm/memory_object.hpp>

namespace kiln::vfs {

class File;
class FileSystem;
class Inode;
class Path;
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
inline constexpr std::uint32_t kModeSetUid = 04000;
inline constexpr std::uint32_t kModeSetGid = 02000;
inline constexpr std::uint32_t kModeSticky = 01000;
inline constexpr std::uint32_t kModePermissions = 07777;

struct Timestamp {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    friend bool operator==(const Timestamp&, const Timestamp&) = default;
};
/// The wall clock, as files are stamped with it.
Timestamp current_timestamp();

/// What stat(2) tells.
struct Attributes {
    std::uint64_t inode_number = 0;
    std::uint64_t device = 0;  ///< st_dev: FileSystem::device_number()
    std::uint32_t mode = 0;    ///< type and permissions
    std::uint32_t links = 1;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t rdev = 0;
    std::uint64_t size = 0;
    std::uint64_t blocks = 0;  ///< 512-byte units
    std::uint32_t block_size = 4096;
    Timestamp atime{}, mtime{}, ctime{}, btime{};
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
    /// With kSetAtime/kSetMtime: to the current time, which a writer of the file may do, too
    /// (utimensat(2) with UTIME_NOW). Only vfs::set_attributes() looks at it.
    kSetTimesToNow = 128,
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

/// For a file system stacked on this one (overlay; one at most): what it remembers with an inode
/// below it. Guarded by the stacked file system.
struct LayerMark {
    Ref<Inode> lower;        ///< the inode that this upper one covers or was copied from
    Inode* above = nullptr;  ///< the stacked file system's inode, while it exists; no reference
};

/// What a library above hangs on an inode for as long as it lives (a FIFO's pipe). Owned by the inode.
class InodeAttachment {
public:
    virtual ~InodeAttachment() = default;
};

class Inode : public RefCounted<Inode> {
public:
    virtual ~Inode();

    FileSystem& file_system() const { return *fs_; }
    std::uint64_t number() const { return number_; }
    std::uint32_t mode() const { return mode_.load(std::memory_order_relaxed); }
    std::uint32_t uid() const { return uid_.load(std::memory_order_relaxed); }
    std::uint32_t gid() const { return gid_.load(std::memory_order_relaxed); }
    std::uint32_t links() const { return links_.load(std::memory_order_relaxed); }
    /// Of device nodes, encoded as abi::make_device() does; 0 else.
    std::uint64_t rdev() const { return rdev_; }
    std::uint32_t type() const { return mode() & kModeTypeMask; }
    bool is_directory() const { return type() == kModeDirectory; }
    bool is_regular() const { return type() == kModeRegular; }
    bool is_symlink() const { return type() == kModeSymlink; }

    virtual Result<Attributes> attributes() = 0;
    /// Permissions were checked by the caller. EROFS by default. kSetSize: regular files only.
    virtual Result<void> set_attributes(const Attributes& values, std::uint32_t mask);
    /// Bytes of a regular file: what attributes() tells as size, quicker.
    virtual std::uint64_t size();

    // -- directories: ENOTDIR, EROFS by default ------------------------------------------------
    /// ENOENT if there is no such name.
    virtual Result<Ref<Inode>> lookup(std::string_view name);
    /// Any type but symlink, directory included. EEXIST when the name is there.
    virtual Result<Ref<Inode>> create(std::string_view name, std::uint32_t mode, std::uint64_t rdev,
                                      std::uint32_t uid, std::uint32_t gid);
    virtual Result<Ref<Inode>> symlink(std::string_view name, std::string_view target,
                                       std::uint32_t uid, std::uint32_t gid);
    /// Another name for `target`.
    virtual Result<void> link(std::string_view name, Inode& target);
    virtual Result<void> unlink(std::string_view name, Inode& target);
    virtual Result<void> rmdir(std::string_view name, Inode& target);
    /// `flags`: RENAME_NOREPLACE 1 (already checked), RENAME_EXCHANGE 2. `replaced` may be null; a
    /// replaced directory must be empty (ENOTEMPTY).
    virtual Result<void> rename(std::string_view old_name, Inode& moved, Inode& new_parent,
                                std::string_view new_name, Inode* replaced, std::uint32_t flags);
    /// Entries from `offset` on (0 = start; "." and ".." are added by the VFS). Offsets are below
    /// 2^62 and belong to an entry as long as it exists.
    virtual Result<void> read_directory(std::uint64_t offset, DirectorySink& sink);
    /// A regular file without a name (O_TMPFILE): EOPNOTSUPP by default.
    virtual Result<Ref<Inode>> create_unnamed(std::uint32_t mode, std::uint32_t uid,
                                              std::uint32_t gid);

    // -- symlinks ------------------------------------------------------------------------------
    /// The target, cut to the buffer; EINVAL if it is no symlink.
    virtual Result<std::size_t> read_link(std::span<char> out);
    /// procfs "magic" links (/proc/self/exe, /proc/self/fd/1) lead to an object, not to a name:
    /// true, and follow() gives the place.
    virtual bool is_magic_link() const { return false; }
    virtual Result<Path> follow();

    // -- regular files -------------------------------------------------------------------------
    /// Reads at `offset`; returns bytes read, 0 at the end.
    virtual Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t offset);
    virtual Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t offset);
    /// The object to map and to share pages with; ENODEV if it can't be mapped.
    virtual Result<Ref<vm::MemoryObject>> memory_object();
    /// fallocate(2), `mode` its FALLOC_FL_ bits; EOPNOTSUPP.
    virtual Result<void> allocate(int mode, std::uint64_t offset, std::uint64_t length);
    /// SEEK_DATA and SEEK_HOLE: the next offset with data (or hole) at or after `offset`; ENXIO
    /// beyond the end. By default the file is all data.
    virtual Result<std::uint64_t> seek_data_or_hole(std::uint64_t offset, bool hole);
    virtual Result<void> sync() { return {}; }

    /// Opens it: the File to use. The default serves regular files and directories (InodeFile),
    /// character devices (by rdev), FIFOs (by the registered opener); ENXIO for the rest.
    virtual Result<Ref<File>> open(const OpenContext& context);

    /// Serialises changes; see the top of this file.
    sched::RwLock& lock() { return lock_; }
    LayerMark& layer_mark() { return layer_mark_; }
    InodeAttachment* attachment() const { return attachment_.load(std::memory_order_acquire); }
    /// Takes `attachment` over, unless there is one already; returns the one that is there.
    InodeAttachment* attach(InodeAttachment* attachment);

protected:
    Inode(FileSystem& fs, std::uint64_t number, std::uint32_t mode, std::uint32_t uid = 0,
          std::uint32_t gid = 0, std::uint32_t links = 1, std::uint64_t rdev = 0,
          sync::LockRank rank = sync::LockRank::kInode)
        : fs_(&fs),
          number_(number),
          rdev_(rdev),
          mode_(mode),
          uid_(uid),
          gid_(gid),
          links_(links),
          lock_(rank) {}

    /// What this class knows of the attributes.
    Attributes basic_attributes() const;

    FileSystem* fs_;
    std::uint64_t number_;
    std::uint64_t rdev_;
    std::atomic<std::uint32_t> mode_;
    std::atomic<std::uint32_t> uid_;
    std::atomic<std::uint32_t> gid_;
    std::atomic<std::uint32_t> links_;

private:
    sched::RwLock lock_;
    LayerMark layer_mark_;
    std::atomic<InodeAttachment*> attachment_{nullptr};
};

}  // namespace kiln::vfs
