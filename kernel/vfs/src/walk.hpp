// The walk along a path name.
#pragma once

#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::vfs {

/// What the last component of a name is.
enum class Last : std::uint8_t { kNormal, kDot, kDotDot, kRoot };

/// One look-up. Where it stands is `mount_` and `dentry_`: bare pointers, valid while the cache
/// lock is held or `hold_` (or the context) has references to them.
class Walk {
public:
    /// `context` stays valid and unchanged while the Walk lives.
    Walk(const LookupContext& context, std::uint32_t flags) : context_(context), flags_(flags) {}
    ~Walk();
    KILN_NON_COPYABLE(Walk);

    /// The whole name.
    Result<Path> resolve(std::string_view name);

    /// All but the last component; afterwards directory(), last(), last_kind(), trailing_slash().
    Result<void> to_parent(std::string_view name);
    const Path& directory() const { return hold_; }
    std::string_view last() const { return last_; }
    Last last_kind() const { return last_kind_; }
    bool trailing_slash() const { return trailing_slash_; }

    /// `link` is a symlink found under last(): goes on to the parent of its target. A magic link
    /// has a target without a name: true, and directory() is the target itself.
    Result<bool> follow_last(const Path& link);

private:
    enum class Stop : std::uint8_t { kAtEnd, kBeforeLast };
    Result<void> start(std::string_view name);
    Result<void> run(Stop stop);
    Result<void> run_locked(Stop stop);
    Result<void> step_up_locked();
    Result<Ref<Dentry>> load_child(std::string_view component);
    Result<void> enter_link(Ref<Dentry> link, std::string_view rest, bool* magic);
    /// Takes references to the place and gives up the lock.
    void pin_and_unlock();
    void lock();
    void unlock();

    const LookupContext& context_;
    const std::uint32_t flags_;
    Mount* mount_ = nullptr;
    Dentry* dentry_ = nullptr;
    Path hold_;
    std::string_view rest_;
    char* buffer_ = nullptr;  // what rest_ points into after a symlink
    std::string_view last_;
    Last last_kind_ = Last::kNormal;
    bool trailing_slash_ = false;
    bool locked_ = false;
    unsigned links_followed_ = 0;
};

/// The entry `name` of `directory`, whose lock the caller holds; negative if it does not exist.
Result<Ref<Dentry>> lookup_locked(Dentry& directory, std::string_view name);

/// Steps onto what is mounted on `path`.
void cross_mounts(Path* path);

/// Mode and owner of what is made in a directory.
struct NewObject {
    std::uint32_t mode;
    std::uint32_t uid;
    std::uint32_t gid;
};
NewObject new_object(const Inode& directory, std::uint32_t mode, const LookupContext& context);
/// May something be made in it? ENOENT when the directory is removed; EACCES.
Result<void> check_create(const Path& directory, const Credentials& credentials);

// Permission checks (permissions.cpp). `mask`: 4 read, 2 write, 1 search or execute.
bool is_permitted(const Inode& inode, std::uint32_t mask, const Credentials& credentials);
/// EACCES, or EROFS for writing where the file system is read-only.
Result<void> check_permission(const Inode& inode, std::uint32_t mask,
                              const Credentials& credentials);
bool is_owner(const Inode& inode, const Credentials& credentials);

}  // namespace kiln::vfs
