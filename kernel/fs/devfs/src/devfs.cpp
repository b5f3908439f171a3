// /dev: a ramfs that knows the registered devices. A device's node is made when it is first looked up,
// so that mounting costs nothing; from then on it is a node like any other: it can be removed, and does
// not come back.
#include <kiln/abi/linux/stat.hpp>
#include <kiln/fs/ramfs.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/vfs/device.hpp>

namespace kiln::fs {
namespace {

/// Links that /dev has on every Linux (Documentation/admin-guide/devices.rst, "Compulsory links").
struct StandardLink {
    std::string_view name;
    std::string_view target;
};
constexpr StandardLink kLinks[] = {
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

class DevDirectory final : public RamDirectory {
public:
    explicit DevDirectory(RamFs& fs) : RamDirectory(fs, 0755, 0, 0) {}

    Result<Ref<vfs::Inode>> lookup(std::string_view name) override {
        sched::MutexGuard guard(lock_);
        const Result<Ref<vfs::Inode>> there = RamDirectory::lookup(name);
        if (there.ok()) return Ref<vfs::Inode>(there.value());
        TRY(populate(name));
        return RamDirectory::lookup(name);
    }
    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override {
        sched::MutexGuard guard(lock_);
        TRY(populate({}));
        return RamDirectory::read_directory(offset, sink);
    }

private:
    struct Wanted {
        DevDirectory& directory;
        std::string_view name;
        std::uint32_t index;
        Errno error;
    };

    // Makes the node called `name`, or all if it is empty, unless it was made before.
    Result<void> populate(std::string_view name) {
        Wanted wanted{*this, name, 0, Errno::kOk};
        vfs::for_each_char_device(
            [](const vfs::CharDevice& device, void* cookie) {
                auto& w = *static_cast<Wanted*>(cookie);
                const std::uint32_t index = w.index++;
                if (!w.name.empty() && w.name != device.name) return;
                if (!w.directory.claim(index)) return;
                const auto made =
                    w.directory.create(device.name, vfs::kModeCharacter | device.mode,
                                       abi::make_device(device.major, device.minor), 0, 0);
                w.directory.settle(index, made.error(), &w.error);
            },
            &wanted);
        for (const StandardLink& link : kLinks) {
            const std::uint32_t index = wanted.index++;
            if (!name.empty() && name != link.name) continue;
            if (!claim(index)) continue;
            const auto made = symlink(link.name, link.target, 0, 0);
            settle(index, made.error(), &wanted.error);
        }
        if (wanted.error != Errno::kOk) return wanted.error;
        return {};
    }
    bool claim(std::uint32_t index) {
        const std::uint64_t bit = std::uint64_t{1} << (index % 64);
        if ((made_[index / 64 % kWords] & bit) != 0) return false;
        made_[index / 64 % kWords] |= bit;
        return true;
    }
    // What failed for lack of memory is made the next time; a node that somebody put there stays.
    void settle(std::uint32_t index, Errno error, Errno* out) {
        if (error == Errno::kOk || error == Errno::kEEXIST) return;
        made_[index / 64 % kWords] &= ~(std::uint64_t{1} << (index % 64));
        *out = error;
    }

    static constexpr std::uint32_t kWords = 4;
    // The VFS holds the inode's lock shared for look-ups, and these change the directory.
    sched::Mutex lock_{sync::LockRank::kFile};
    std::uint64_t made_[kWords] = {};  // devices, then links, by index
};

class DevFs final : public RamFs {
public:
    explicit DevFs(Ref<RamUsage> usage) : RamFs(std::move(usage)) {}
    std::string_view type_name() const override { return "devtmpfs"; }

    static Result<Ref<vfs::FileSystem>> create_from(const vfs::MountSource&) {
        Ref<RamUsage> usage = TRY(mem::make_ref<RamUsage>(UINT64_MAX));
        Ref<DevFs> fs = TRY(mem::make_ref<DevFs>(std::move(usage)));
        fs->root_ = TRY(mem::make_ref<DevDirectory>(*fs));
        return Ref<vfs::FileSystem>(std::move(fs));
    }
};

}  // namespace
}  // namespace kiln::fs

KILN_FILESYSTEM(devtmpfs, "devtmpfs", kiln::fs::DevFs::create_from);
