#include "overlay_inode.hpp"

#include <algorithm>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>

namespace kiln::fs {
namespace {

// Names that exist above only while an operation is under way: no path can hold a slash.
constexpr std::string_view kNewName = "/new";
constexpr std::string_view kWhiteoutName = "/whiteout";

bool is_whiteout(const vfs::Inode& inode) {
    return inode.type() == vfs::kModeCharacter && inode.rdev() == 0;
}

Result<Ref<vfs::Inode>> make_whiteout(vfs::Inode& directory, std::string_view name) {
    return directory.create(name, vfs::kModeCharacter, 0, 0, 0);
}

// Two entries of a directory change places, which takes no memory.
Result<void> exchange(vfs::Inode& directory, std::string_view name_a, vfs::Inode& a,
                      std::string_view name_b, vfs::Inode& b) {
    return directory.rename(name_a, a, directory, name_b, &b, abi::kRENAME_EXCHANGE);
}

OverlayInode& overlay_of(vfs::Inode& inode) { return static_cast<OverlayInode&>(inode); }

}  // namespace

Result<vfs::Attributes> OverlayInode::attributes() {
    vfs::Attributes a = TRY(real().attributes());
    a.inode_number = number_;
    a.device = fs_->device_number();
    // As Linux's overlayfs: the subdirectories of a merged directory are not counted.
    if (is_directory() && upper() && lower_) a.links = a.links == 0 ? 0 : 1;
    if (!upper()) a.links -= std::min(a.links, names_removed_.load(std::memory_order_relaxed));
    return a;
}

Result<void> OverlayInode::set_attributes(const vfs::Attributes& values, std::uint32_t mask) {
    vfs::Inode* u = TRY(copy_up((mask & vfs::kSetSize) != 0 ? values.size : UINT64_MAX));
    sched::WriteGuard guard(u->lock());
    TRY(u->set_attributes(values, mask));
    mode_.store(u->mode(), std::memory_order_relaxed);
    uid_.store(u->uid(), std::memory_order_relaxed);
    gid_.store(u->gid(), std::memory_order_relaxed);
    return {};
}

Result<std::size_t> OverlayInode::write(mem::IoBuffer& from, std::uint64_t offset) {
    vfs::Inode* u = TRY(copy_up());
    sched::WriteGuard guard(u->lock());
    return u->write(from, offset);
}

Result<void> OverlayInode::allocate(int mode, std::uint64_t offset, std::uint64_t length) {
    vfs::Inode* u = TRY(copy_up());
    sched::WriteGuard guard(u->lock());
    return u->allocate(mode, offset, length);
}

Result<Ref<vfs::File>> OverlayInode::open(const vfs::OpenContext& context) {
    if (!is_regular()) return Inode::open(context);
    const bool truncates = (context.flags & abi::kO_TRUNC) != 0;
    if (truncates || (context.flags & abi::kO_ACCMODE) != abi::kO_RDONLY)
        TRY(copy_up(truncates ? 0 : UINT64_MAX));
    return real().open(context);
}

// -- copy-up ---------------------------------------------------------------------------------------

// From the top, without recursion: a tree may be deeper than the stack.
Result<vfs::Inode*> OverlayInode::copy_up(std::uint64_t size_limit) {
    while (!upper()) {
        OverlayInode* top = this;
        while (!top->parent_->upper()) top = top->parent_.get();
        TRY(top->copy_up_one(top == this ? size_limit : UINT64_MAX));
    }
    return upper();
}

Result<void> OverlayInode::copy_contents(vfs::Inode& to, std::uint64_t size) {
    if (size == 0) return {};
    Ref<vm::MemoryObject> object = TRY(lower_->memory_object());
    sched::WriteGuard guard(to.lock());
    std::uint64_t offset = 0;
    while (offset < size) {
        const vm::ObjectPage page = TRY(object->get_page(offset / kPageSize, hal::Access::kRead));
        const std::size_t n =
            static_cast<std::size_t>(std::min<std::uint64_t>(kPageSize, size - offset));
        mem::IoBuffer from = mem::IoBuffer::kernel(hal::phys_to_virt(page.page), n);
        const Result<std::size_t> written = to.write(from, offset);
        mem::unref_page(page.page);
        if (!written.ok()) return written.error();
        if (written.value() < n) return Errno::kENOSPC;
        offset += n;
    }
    return {};
}

Result<void> OverlayInode::copy_up_one(std::uint64_t size_limit) {
    sched::MutexGuard copy_guard(overlay().copy_lock());
    if (upper()) return {};
    const vfs::Attributes a = TRY(lower_->attributes());
    const bool other_names = !is_directory() && a.links > 1;
    if (other_names) TRY(overlay().reserve_pin());
    vfs::Inode& directory = *parent_->upper();
    // Held to the end: nobody sees a half copy.
    sched::WriteGuard guard(directory.lock());
    Ref<vfs::Inode> made;
    if (is_symlink()) {
        mem::Vector<char> target;
        TRY(target.resize(4096));
        const std::size_t n = TRY(lower_->read_link(target.span()));
        made = TRY(directory.symlink(name_.view(), {target.data(), n}, a.uid, a.gid));
    } else {
        made = TRY(directory.create(name_.view(), a.mode, a.rdev, a.uid, a.gid));
    }
    Result<void> filled;
    if (is_regular()) filled = copy_contents(*made, std::min(a.size, size_limit));
    if (filled.ok()) {
        sched::WriteGuard made_guard(made->lock());
        filled = made->set_attributes(a, vfs::kSetAtime | vfs::kSetMtime |
                                             (is_symlink() ? 0u : std::uint32_t{vfs::kSetMode}));
    }
    if (!filled.ok()) {
        (void)(is_directory() ? directory.rmdir(name_.view(), *made)
                              : directory.unlink(name_.view(), *made));
        return filled.error();
    }
    if (other_names) TRY(overlay().pin(*this));
    {
        sync::SpinGuard table(overlay().table_lock());
        made->layer_mark().above = this;
    }
    made->layer_mark().lower = lower_;
    upper_.store(made.release(), std::memory_order_release);
    return {};
}

// -- directories -----------------------------------------------------------------------------------

Result<Ref<vfs::Inode>> OverlayInode::lookup(std::string_view name) {
    if (!is_directory()) return Errno::kENOTDIR;
    if (vfs::Inode* u = upper()) {
        sched::ReadGuard guard(u->lock());
        Result<Ref<vfs::Inode>> found = u->lookup(name);
        if (found.ok()) {
            if (is_whiteout(*found.value())) return Errno::kENOENT;
            Ref<vfs::Inode> covered = found.value()->layer_mark().lower;
            return overlay().get(std::move(found).value(), std::move(covered), nullptr, {});
        }
        if (found.error() != Errno::kENOENT) return found.error();
    }
    if (!lower_) return Errno::kENOENT;
    sched::ReadGuard guard(lower_->lock());
    Ref<vfs::Inode> found = TRY(lower_->lookup(name));
    return overlay().get(nullptr, std::move(found), this, name);
}

bool OverlayInode::lower_has(std::string_view name) {
    if (!lower_) return false;
    sched::ReadGuard guard(lower_->lock());
    return lower_->lookup(name).ok();
}

// Makes an object above. Where a whiteout is, the two change places, so that a failure half-way does
// not bring back what is covered.
template <typename Make>
Result<Ref<vfs::Inode>> OverlayInode::make(std::string_view name, Make make_in) {
    if (!is_directory()) return Errno::kENOTDIR;
    vfs::Inode& u = *TRY(copy_up());
    Ref<vfs::Inode> made;
    {
        sched::WriteGuard guard(u.lock());
        const Result<Ref<vfs::Inode>> there = u.lookup(name);
        if (!there.ok()) {
            made = TRY(make_in(u, name));
        } else {
            made = TRY(make_in(u, kNewName));
            vfs::Inode& whiteout = *there.value();
            const Result<void> swapped = exchange(u, kNewName, *made, name, whiteout);
            if (!swapped.ok()) {
                (void)(made->is_directory() ? u.rmdir(kNewName, *made) : u.unlink(kNewName, *made));
                return swapped.error();
            }
            (void)u.unlink(kNewName, whiteout);
        }
    }
    Ref<vfs::Inode> covered = made->layer_mark().lower;
    return overlay().get(std::move(made), std::move(covered), nullptr, {});
}

Result<Ref<vfs::Inode>> OverlayInode::create(std::string_view name, std::uint32_t mode,
                                             std::uint64_t rdev, std::uint32_t uid,
                                             std::uint32_t gid) {
    // It would be a whiteout; Linux's overlayfs refuses it, too.
    if ((mode & vfs::kModeTypeMask) == vfs::kModeCharacter && rdev == 0) return Errno::kEPERM;
    return make(name, [&](vfs::Inode& directory, std::string_view n) {
        return directory.create(n, mode, rdev, uid, gid);
    });
}

Result<Ref<vfs::Inode>> OverlayInode::symlink(std::string_view name, std::string_view target,
                                              std::uint32_t uid, std::uint32_t gid) {
    return make(name, [&](vfs::Inode& directory, std::string_view n) {
        return directory.symlink(n, target, uid, gid);
    });
}

Result<void> OverlayInode::link(std::string_view name, Inode& target) {
    vfs::Inode& source = *TRY(overlay_of(target).copy_up());
    TRY(make(name, [&](vfs::Inode& directory, std::string_view n) -> Result<Ref<vfs::Inode>> {
        TRY(directory.link(n, source));
        return Ref<vfs::Inode>(&source);
    }));
    return {};
}

Result<Ref<vfs::Inode>> OverlayInode::create_unnamed(std::uint32_t mode, std::uint32_t uid,
                                                     std::uint32_t gid) {
    if (!is_directory()) return Errno::kENOTDIR;
    vfs::Inode& u = *TRY(copy_up());
    Ref<vfs::Inode> made;
    {
        sched::WriteGuard guard(u.lock());
        made = TRY(u.create_unnamed(mode, uid, gid));
    }
    return overlay().get(std::move(made), nullptr, nullptr, {});
}

Result<void> OverlayInode::remove_upper(vfs::Inode& u, std::string_view name, bool directory) {
    const bool cover = lower_has(name);
    sched::WriteGuard guard(u.lock());
    const Result<Ref<vfs::Inode>> there = u.lookup(name);
    if (!there.ok()) {
        if (there.error() != Errno::kENOENT) return there.error();
        if (cover) TRY(make_whiteout(u, name));
        return {};
    }
    vfs::Inode& gone = *there.value();
    if (!cover) return directory ? u.rmdir(name, gone) : u.unlink(name, gone);
    Ref<vfs::Inode> whiteout = TRY(make_whiteout(u, kWhiteoutName));
    Result<void> done = exchange(u, kWhiteoutName, *whiteout, name, gone);
    if (!done.ok()) {
        (void)u.unlink(kWhiteoutName, *whiteout);
        return done;
    }
    if (directory) {
        sched::WriteGuard gone_guard(gone.lock());
        done = u.rmdir(kWhiteoutName, gone);
    } else {
        done = u.unlink(kWhiteoutName, gone);
    }
    if (!done.ok()) {
        (void)exchange(u, kWhiteoutName, gone, name, *whiteout);
        (void)u.unlink(kWhiteoutName, *whiteout);
    }
    return done;
}

Result<void> OverlayInode::unlink(std::string_view name, Inode& target) {
    vfs::Inode& u = *TRY(copy_up());
    TRY(remove_upper(u, name, false));
    overlay_of(target).names_removed_.fetch_add(1, std::memory_order_relaxed);
    return {};
}

namespace {

// Stops at the first entry.
class AnyEntry final : public vfs::DirectorySink {
public:
    bool add(std::string_view, std::uint64_t, std::uint32_t, std::uint64_t) override {
        found = true;
        return false;
    }
    bool found = false;
};

class FirstName final : public vfs::DirectorySink {
public:
    bool add(std::string_view name, std::uint64_t, std::uint32_t, std::uint64_t) override {
        length = name.copy(text, sizeof(text));
        return false;
    }
    std::string_view name() const { return {text, length}; }
    char text[256];
    std::size_t length = 0;
};

}  // namespace

Result<void> OverlayInode::clear() {
    AnyEntry any;
    TRY(read_directory(0, any));
    if (any.found) return Errno::kENOTEMPTY;
    vfs::Inode* u = upper();
    if (!u) return {};
    sched::WriteGuard guard(u->lock());
    for (;;) {
        FirstName first;
        TRY(u->read_directory(0, first));
        if (first.length == 0) return {};
        Ref<vfs::Inode> whiteout = TRY(u->lookup(first.name()));
        TRY(u->unlink(first.name(), *whiteout));
    }
}

Result<void> OverlayInode::rmdir(std::string_view name, Inode& target) {
    OverlayInode& victim = overlay_of(target);
    TRY(victim.clear());
    vfs::Inode& u = *TRY(copy_up());
    TRY(remove_upper(u, name, true));
    victim.names_removed_.fetch_add(1, std::memory_order_relaxed);
    return {};
}

Result<void> OverlayInode::rename(std::string_view old_name, Inode& moved, Inode& new_parent,
                                  std::string_view new_name, Inode* replaced, std::uint32_t flags) {
    OverlayInode& to = overlay_of(new_parent);
    const bool swaps = (flags & abi::kRENAME_EXCHANGE) != 0;
    vfs::Inode& moved_upper = *TRY(overlay_of(moved).copy_up());
    vfs::Inode& from_upper = *TRY(copy_up());
    vfs::Inode& to_upper = *TRY(to.copy_up());
    if (replaced) {
        if (swaps) {
            TRY(overlay_of(*replaced).copy_up());
        } else if (replaced->is_directory()) {
            TRY(overlay_of(*replaced).clear());
        }
    }
    const bool cover = !swaps && lower_has(old_name);

    // Whoever holds one of these two locks and wants another holds the overlay's directory locks,
    // as we do: no deadlock, in either order.
    sched::WriteGuard from_guard(from_upper.lock());
    const bool two = &to_upper != &from_upper;
    if (two) to_upper.lock().write_lock();
    const auto run = [&]() -> Result<void> {
        Ref<vfs::Inode> there;
        const Result<Ref<vfs::Inode>> found = to_upper.lookup(new_name);
        if (found.ok()) there = found.value();
        if (!cover)
            return from_upper.rename(old_name, moved_upper, to_upper, new_name, there.get(), flags);
        // The whiteout takes the place first: afterwards nothing may fail.
        Ref<vfs::Inode> whiteout = TRY(make_whiteout(from_upper, kWhiteoutName));
        Result<void> done = exchange(from_upper, kWhiteoutName, *whiteout, old_name, moved_upper);
        if (done.ok()) {
            done = from_upper.rename(kWhiteoutName, moved_upper, to_upper, new_name, there.get(),
                                     flags);
            if (done.ok()) return done;
            (void)exchange(from_upper, kWhiteoutName, moved_upper, old_name, *whiteout);
        }
        (void)from_upper.unlink(kWhiteoutName, *whiteout);
        return done;
    };
    Result<void> result = run();
    if (two) to_upper.lock().write_unlock();
    if (result.ok() && replaced && !swaps)
        overlay_of(*replaced).names_removed_.fetch_add(1, std::memory_order_relaxed);
    return result;
}

namespace {

// Offsets of the lower directory's entries, which come after the upper one's.
constexpr std::uint64_t kLowerOffset = std::uint64_t{1} << 61;

class UpperSink final : public vfs::DirectorySink {
public:
    UpperSink(vfs::Inode& upper, vfs::DirectorySink& to, std::uint64_t upper_bit)
        : upper_(upper), to_(to), upper_bit_(upper_bit) {}
    bool add(std::string_view name, std::uint64_t number, std::uint32_t type,
             std::uint64_t next) override {
        if (name.front() == '/') return true;  // an operation's own
        const Result<Ref<vfs::Inode>> inode = upper_.lookup(name);
        if (inode.ok()) {
            if (is_whiteout(*inode.value())) return true;
            const vfs::Inode* covered = inode.value()->layer_mark().lower.get();
            number = covered ? covered->number() : number | upper_bit_;
        }
        if (to_.add(name, number, type, next)) return true;
        full = true;
        return false;
    }
    bool full = false;

private:
    vfs::Inode& upper_;
    vfs::DirectorySink& to_;
    const std::uint64_t upper_bit_;
};

class LowerSink final : public vfs::DirectorySink {
public:
    LowerSink(vfs::Inode* upper, vfs::DirectorySink& to) : upper_(upper), to_(to) {}
    bool add(std::string_view name, std::uint64_t number, std::uint32_t type,
             std::uint64_t next) override {
        if (upper_ && upper_->lookup(name).ok()) return true;  // covered, or a whiteout
        return to_.add(name, number, type, next | kLowerOffset);
    }

private:
    vfs::Inode* upper_;
    vfs::DirectorySink& to_;
};

}  // namespace

Result<void> OverlayInode::read_directory(std::uint64_t offset, vfs::DirectorySink& sink) {
    if (!is_directory()) return Errno::kENOTDIR;
    vfs::Inode* u = upper();
    if (u) u->lock().read_lock();
    const auto run = [&]() -> Result<void> {
        if (u && (offset & kLowerOffset) == 0) {
            UpperSink upper_sink(*u, sink, kUpperNumber);
            TRY(u->read_directory(offset, upper_sink));
            if (upper_sink.full) return {};
            offset = kLowerOffset;
        }
        if (!lower_) return {};
        LowerSink lower_sink(u, sink);
        sched::ReadGuard guard(lower_->lock());
        return lower_->read_directory(offset & ~kLowerOffset, lower_sink);
    };
    const Result<void> result = run();
    if (u) u->lock().read_unlock();
    return result;
}

}  // namespace kiln::fs
