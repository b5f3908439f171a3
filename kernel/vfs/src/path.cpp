#include <kiln/vfs/path.hpp>

#include <cstring>

#include <kiln/vfs/dentry.hpp>

namespace kiln::vfs {

Path::Path() = default;
Path::Path(Ref<Mount> mount, Ref<Dentry> dentry)
    : mount_(std::move(mount)), dentry_(std::move(dentry)) {}
Path::Path(const Path&) = default;
Path::Path(Path&&) noexcept = default;
Path& Path::operator=(const Path&) = default;
// Not the defaulted one: what it held must go after the new value is in place.
Path& Path::operator=(Path&& other) noexcept {
    Path old(std::move(*this));
    mount_ = std::move(other.mount_);
    dentry_ = std::move(other.dentry_);
    return *this;
}
// The dentry first: the mount keeps its file system alive.
Path::~Path() { dentry_ = nullptr; }

Path::operator bool() const { return static_cast<bool>(dentry_); }

Inode* Path::inode() const { return dentry_ ? dentry_->inode() : nullptr; }

bool operator==(const Path& a, const Path& b) {
    return a.mount_ == b.mount_ && a.dentry_ == b.dentry_;
}

// Linux's fs/d_path.c. Built from the end of the buffer.
Result<std::size_t> Path::format(std::span<char> out, const Path& root) const {
    if (!dentry_) return Errno::kENOENT;
    std::size_t at = out.size();
    const auto prepend = [&](std::string_view text) {
        if (text.size() > at) return false;
        at -= text.size();
        std::memcpy(out.data() + at, text.data(), text.size());
        return true;
    };
    if (!prepend(std::string_view("\0", 1))) return Errno::kERANGE;
    {
        sync::SpinGuard guard(DentryCache::lock());
        const Mount* mount = mount_.get();
        const Dentry* dentry = dentry_.get();
        if (dentry->is_unlinked() && !prepend(" (deleted)")) return Errno::kERANGE;
        bool at_top = true;
        for (;;) {
            if (dentry == root.dentry() && mount == root.mount()) break;
            if (dentry == &mount->root() || !dentry->parent()) {
                if (dentry == &mount->root() && mount->parent()) {
                    dentry = mount->mount_point();
                    mount = mount->parent();
                    continue;
                }
                if (!dentry->name().empty()) {  // outside the tree: make_unlinked_path()
                    if (!prepend(dentry->name()) || !prepend("/")) return Errno::kERANGE;
                    at_top = false;
                } else if (root) {
                    if (at_top && !prepend("/")) return Errno::kERANGE;
                    if (!prepend("(unreachable)")) return Errno::kERANGE;
                    at_top = false;
                }
                break;
            }
            if (!prepend(dentry->name()) || !prepend("/")) return Errno::kERANGE;
            at_top = false;
            dentry = dentry->parent();
        }
        if (at_top && !prepend("/")) return Errno::kERANGE;
    }
    const std::size_t length = out.size() - at;
    std::memmove(out.data(), out.data() + at, length);
    return length - 1;
}

}  // namespace kiln::vfs
