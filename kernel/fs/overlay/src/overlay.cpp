#include <kiln/fs/overlay.hpp>

#include <kiln/abi/linux/stat.hpp>
#include <kiln/mem/heap.hpp>

#include "overlay_inode.hpp"

namespace kiln::fs {
namespace {

std::uint64_t number_of(const Ref<vfs::Inode>& upper, const Ref<vfs::Inode>& lower) {
    return lower ? lower->number() : upper->number() | kUpperNumber;
}

}  // namespace

OverlayInode::OverlayInode(OverlayFs& fs, Ref<vfs::Inode> upper, Ref<vfs::Inode> lower,
                           OverlayInode* parent, mem::String name)
    : Inode(fs, number_of(upper, lower), (upper ? upper : lower)->mode(),
            (upper ? upper : lower)->uid(), (upper ? upper : lower)->gid(), 1,
            (upper ? upper : lower)->rdev()),
      upper_(upper.release()),
      lower_(std::move(lower)),
      parent_(parent),
      name_(std::move(name)) {}

OverlayInode::~OverlayInode() {
    overlay().forget(*this);
    if (vfs::Inode* u = upper()) u->unref();
}

Result<void> OverlayFs::init() {
    Ref<vfs::Inode> upper = upper_->root();
    Ref<vfs::Inode> lower = lower_->root();
    upper->layer_mark().lower = lower;
    root_ = TRY(get(std::move(upper), std::move(lower), nullptr, {}));
    return {};
}

vfs::FileSystemInfo OverlayFs::info() {
    vfs::FileSystemInfo info = upper_->info();
    info.magic = abi::kOVERLAYFS_SUPER_MAGIC;
    return info;
}

// The same object for the same inode, as long as it lives: found through the inodes it is made of.
// One that is just being destroyed can't be taken any more and is replaced.
Result<Ref<vfs::Inode>> OverlayFs::get(Ref<vfs::Inode> upper, Ref<vfs::Inode> lower,
                                       OverlayInode* parent, std::string_view name) {
    vfs::Inode& key = upper ? *upper : *lower;
    const auto find_locked = [&key]() -> Ref<vfs::Inode> {
        vfs::Inode* above = key.layer_mark().above;
        return above && above->try_ref() ? Ref<vfs::Inode>::adopt(above) : Ref<vfs::Inode>();
    };
    {
        sync::SpinGuard guard(table_lock_);
        if (Ref<vfs::Inode> found = find_locked()) return found;
    }
    mem::String own_name;
    if (!upper) own_name = TRY(mem::String::create(name));
    Ref<OverlayInode> made = TRY(mem::make_ref<OverlayInode>(
        *this, upper, lower, upper ? nullptr : parent, std::move(own_name)));
    Ref<vfs::Inode> found;
    {
        sync::SpinGuard guard(table_lock_);
        found = find_locked();
        if (!found) {
            if (upper) upper->layer_mark().above = made.get();
            if (lower) lower->layer_mark().above = made.get();
        }
    }
    if (found) return found;
    return Ref<vfs::Inode>(std::move(made));
}

void OverlayFs::forget(OverlayInode& inode) {
    sync::SpinGuard guard(table_lock_);
    for (vfs::Inode* real : {inode.upper(), inode.lower()}) {
        if (real && real->layer_mark().above == &inode) real->layer_mark().above = nullptr;
    }
}

Result<void> OverlayFs::reserve_pin() { return pinned_.reserve(pinned_.size() + 1); }

Result<void> OverlayFs::pin(OverlayInode& inode) {
    return pinned_.push_back(Ref<vfs::Inode>(&inode));
}

Result<Ref<vfs::FileSystem>> create_overlay(Ref<vfs::FileSystem> lower,
                                            Ref<vfs::FileSystem> upper) {
    if (!lower->root()->is_directory() || !upper->root()->is_directory()) return Errno::kENOTDIR;
    Ref<OverlayFs> fs = TRY(mem::make_ref<OverlayFs>(std::move(lower), std::move(upper)));
    TRY(fs->init());
    return Ref<vfs::FileSystem>(std::move(fs));
}

}  // namespace kiln::fs
