// The tree of mounts.
#pragma once

#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::vfs {

/// Changes are serialised by a mutex (rank kMountList); what a walk reads (the list, parents,
/// mount points) changes under the dentry cache's lock.
class MountTable {
public:
    /// The newest mount on `point` as seen in `parent`; null: none. Cache lock held.
    static Mount* find_locked(const Mount& parent, const Dentry& point);
    static Result<void> add_root(Ref<FileSystem> fs, std::string_view source);
    static Result<void> add(const Path& where, Ref<FileSystem> fs, std::string_view source,
                            std::uint32_t flags);
    static Result<void> remove(const Path& where, std::uint32_t flags);
    static Path root();
    static void for_each(bool (*visit)(const MountInfo&, void*), void* cookie);

private:
    using MountList = List<Mount, &Mount::node_>;
    static MountList& list();
};

}  // namespace kiln::vfs
