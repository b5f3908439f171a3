#include "walk.hpp"

#include <cstring>

#include <kiln/mem/heap.hpp>

#include "mount_table.hpp"

namespace kiln::vfs {

Walk::~Walk() {
    KILN_ASSERT(!locked_);
    mem::release(buffer_);
}

void Walk::lock() {
    DentryCache::lock().lock();
    locked_ = true;
}

void Walk::unlock() {
    locked_ = false;
    DentryCache::lock().unlock();
}

// The old references go after the lock: the last one may free an inode with all its pages.
void Walk::pin_and_unlock() {
    Path here{Ref<Mount>(mount_), Ref<Dentry>(dentry_)};
    unlock();
    std::swap(hold_, here);
}

// path_resolution(7): the empty name does not exist.
Result<void> Walk::start(std::string_view name) {
    if (name.empty()) return Errno::kENOENT;
    if (name.size() >= kPathMax) return Errno::kENAMETOOLONG;
    if (name.front() == '/') {
        if ((flags_ & kLookupBeneath) != 0) return Errno::kEXDEV;
        if ((flags_ & kLookupInRoot) != 0) {
            mount_ = context_.cwd.mount();
            dentry_ = context_.cwd.dentry();
        } else {
            mount_ = context_.root.mount();
            dentry_ = context_.root.dentry();
        }
    } else {
        mount_ = context_.cwd.mount();
        dentry_ = context_.cwd.dentry();
    }
    if (!mount_) return Errno::kENOENT;
    rest_ = name;
    return {};
}

Result<Path> Walk::resolve(std::string_view name) {
    if (name.empty() && (flags_ & kLookupEmptyPath) != 0) return Path(context_.cwd);
    TRY(start(name));
    TRY(run(Stop::kAtEnd));
    if ((flags_ & kLookupDirectory) != 0 && !hold_.inode()->is_directory()) return Errno::kENOTDIR;
    return std::move(hold_);
}

Result<void> Walk::to_parent(std::string_view name) {
    TRY(start(name));
    return run(Stop::kBeforeLast);
}

Result<bool> Walk::follow_last(const Path& link) {
    bool magic = false;
    TRY(enter_link(Ref<Dentry>(link.dentry()), trailing_slash_ ? "/" : "", &magic));
    if (magic) return true;
    TRY(run(Stop::kBeforeLast));
    return false;
}

Result<void> Walk::run(Stop stop) {
    lock();
    const Result<void> result = run_locked(stop);
    if (result.ok()) {
        pin_and_unlock();
    } else if (locked_) {
        unlock();
    }
    return result;
}

// link_path_walk() and walk_component() of Linux's fs/namei.c tell the order of the errors.
// Entered and left with the lock held, save on errors.
Result<void> Walk::run_locked(Stop stop) {
    last_kind_ = Last::kRoot;
    for (;;) {
        while (!rest_.empty() && rest_.front() == '/') rest_.remove_prefix(1);
        if (rest_.empty()) {
            if (trailing_slash_ && !dentry_->inode()->is_directory()) return Errno::kENOTDIR;
            return {};
        }

        Inode& directory = *dentry_->inode();
        if (!directory.is_directory()) return Errno::kENOTDIR;
        if (!is_permitted(directory, 1, context_.credentials)) return Errno::kEACCES;

        NameHash hash(*dentry_);
        std::size_t length = 0;
        while (length < rest_.size() && rest_[length] != '/') hash.add(rest_[length++]);
        const std::string_view component = rest_.substr(0, length);
        const std::string_view after = rest_.substr(length);
        std::size_t slashes = 0;
        while (slashes < after.size() && after[slashes] == '/') slashes++;
        const bool is_last = slashes == after.size();

        Last kind = Last::kNormal;
        if (component == ".") kind = Last::kDot;
        if (component == "..") kind = Last::kDotDot;
        if (is_last) {
            last_ = component;
            last_kind_ = kind;
            trailing_slash_ = slashes != 0;
            if (stop == Stop::kBeforeLast) return {};
        }
        if (kind != Last::kNormal) {
            if (kind == Last::kDotDot) TRY(step_up_locked());
            rest_ = after;
            continue;
        }
        if (length > kNameMax) return Errno::kENAMETOOLONG;

        Dentry* child = DentryCache::find_locked(*dentry_, component, hash.value());
        Ref<Dentry> found;
        if (!child) {
            pin_and_unlock();
            found = TRY(load_child(component));
            child = found.get();
        }
        const Inode* inode = child->inode();
        if (!inode) return Errno::kENOENT;

        if (inode->is_symlink() && (!is_last || slashes != 0 || (flags_ & kLookupFollow) != 0)) {
            if (!found) {
                found = Ref<Dentry>(child);
                pin_and_unlock();
            }
            bool magic = false;
            TRY(enter_link(std::move(found), after, &magic));
            lock();
            continue;
        }

        if (found) {
            // Stand on it before the lock: nothing else may hold it.
            hold_ = Path(Ref<Mount>(mount_), found);
            lock();
        }
        dentry_ = child;
        while (dentry_->mounts() != 0) {
            Mount* mounted = MountTable::find_locked(*mount_, *dentry_);
            if (!mounted) break;
            if ((flags_ & kLookupNoXdev) != 0) return Errno::kEXDEV;
            mount_ = mounted;
            dentry_ = &mounted->root();
        }
        rest_ = after;
    }
}

Result<Ref<Dentry>> Walk::load_child(std::string_view component) {
    Dentry& directory = *hold_.dentry();
    sched::ReadGuard guard(directory.inode()->lock());
    return lookup_locked(directory, component);
}

// "..": not above the process's root; from the root of a mount to where it is mounted.
Result<void> Walk::step_up_locked() {
    const bool in_root = (flags_ & kLookupInRoot) != 0;
    const Path& top = in_root ? context_.cwd : context_.root;
    if ((flags_ & kLookupBeneath) != 0 && dentry_ == context_.cwd.dentry() &&
        mount_ == context_.cwd.mount())
        return Errno::kEXDEV;
    for (;;) {
        if (dentry_ == top.dentry() && mount_ == top.mount()) return {};
        if (dentry_ != &mount_->root()) break;
        if (!mount_->parent()) return {};
        if ((flags_ & kLookupNoXdev) != 0) return Errno::kEXDEV;
        dentry_ = mount_->mount_point();
        mount_ = mount_->parent();
    }
    if (!dentry_->parent()) return {};
    dentry_ = dentry_->parent();
    while (dentry_->mounts() != 0) {
        Mount* mounted = MountTable::find_locked(*mount_, *dentry_);
        if (!mounted) break;
        mount_ = mounted;
        dentry_ = &mounted->root();
    }
    return {};
}

// The lock is not held; hold_ is the directory with the link in it. What is left of the name comes
// after the target in a new buffer, so that the walk has one string to read, whatever the nesting.
Result<void> Walk::enter_link(Ref<Dentry> link, std::string_view rest, bool* magic) {
    if ((flags_ & kLookupNoSymlinks) != 0) return Errno::kELOOP;
    if (++links_followed_ > kMaxSymlinks) return Errno::kELOOP;
    Inode& inode = *link->inode();
    if (inode.is_magic_link()) {
        if ((flags_ & kLookupNoMagicLinks) != 0) return Errno::kELOOP;
        if ((flags_ & (kLookupBeneath | kLookupInRoot)) != 0) return Errno::kEXDEV;
        Path target = TRY(inode.follow());
        if (!target.inode()) return Errno::kENOENT;
        std::swap(hold_, target);
        mount_ = hold_.mount();
        dentry_ = hold_.dentry();
        rest_ = rest;
        *magic = true;
        return {};
    }

    char small[256];
    std::size_t length = TRY(inode.read_link(small));
    if (length == 0) return Errno::kENOENT;
    const bool is_long = length == sizeof(small);
    const std::size_t room = is_long ? kPathMax : length;
    char* buffer = static_cast<char*>(mem::allocate(room + rest.size()));
    if (!buffer) return Errno::kENOMEM;
    if (is_long) {
        const auto target = inode.read_link({buffer, kPathMax});
        if (!target.ok()) {
            mem::release(buffer);
            return target.error();
        }
        length = target.value();
    } else {
        std::memcpy(buffer, small, length);
    }
    std::memcpy(buffer + length, rest.data(), rest.size());
    rest_ = {buffer, length + rest.size()};
    mem::release(std::exchange(buffer_, buffer));
    if (rest_.front() == '/') {
        if ((flags_ & kLookupBeneath) != 0) return Errno::kEXDEV;
        const Path& top = (flags_ & kLookupInRoot) != 0 ? context_.cwd : context_.root;
        mount_ = top.mount();
        dentry_ = top.dentry();
    }
    return {};
}

Result<Ref<Dentry>> lookup_locked(Dentry& directory, std::string_view name) {
    if (name.size() > kNameMax) return Errno::kENAMETOOLONG;
    Inode& inode = *directory.inode();
    const bool cached = inode.file_system().caches_names();
    if (cached) {
        Ref<Dentry> known = DentryCache::find(directory, name, NameHash::of(directory, name));
        if (known) return known;
    }
    Result<Ref<Inode>> found = inode.lookup(name);
    if (!found.ok() && found.error() != Errno::kENOENT) return found.error();
    Ref<Dentry> dentry =
        TRY(Dentry::create(&directory, name, found.ok() ? std::move(found).value() : Ref<Inode>()));
    if (!cached) return dentry;
    return DentryCache::insert(std::move(dentry));
}

void cross_mounts(Path* path) {
    for (;;) {
        if (!path->dentry() || path->dentry()->mounts() == 0) return;
        Path next;
        {
            sync::SpinGuard guard(DentryCache::lock());
            Mount* mounted = MountTable::find_locked(*path->mount(), *path->dentry());
            if (!mounted) return;
            next = Path(Ref<Mount>(mounted), Ref<Dentry>(&mounted->root()));
        }
        *path = std::move(next);
    }
}

}  // namespace kiln::vfs
