#include <kiln/fs/ramfs.hpp>

#include <algorithm>
#include <cstring>

#include <kiln/abi/linux/stat.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/vfs/path.hpp>

#include "file_pages.hpp"
#include "ram_nodes.hpp"

namespace kiln::fs {
namespace {

std::int64_t now_ns() { return static_cast<std::int64_t>(time::realtime_ns()); }

constexpr std::int64_t kNsPerSecond = static_cast<std::int64_t>(kNsPerSec);

vfs::Timestamp to_timestamp(std::int64_t ns) {
    std::int64_t seconds = ns / kNsPerSecond;
    std::int64_t rest = ns % kNsPerSecond;
    if (rest < 0) {
        rest += kNsPerSecond;
        seconds--;
    }
    return {seconds, static_cast<std::uint32_t>(rest)};
}

// Times that 64 bits of nanoseconds can't hold (before 1677, after 2262) become the nearest they can.
std::int64_t to_ns(const vfs::Timestamp& t) {
    constexpr std::int64_t kMost = INT64_MAX / kNsPerSecond - 1;
    const std::int64_t seconds = std::clamp(t.seconds, -kMost, kMost);
    return seconds * kNsPerSecond + t.nanoseconds;
}

class RamSymlink final : public RamInode {
public:
    RamSymlink(RamFs& fs, mem::String target, std::uint32_t uid, std::uint32_t gid)
        : RamInode(fs, vfs::kModeSymlink | 0777, uid, gid, 1, 0), target_(std::move(target)) {}
    std::uint64_t size() override { return target_.size(); }
    Result<vfs::Attributes> attributes() override {
        vfs::Attributes a = TRY(RamInode::attributes());
        a.size = target_.size();
        return a;
    }
    Result<std::size_t> read_link(std::span<char> out) override {
        const std::size_t n = std::min(out.size(), target_.size());
        std::memcpy(out.data(), target_.c_str(), n);
        return n;
    }

private:
    mem::String target_;
};

// Devices, FIFOs, sockets.
class RamSpecial final : public RamInode {
public:
    RamSpecial(RamFs& fs, std::uint32_t mode, std::uint64_t rdev, std::uint32_t uid,
               std::uint32_t gid)
        : RamInode(fs, mode, uid, gid, 1, rdev) {}
};

}  // namespace

RamInode::RamInode(RamFs& fs, std::uint32_t mode, std::uint32_t uid, std::uint32_t gid,
                   std::uint32_t links, std::uint64_t rdev)
    : Inode(fs, fs.next_inode_number(), mode, uid, gid, links, rdev), btime_(now_ns()) {
    atime_.store(btime_, std::memory_order_relaxed);
    mtime_.store(btime_, std::memory_order_relaxed);
    ctime_.store(btime_, std::memory_order_relaxed);
}

void RamInode::touch_changed() { ctime_.store(now_ns(), std::memory_order_relaxed); }

void RamInode::touch_modified() {
    const std::int64_t now = now_ns();
    mtime_.store(now, std::memory_order_relaxed);
    ctime_.store(now, std::memory_order_relaxed);
}

void RamInode::note_access() {
    const std::int64_t atime = atime_.load(std::memory_order_relaxed);
    if (atime <= mtime_.load(std::memory_order_relaxed) ||
        atime <= ctime_.load(std::memory_order_relaxed))
        atime_.store(now_ns(), std::memory_order_relaxed);
}

Result<vfs::Attributes> RamInode::attributes() {
    vfs::Attributes a = basic_attributes();
    a.atime = to_timestamp(atime_.load(std::memory_order_relaxed));
    a.mtime = to_timestamp(mtime_.load(std::memory_order_relaxed));
    a.ctime = to_timestamp(ctime_.load(std::memory_order_relaxed));
    a.btime = to_timestamp(btime_);
    return a;
}

Result<void> RamInode::set_attributes(const vfs::Attributes& values, std::uint32_t mask) {
    if ((mask & vfs::kSetSize) != 0) return Errno::kEINVAL;  // RamFile has taken it
    if ((mask & vfs::kSetMode) != 0)
        mode_.store(type() | (values.mode & vfs::kModePermissions), std::memory_order_relaxed);
    if ((mask & vfs::kSetUid) != 0) uid_.store(values.uid, std::memory_order_relaxed);
    if ((mask & vfs::kSetGid) != 0) gid_.store(values.gid, std::memory_order_relaxed);
    if ((mask & vfs::kSetAtime) != 0) atime_.store(to_ns(values.atime), std::memory_order_relaxed);
    if ((mask & vfs::kSetMtime) != 0) mtime_.store(to_ns(values.mtime), std::memory_order_relaxed);
    if ((mask & vfs::kSetCtime) != 0) {
        ctime_.store(to_ns(values.ctime), std::memory_order_relaxed);
    } else if (mask != 0) {
        touch_changed();
    }
    return {};
}

Result<Ref<vfs::Inode>> make_ram_inode(RamFs& fs, std::uint32_t mode, std::uint64_t rdev,
                                       std::uint32_t uid, std::uint32_t gid, std::uint32_t links) {
    switch (mode & vfs::kModeTypeMask) {
        case vfs::kModeDirectory:
            return Ref<vfs::Inode>(TRY(mem::make_ref<RamDirectory>(fs, mode, uid, gid)));
        case vfs::kModeRegular: {
            Ref<FilePages> pages = TRY(mem::make_ref<FilePages>(Ref<RamUsage>(&fs.usage())));
            return Ref<vfs::Inode>(
                TRY(mem::make_ref<RamFile>(fs, mode, uid, gid, links, std::move(pages))));
        }
        case vfs::kModeCharacter:
        case vfs::kModeBlock:
        case vfs::kModeFifo:
        case vfs::kModeSocket:
            return Ref<vfs::Inode>(TRY(mem::make_ref<RamSpecial>(fs, mode, rdev, uid, gid)));
        default: return Errno::kEINVAL;
    }
}

Result<Ref<vfs::Inode>> make_ram_symlink(RamFs& fs, std::string_view target, std::uint32_t uid,
                                         std::uint32_t gid) {
    mem::String text = TRY(mem::String::create(target));
    return Ref<vfs::Inode>(TRY(mem::make_ref<RamSymlink>(fs, std::move(text), uid, gid)));
}

Result<Ref<RamFs>> RamFs::create(const Options& options) {
    Ref<RamUsage> usage = TRY(mem::make_ref<RamUsage>(options.limit_pages));
    Ref<RamFs> fs = TRY(mem::make_ref<RamFs>(std::move(usage)));
    fs->root_ = TRY(mem::make_ref<RamDirectory>(*fs, options.root_mode, options.uid, options.gid));
    return fs;
}

namespace {

// The number that `text` begins with. `base` 8 for modes.
bool parse_number(std::string_view text, unsigned base, std::uint64_t* out,
                  std::string_view* rest) {
    std::uint64_t n = 0;
    std::size_t digits = 0;
    for (; digits < text.size(); digits++) {
        const unsigned digit = static_cast<unsigned char>(text[digits]) - '0';
        if (digit >= base) break;
        if (!checked_mul(n, std::uint64_t{base}, &n) || !checked_add(n, std::uint64_t{digit}, &n))
            return false;
    }
    *out = n;
    *rest = text.substr(digits);
    return digits != 0;
}

Result<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t n = 0;
    std::string_view unit;
    if (!parse_number(text, 10, &n, &unit)) return Errno::kEINVAL;
    std::uint64_t factor = 1;
    if (unit == "k" || unit == "K") {
        factor = 1_KiB;
    } else if (unit == "m" || unit == "M") {
        factor = 1_MiB;
    } else if (unit == "g" || unit == "G") {
        factor = 1_GiB;
    } else if (unit == "%") {
        const std::uint64_t total = mem::page_stats().total;
        if (n > 100) return Errno::kEINVAL;
        return total * n / 100;
    } else if (!unit.empty()) {
        return Errno::kEINVAL;
    }
    if (!checked_mul(n, factor, &n)) return Errno::kEINVAL;
    return n / kPageSize + (n % kPageSize != 0 ? 1 : 0);
}

Result<void> parse_option(std::string_view option, RamFs::Options* out) {
    const std::size_t equals = option.find('=');
    if (equals == std::string_view::npos) return Errno::kEINVAL;
    const std::string_view key = option.substr(0, equals);
    const std::string_view value = option.substr(equals + 1);
    if (key == "size") {
        const std::uint64_t pages = TRY(parse_size(value));
        out->limit_pages = pages == 0 ? UINT64_MAX : pages;  // tmpfs: 0 is no limit
        return {};
    }
    std::uint64_t n = 0;
    std::string_view rest;
    if (!parse_number(value, key == "mode" ? 8 : 10, &n, &rest) || !rest.empty())
        return Errno::kEINVAL;
    if (key == "mode") {
        out->root_mode = n & vfs::kModePermissions;
    } else if (key == "uid") {
        out->uid = static_cast<std::uint32_t>(n);
    } else if (key == "gid") {
        out->gid = static_cast<std::uint32_t>(n);
    } else if (key != "nr_inodes") {
        return Errno::kEINVAL;
    }
    return {};
}

}  // namespace

