// /sys, as far as programs read it to count processors and memory nodes (libc's get_nprocs(), libnuma,
// Go, the JVM). A ramfs that is filled when it is first looked into, so that mounting costs nothing.
#include <kiln/abi/linux/stat.hpp>
#include <kiln/fs/ramfs.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/io_buffer.hpp>

namespace kiln::fs {
namespace {

struct SysFile {
    std::string_view path;  ///< a directory if it ends with a slash
    std::string_view text;
};
// One processor and one node, until more are started. /sys/fs/cgroup is absent: there are no control
// groups.
constexpr SysFile kFiles[] = {
    {"devices/system/cpu/online", "0\n"},
    {"devices/system/cpu/possible", "0\n"},
    {"devices/system/cpu/present", "0\n"},
    {"devices/system/cpu/offline", "\n"},
    {"devices/system/cpu/cpu0/topology/core_id", "0\n"},
    {"devices/system/cpu/cpu0/topology/physical_package_id", "0\n"},
    {"devices/system/cpu/cpu0/topology/thread_siblings_list", "0\n"},
    {"devices/system/cpu/cpu0/topology/core_siblings_list", "0\n"},
    {"devices/system/node/online", "0\n"},
    {"devices/system/node/possible", "0\n"},
    {"devices/system/node/node0/cpulist", "0\n"},
    {"kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"},
    {"kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n"},
    {"class/", {}},
    {"fs/", {}},
};

class SysDirectory final : public RamDirectory {
public:
    explicit SysDirectory(RamFs& fs) : RamDirectory(fs, 0555, 0, 0) {}
    Result<Ref<vfs::Inode>> lookup(std::string_view name) override {
        sched::MutexGuard guard(lock_);
        TRY(populate());
        return RamDirectory::lookup(name);
    }
    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override {
        sched::MutexGuard guard(lock_);
        TRY(populate());
        return RamDirectory::read_directory(offset, sink);
    }

private:
    Result<void> populate() {
        for (; made_ < std::size(kFiles); made_++) TRY(make(kFiles[made_]));
        return {};
    }
    // Twice does no harm: what failed half-way is taken up again.
    Result<void> make(const SysFile& file) {
        Ref<vfs::Inode> at(this);
        std::string_view rest = file.path;
        for (std::size_t slash; (slash = rest.find('/')) != std::string_view::npos;
             rest.remove_prefix(slash + 1)) {
            auto& directory = static_cast<RamDirectory&>(*at);
            at = TRY(find_or_create(directory, rest.substr(0, slash), vfs::kModeDirectory | 0555));
        }
        if (rest.empty()) return {};
        Ref<vfs::Inode> inode =
            TRY(find_or_create(static_cast<RamDirectory&>(*at), rest, vfs::kModeRegular | 0444));
        mem::IoBuffer from = mem::IoBuffer::kernel(std::as_bytes(std::span(file.text)));
        TRY(inode->write(from, 0));
        return {};
    }
    Result<Ref<vfs::Inode>> find_or_create(RamDirectory& directory, std::string_view name,
                                           std::uint32_t mode) {
        // Not this class's own look-up, which would come back here.
        const Result<Ref<vfs::Inode>> there = directory.RamDirectory::lookup(name);
        if (there.ok()) return Ref<vfs::Inode>(there.value());
        return directory.create(name, mode, 0, 0, 0);
    }

    // The VFS holds the inode's lock shared for look-ups, and these change the directory.
    sched::Mutex lock_{sync::LockRank::kFile};
    std::size_t made_ = 0;
};

class SysFs final : public RamFs {
public:
    explicit SysFs(Ref<RamUsage> usage) : RamFs(std::move(usage)) {}
    std::string_view type_name() const override { return "sysfs"; }
    vfs::FileSystemInfo info() override {
        vfs::FileSystemInfo info;
        info.magic = abi::kSYSFS_MAGIC;
        return info;
    }
    static Result<Ref<vfs::FileSystem>> create_from(const vfs::MountSource&) {
        Ref<RamUsage> usage = TRY(mem::make_ref<RamUsage>(UINT64_MAX));
        Ref<SysFs> fs = TRY(mem::make_ref<SysFs>(std::move(usage)));
        fs->root_ = TRY(mem::make_ref<SysDirectory>(*fs));
        return Ref<vfs::FileSystem>(std::move(fs));
    }
};

}  // namespace
}  // namespace kiln::fs

KILN_FILESYSTEM(sysfs, "sysfs", kiln::fs::SysFs::create_from);
