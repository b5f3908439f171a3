#include <kiln/fs/boot_root.hpp>

#include <cstring>

#include <config/fs_cpio.hpp>
#include <config/fs_erofs.hpp>

#include <kiln/abi/formats/initrd.hpp>
#include <kiln/abi/formats/launch.hpp>
#include <kiln/fs/cpio.hpp>
#include <kiln/fs/overlay.hpp>
#include <kiln/fs/ramfs.hpp>
#include <kiln/log/log.hpp>
#include <kiln/vfs/file_system.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::fs {
namespace {

using Bytes = std::span<const std::byte>;

bool has_magic(Bytes bytes, std::size_t at, const void* magic, std::size_t length) {
    return at <= bytes.size() && bytes.size() - at >= length &&
           std::memcmp(bytes.data() + at, magic, length) == 0;
}

bool is_erofs(Bytes bytes) {
    return has_magic(bytes, abi::kErofsSuperOffset, &abi::kErofsMagic, sizeof(abi::kErofsMagic));
}

/// What follows a part of `length` bytes: the next multiple of the alignment on.
Bytes after(Bytes bytes, std::uint64_t length) {
    const std::uint64_t next = align_up(length, abi::kInitrdPartAlignment);
    return next < bytes.size() ? bytes.subspan(next) : Bytes();
}

Result<Ref<vfs::FileSystem>> create(std::string_view type, const vfs::MountSource& source) {
    return TRY(vfs::find_file_system_type(type))
    ->create(source);
}

/// A file system that every Linux program expects to find mounted. Types that the configuration leaves out are skipped.
struct StandardMount {
    std::string_view type;
    std::string_view where;
    std::string_view options;
};
constexpr StandardMount kStandardMounts[] = {
    {"devtmpfs", "/dev", ""},
    {"proc", "/proc", ""},
    {"sysfs", "/sys", ""},
    {"tmpfs", "/dev/shm", "mode=1777"},
};

Result<void> mount_standard(const vfs::LookupContext& context, const StandardMount& standard) {
    auto type = vfs::find_file_system_type(standard.type);
    if (!type.ok()) return {};
    vfs::MountSource source{};
    source.options = standard.options;
    auto where = vfs::lookup(context, standard.where, vfs::kLookupFollow | vfs::kLookupDirectory);
    if (!where.ok()) {
        TRY(vfs::make_directory(context, standard.where, 0755));
        where = vfs::lookup(context, standard.where, vfs::kLookupFollow | vfs::kLookupDirectory);
        if (!where.ok()) return where.error();
    }
    return vfs::mount(*where, TRY((*type)->create(source)), standard.type, 0);
}

/// The directories that programs write to; an image made from a package list has them, a bare one may not.
Result<void> make_standard_directories(const vfs::LookupContext& context) {
    const Result<void> made = vfs::make_directory(context, "/tmp", 01777);
    return made.ok() || made.error() == Errno::kEEXIST ? Result<void>() : made;
}

}  // namespace

Result<Bytes> mount_boot_root(Bytes initrd, PhysAddr initrd_phys, const char** reason) {
    *reason = "not enough memory to mount it";
    Ref<vfs::FileSystem> root = TRY(RamFs::create({}));
    std::string_view source = "rootfs";
    Bytes rest = initrd;
    if (is_erofs(rest)) {
        if constexpr (!config::fs_erofs) {
            *reason = "it is EROFS, and this kernel has no EROFS (CONFIG_FS_EROFS)";
            return Errno::kENODEV;
        }
        vfs::MountSource image{};
        image.memory = rest;
        image.memory_phys = initrd_phys;
        auto lower = create("erofs", image);
        if (!lower.ok()) {
            if (lower.error() != Errno::kENOMEM)
                *reason = "the EROFS image is cut short, corrupt or compressed";
            return lower.error();
        }
        const vfs::FileSystemInfo info = (*lower)->info();
        rest = after(rest, info.blocks * info.block_size);
        root = TRY(create_overlay(std::move(lower).value(), std::move(root)));
        source = "overlay";
    }
    TRY(vfs::mount_root(std::move(root), source));
    const vfs::LookupContext context = vfs::kernel_context();

    while (has_magic(rest, 0, abi::kCpioMagic.data(), abi::kCpioMagic.size())) {
        if constexpr (config::fs_cpio) {
            rest = after(rest, TRY(unpack_cpio(rest, reason)));
        } else {
            *reason = "it holds a cpio archive, and this kernel can't unpack it (CONFIG_FS_CPIO)";
            return Errno::kENODEV;
        }
    }
    if (!rest.empty() && !has_magic(rest, 0, abi::kLaunchMagic, sizeof(abi::kLaunchMagic))) {
        *reason = "a part of it is neither EROFS, nor cpio, nor a launch record";
        return Errno::kEINVAL;
    }
    *reason = "its standard directories can't be made";
    TRY(make_standard_directories(context));
    for (const StandardMount& standard : kStandardMounts) TRY(mount_standard(context, standard));
    return rest;
}

}  // namespace kiln::fs
