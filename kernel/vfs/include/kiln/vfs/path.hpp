// Names: dentries, mounts, path look-up, and the operations on names that system calls need.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/vfs/inode.hpp>

namespace kiln::vfs {

class Dentry;
class Mount;
class File;
class FileSystem;

inline constexpr std::size_t kPathMax = 4096;  ///< with the NUL (include/uapi/linux/limits.h)
inline constexpr std::size_t kNameMax = 255;
inline constexpr unsigned kMaxSymlinks = 40;

/// A name in a mount: the unit that look-up works with.
class Path {
public:
    Path();
    Path(Ref<Mount> mount, Ref<Dentry> dentry);
    Path(const Path&);
    Path(Path&&) noexcept;
    Path& operator=(const Path&);
    Path& operator=(Path&&) noexcept;
    ~Path();

    explicit operator bool() const;
    Inode* inode() const;  ///< null for a negative entry or an empty Path
    Mount* mount() const { return mount_.get(); }
    Dentry* dentry() const { return dentry_.get(); }
    friend bool operator==(const Path&, const Path&);
    /// The absolute name as seen from `root`, NUL-terminated in `out`; returns its length without
    /// NUL. ERANGE if too small. Deleted names get " (deleted)"; unreachable ones "(unreachable)"
    /// in front.
    Result<std::size_t> format(std::span<char> out, const Path& root) const;

private:
    Ref<Mount> mount_;
    Ref<Dentry> dentry_;
};

/// Who asks: file creation owner, permission checks.
struct Credentials {
    std::uint32_t uid = 0;  ///< fsuid
    std::uint32_t gid = 0;  ///< fsgid
    std::span<const std::uint32_t> groups;
    bool override_dac = true;  ///< CAP_DAC_OVERRIDE
};

/// Where a look-up starts and how it goes.
struct LookupContext {
    Path root;  ///< the process's root
    Path cwd;   ///< where relative names start (or the dirfd's path)
    Credentials credentials;
    std::uint32_t umask = 022;
};

// Look-ups below take a Path as base as well as the process's cwd: set `cwd` to the dirfd's path.
enum LookupFlags : std::uint32_t {
    kLookupFollow = 1u << 0,      ///< follow a symlink in the last component
    kLookupDirectory = 1u << 1,   ///< must be a directory (ENOTDIR)
    kLookupEmptyPath = 1u << 2,   ///< "" means cwd itself (AT_EMPTY_PATH)
    kLookupNoSymlinks = 1u << 3,  ///< openat2 RESOLVE_NO_SYMLINKS
    kLookupBeneath = 1u << 4,     ///< RESOLVE_BENEATH, below `cwd`
    kLookupInRoot = 1u << 5,      ///< RESOLVE_IN_ROOT, `cwd` being the root
    kLookupNoXdev = 1u << 6,
    kLookupNoMagicLinks = 1u << 7,
};

// Each gives the errno of the system call it serves (ENOENT, ENOTDIR, EACCES, ELOOP,
// ENAMETOOLONG…), in Linux's order. Names are not NUL-terminated.
Result<Path> lookup(const LookupContext& context, std::string_view name, std::uint32_t flags);
/// open(2) and openat2(2): `mode` for O_CREAT (umask applied inside).
Result<Ref<File>> open(const LookupContext& context, std::string_view name, std::uint32_t flags,
                       std::uint32_t mode, std::uint32_t lookup_flags = 0);
Result<void> make_directory(const LookupContext& context, std::string_view name,
                            std::uint32_t mode);
Result<void> make_node(const LookupContext& context, std::string_view name, std::uint32_t mode,
                       std::uint64_t rdev);
Result<void> make_symlink(const LookupContext& context, std::string_view target,
                          std::string_view name);
Result<void> make_link(const LookupContext& old_context, std::string_view old_name,
                       const LookupContext& new_context, std::string_view new_name,
                       std::uint32_t lookup_flags);
Result<void> unlink(const LookupContext& context, std::string_view name);
Result<void> remove_directory(const LookupContext& context, std::string_view name);
Result<void> rename(const LookupContext& old_context, std::string_view old_name,
                    const LookupContext& new_context, std::string_view new_name,
                    std::uint32_t flags);
/// access(2): `mask` R_OK 4, W_OK 2, X_OK 1.
Result<void> check_access(const Path& path, std::uint32_t mask, const Credentials& credentials);
/// chmod, chown, utimensat, truncate on a path: permission rules included.
Result<void> set_attributes(const Path& path, const Attributes& values, std::uint32_t mask,
                            const Credentials& credentials);
Result<Attributes> attributes(const Path& path);

// -- mounts -------------------------------------------------------------------------------------
/// The first root (set once by init).
Result<void> mount_root(Ref<FileSystem> fs, std::string_view source);
/// Mounts on `where` (a directory, or a file for bind-like mounts). EBUSY when already a mount's
/// root.
Result<void> mount(const Path& where, Ref<FileSystem> fs, std::string_view source,
                   std::uint32_t flags);
Result<void> unmount(const Path& where, std::uint32_t flags);
Path root_path();
/// For /proc/mounts and mountinfo; stops on false.
struct MountInfo {
    std::uint32_t id;
    std::uint32_t parent_id;
    std::string_view source;
    FileSystem* fs;
    const Path* where;  ///< the mount point in the parent; null for the root
    std::uint32_t flags;
};
void for_each_mount(bool (*visit)(const MountInfo&, void*), void* cookie);

// -- for kernel code ----------------------------------------------------------------------------
/// The context of the kernel itself: root of the mount tree, all permissions, umask 0.
LookupContext kernel_context();
/// Creates what `absolute_name` names, of any type but symlink, after its parents (mode 0755) where
/// they are missing. An existing object of the same type stays; its mode becomes `mode`. EEXIST if it
/// has another type.
Result<Path> create_path(std::string_view absolute_name, std::uint32_t mode, std::uint64_t rdev);
/// A path outside the tree, for an inode that no directory names (memfd, O_TMPFILE): shown by
/// format() as "/NAME (deleted)". The file system stays alive through it.
Result<Path> make_unlinked_path(Ref<FileSystem> fs, Ref<Inode> inode, std::string_view name);
/// Opens the inode a Path leads to, without looking at names or permissions.
Result<Ref<File>> open_path(const Path& path, std::uint32_t flags);
/// Drops up to `wanted` cached names that nobody uses (mem's reclaim hook); returns how many.
std::size_t reclaim_names(std::size_t wanted);

}  // namespace kiln::vfs