Result<Ref<vfs::FileSystem>> RamFs::create_from(const vfs::MountSource& source) {
    Options options;
    options.root_mode = 01777;
    std::string_view rest = source.options;
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        if (comma != 0) TRY(parse_option(rest.substr(0, comma), &options));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return Ref<vfs::FileSystem>(TRY(create(options)));
}

vfs::FileSystemInfo RamFs::info() {
    const mem::PageStats stats = mem::page_stats();
    vfs::FileSystemInfo info;
    info.magic = abi::kTMPFS_MAGIC;
    info.blocks = std::min(usage_->limit(), usage_->used() + stats.free);
    info.blocks_free = std::min(info.blocks - std::min(info.blocks, usage_->used()), stats.free);
    info.files = stats.total;
    info.files_free = stats.free;
    return info;
}

Result<Ref<vfs::File>> open_memory_file(std::string_view name, std::uint32_t flags) {
    RamFs::Options options;
    Ref<RamFs> fs = TRY(RamFs::create(options));
    Ref<vfs::Inode> inode = TRY(make_ram_inode(*fs, vfs::kModeRegular | 0777, 0, 0, 0, 0));
    const vfs::Path path =
        TRY(vfs::make_unlinked_path(Ref<vfs::FileSystem>(fs), std::move(inode), name));
    return vfs::open_path(path, flags);
}

}  // namespace kiln::fs

KILN_FILESYSTEM(tmpfs, "tmpfs", kiln::fs::RamFs::create_from);
KILN_FILESYSTEM(ramfs, "ramfs", kiln::fs::RamFs::create_from);
