#include "lib/image_store.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kiln/abi/formats/initrd.hpp>

#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/process.hpp"

namespace kiln::tool {
namespace {

// Part of every image's name: to be raised when images of the same contents come out differently.
constexpr std::uint64_t kImageVersion = 1;
constexpr std::uint64_t kMaxCacheBytes = std::uint64_t{8} << 30;
constexpr const char* kScratchPrefix = "scratch-";

// struct erofs_super_block, Linux fs/erofs/erofs_fs.h: the start of it.
struct [[gnu::packed]] ErofsSuper {
    std::uint32_t magic;
    std::uint32_t
        checksum;  // crc32c of the block from the superblock on, where feature_compat has bit 0
    std::uint32_t feature_compat;
    std::uint8_t block_size_bits;
    std::uint8_t extension_slots;
    std::uint16_t root_nid;
    std::uint64_t inodes;
    std::uint64_t build_time;
    std::uint32_t build_time_nsec;
    std::uint32_t blocks;
};
static_assert(sizeof(ErofsSuper) == 40);
constexpr std::uint32_t kFeatureChecksum = 1;

std::uint32_t crc32c(std::uint32_t crc, const unsigned char* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
        }
    }
    return crc;
}

void run_mkfs(const std::filesystem::path& out, const std::filesystem::path& from,
              bool keep_owners) {
    // Uncompressed and with file data at block boundaries (no tail packed beside the inode): the
    // kernel maps pages of files where they lie in the image. Extended inodes keep each file's own
    // time, which python compares with its .pyc files.
    std::vector<std::string> command = {
        "mkfs.erofs",
        "--quiet",
        "-x-1",
        "-Enoinline_data,force-inode-extended",
        "-U00000000-0000-0000-0000-000000000000",
    };
    if (!keep_owners) {
        command.emplace_back("--all-root");
    }
    command.push_back(out.string());
    command.push_back(from.string());
    const ProcessOutput result = run_process(command);
    if (result.not_found) {
        fail("mkfs.erofs is missing; `apt install erofs-utils` brings it");
    }
    if (result.status != 0) {
        std::string text = result.output;
        while (text.ends_with('\n')) {
            text.pop_back();
        }
        fail("mkfs.erofs failed: {}",
             text.empty() ? fmt::format("status {}", result.status) : text);
    }
}

}  // namespace

std::uint64_t erofs_bytes(int fd) {
    ErofsSuper super{};
    if (::pread(fd, &super, sizeof(super), abi::kErofsSuperOffset) != sizeof(super) ||
        super.magic != abi::kErofsMagic || super.block_size_bits != 12) {
        return 0;
    }
    return std::uint64_t{super.blocks} << super.block_size_bits;
}

void normalize_erofs(int fd) {
    std::array<unsigned char, 4096 - abi::kErofsSuperOffset> block{};
    if (::pread(fd, block.data(), block.size(), abi::kErofsSuperOffset) !=
        static_cast<ssize_t>(block.size())) {
        fail("mkfs.erofs made an image without a superblock");
    }
    ErofsSuper super{};
    std::memcpy(&super, block.data(), sizeof(super));
    super.build_time = 0;
    super.build_time_nsec = 0;
    super.checksum = 0;
    std::memcpy(block.data(), &super, sizeof(super));
    if ((super.feature_compat & kFeatureChecksum) != 0) {
        super.checksum = crc32c(~0u, block.data(), block.size());
        std::memcpy(block.data(), &super, sizeof(super));
    }
    if (::pwrite(fd, block.data(), sizeof(super), abi::kErofsSuperOffset) != sizeof(super)) {
        fail("cannot write the image: {}", errno_text(errno));
    }
}

ImageStore::ImageStore(std::filesystem::path dir) : dir_{std::move(dir)} {
    std::error_code error;
    std::filesystem::create_directories(dir_ / "images", error);
    if (error) {
        fail(
            "cannot make the cache folder {}: {}; set XDG_CACHE_HOME to a folder that can be "
            "written",
            dir_.string(), error.message());
    }
}

std::filesystem::path ImageStore::default_dir() {
    if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/') {
        return std::filesystem::path{cache} / "kiln";
    }
    if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
        return std::filesystem::path{home} / ".cache/kiln";
    }
    return fmt::format("/tmp/kiln-{}", ::getuid());
}

ErofsImage ImageStore::get(
    const std::string& name,
    const std::function<void(const std::filesystem::path&, const std::filesystem::path&)>& make) {
    const std::filesystem::path path = dir_ / "images" / (name + ".erofs");
    const auto look = [&](bool cached) -> std::optional<ErofsImage> {
        const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        struct stat status {};
        const std::uint64_t bytes = fd ? erofs_bytes(fd.get()) : 0;
        // An image cut short (a full disk, a crash) is made anew.
        if (bytes == 0 || ::fstat(fd.get(), &status) != 0 ||
            static_cast<std::uint64_t>(status.st_size) < bytes) {
            return std::nullopt;
        }
        ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);  // last use, for prune()
        return ErofsImage{path, bytes, cached};
    };
    if (auto image = look(true)) {
        return *image;
    }
    TemporaryDirectory::remove_abandoned(dir_, kScratchPrefix);
    {
        const TemporaryDirectory scratch{dir_, kScratchPrefix};
        const std::filesystem::path out = scratch.path() / "image";
        make(out, scratch.path());
        const UniqueFd fd{::open(out.c_str(), O_RDWR | O_CLOEXEC)};
        if (!fd) {
            fail("cannot open {}: {}", out.string(), errno_text(errno));
        }
        normalize_erofs(fd.get());
        // Two runs that make the same image at once both succeed: the later name replaces an equal
        // file.
        std::error_code error;
        std::filesystem::rename(out, path, error);
        if (error) {
            fail("cannot store {}: {}", path.string(), error.message());
        }
    }
    prune(path);
    auto image = look(false);
    if (!image) {
        fail("mkfs.erofs made an image that is cut short; is the disk of {} full?", dir_.string());
    }
    return *image;
}

void ImageStore::prune(const std::filesystem::path& keep) const {
    struct Cached {
        std::filesystem::path path;
        std::filesystem::file_time_type used;
        std::uint64_t bytes;
    };
    std::vector<Cached> images;
    std::uint64_t sum = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator{dir_ / "images", error}) {
        images.push_back({entry.path(), entry.last_write_time(error), entry.file_size(error)});
        sum += images.back().bytes;
    }
    std::ranges::sort(images, {}, &Cached::used);
    for (const Cached& image : images) {
        if (sum <= kMaxCacheBytes) {
            break;
        }
        if (image.path != keep && std::filesystem::remove(image.path, error)) {
            sum -= image.bytes;
        }
    }
}

ErofsImage ImageStore::of_tree(const RootTree& tree) {
    Fingerprint name;
    name.add(kImageVersion);
    name.add("tree");
    tree.fingerprint(name);
    return get(name.hex(),
               [&](const std::filesystem::path& out, const std::filesystem::path& scratch) {
                   const std::filesystem::path root = scratch / "root";
                   std::filesystem::create_directory(root);
                   ::chmod(root.c_str(), 0755);
                   tree.stage(root);
                   run_mkfs(out, root, false);
               });
}

ErofsImage ImageStore::of_folder(const std::filesystem::path& folder) {
    // Only root can own files as another user: for others the owners on disk say nothing about the
    // image's.
    const bool keep_owners = ::geteuid() == 0;
    Fingerprint name;
    name.add(kImageVersion);
    name.add(keep_owners ? "folder" : "folder, all root");
    name.add(folder.native());
    std::vector<std::string> lines;
    std::error_code error;
    std::filesystem::recursive_directory_iterator walk{folder, error};
    if (error) {
        fail("cannot read {}: {}", folder.string(), error.message());
    }
    for (const auto end = std::filesystem::end(walk); walk != end;) {
        struct stat status {};
        const std::string path = walk->path().string();
        if (::lstat(path.c_str(), &status) == 0) {
            lines.push_back(fmt::format(
                "{} {} {} {} {} {} {} {}", path, status.st_mode, status.st_uid, status.st_gid,
                status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ino));
        }
        walk.increment(error);
        if (error) {
            fail("cannot read all of {}: {}", folder.string(), error.message());
        }
    }
    std::ranges::sort(lines);
    for (const std::string& line : lines) {
        name.add(line);
    }
    return get(name.hex(), [&](const std::filesystem::path& out, const std::filesystem::path&) {
        run_mkfs(out, folder, keep_owners);
    });
}

}  // namespace kiln::tool
