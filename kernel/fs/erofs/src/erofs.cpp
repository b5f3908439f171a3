// EROFS as a file system of the VFS. The image lies in memory for ever; files are mapped where they
// are, nothing of them is copied but an inline tail that is mapped.
#include <cstring>

#include <kiln/fs/erofs_format.hpp>
#include <kiln/log/log.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/vfs/file_system.hpp>
#include <kiln/vfs/inode.hpp>

#include <kiln/hal/paging.hpp>

namespace kiln::fs {
namespace {

/// The pages of one file.
class ErofsObject final : public vm::MemoryObject {
public:
    ErofsObject(const ErofsImage& image, PhysAddr image_phys, const ErofsInodeInfo& info)
        : info_(info), data_(image_phys + info.data_offset), image_(image) {}
    ~ErofsObject() override {
        if (tail_.value != 0) mem::unref_page(tail_);
    }

    std::uint64_t size() const override { return info_.size; }
    bool contiguous(PhysAddr* base) const override {
        if (info_.layout != ErofsLayout::kPlain) return false;
        *base = data_;
        return true;
    }
    Result<vm::ObjectPage> get_page(std::uint64_t index, hal::Access access) override {
        if (index >= page_up(info_.size) / kPageSize) return Errno::kENXIO;
        if (access == hal::Access::kWrite) return Errno::kEROFS;
        const std::uint64_t offset = index * kPageSize;
        // Whole blocks are pages of the image; the block that ends a plain file is padded by mkfs.
        if (offset < info_.blocks_bytes) return vm::ObjectPage{data_ + offset, false};
        sched::MutexGuard guard(tail_lock_);
        if (tail_.value == 0) tail_ = TRY(copy_tail());
        mem::ref_page(tail_);
        return vm::ObjectPage{tail_, false};
    }

private:
    Result<PhysAddr> copy_tail() const {
        const PhysAddr page = TRY(mem::allocate_page(mem::kPageZeroed));
        const std::span<const std::byte> bytes = image_.data(info_, info_.blocks_bytes);
        std::memcpy(hal::phys_to_virt(page), bytes.data(), bytes.size());
        return page;
    }

    const ErofsInodeInfo info_;
    const PhysAddr data_;
    const ErofsImage& image_;
    sched::Mutex tail_lock_{sync::LockRank::kMemoryObject};
    PhysAddr tail_{0};
};

class Erofs final : public vfs::FileSystem {
public:
    Erofs(const ErofsImage& image, PhysAddr phys) : image_(image), phys_(phys) {}
    static Result<Ref<vfs::FileSystem>> create(const vfs::MountSource& source);

    Ref<vfs::Inode> root() override { return root_; }
    vfs::FileSystemInfo info() override {
        vfs::FileSystemInfo info;
        info.magic = kErofsMagicNumber;
        info.blocks = image_.size() / kErofsBlockSize;
        info.files = image_.inode_count();
        return info;
    }
    std::string_view type_name() const override { return "erofs"; }
    bool is_read_only() const override { return true; }

    const ErofsImage& image() const { return image_; }
    PhysAddr phys() const { return phys_; }
    Result<Ref<vfs::Inode>> load(std::uint64_t nid);

private:
    const ErofsImage image_;
    const PhysAddr phys_;
    Ref<vfs::Inode> root_;
};

class ErofsInode final : public vfs::Inode {
public:
    ErofsInode(Erofs& fs, const ErofsInodeInfo& info)
        : Inode(fs, info.nid, info.mode), info_(info) {}

    Result<vfs::Attributes> attributes() override {
        vfs::Attributes a;
        a.inode_number = info_.nid;
        a.mode = info_.mode;
        a.links = info_.links;
        a.uid = info_.uid;
        a.gid = info_.gid;
        a.rdev = info_.rdev;
        a.size = info_.size;
        a.blocks = page_up(info_.size) / 512;
        a.mtime = {info_.mtime_seconds, info_.mtime_nanoseconds};
        a.atime = a.ctime = a.btime = a.mtime;
        return a;
    }

    std::uint64_t size() override { return info_.size; }

    Result<Ref<vfs::Inode>> lookup(std::string_view name) override {
        if (!is_directory()) return Errno::kENOTDIR;
        const ErofsEntry entry = TRY(image().find(info_, name));
        const ErofsInodeInfo child = TRY(checked_inode(entry.nid));
        if ((child.mode & vfs::kModeTypeMask) == vfs::kModeDirectory) {
            // A directory belongs to the one its ".." names: a hostile image can't make a loop.
            if (entry.nid == image().root_nid() || TRY(image().find(child, "..")).nid != info_.nid)
                return corrupt(entry.nid);
        }
        return make(child);
    }

    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override {
        if (!is_directory()) return Errno::kENOTDIR;
        for (std::uint64_t position = offset;;) {
            auto entry = image().entry_at(info_, &position);
            if (!entry.ok())
                return entry.error() == Errno::kENOENT ? Result<void>() : corrupt(info_.nid);
            if (entry->name == "." || entry->name == "..") continue;
            if (!sink.add(entry->name, entry->nid, mode_type(entry->type), position)) return {};
        }
    }

    Result<std::size_t> read_link(std::span<char> out) override {
        if (!is_symlink()) return Errno::kEINVAL;
        // A link lies in one block or inline, never in both; PATH_MAX bounds it.
        const std::span<const std::byte> target = image().data(info_, 0);
        if (info_.size == 0 || info_.size > kErofsBlockSize || target.size() < info_.size)
            return corrupt(info_.nid);
        const std::size_t n = info_.size < out.size() ? info_.size : out.size();
        std::memcpy(out.data(), target.data(), n);
        return n;
    }

    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t offset) override {
        if (is_directory()) return Errno::kEISDIR;
        std::size_t done = 0;
        while (to.remaining() != 0) {
            const std::span<const std::byte> bytes = image().data(info_, offset + done);
            if (bytes.empty()) break;
            const std::size_t want = bytes.size() < to.remaining() ? bytes.size() : to.remaining();
            auto copied = to.copy_out(bytes.data(), want);
            if (!copied.ok()) {
                if (done == 0) return copied.error();
                break;
            }
            done += *copied;
            if (*copied < want) break;
        }
        return done;
    }

    Result<Ref<vm::MemoryObject>> memory_object() override {
        if (!is_regular()) return Errno::kENODEV;
        sched::WriteGuard guard(lock());
        if (!object_) object_ = TRY(mem::make_ref<ErofsObject>(image(), fs().phys(), info_));
        return Ref<vm::MemoryObject>(object_);
    }

private:
    Erofs& fs() const { return static_cast<Erofs&>(file_system()); }
    const ErofsImage& image() const { return fs().image(); }

    static Errno corrupt(std::uint64_t nid) {
        log::error("erofs", "the image is corrupt at inode {}", nid);
        return Errno::kEUCLEAN;
    }
    Result<ErofsInodeInfo> checked_inode(std::uint64_t nid) const {
        auto info = image().inode(nid);
        if (!info.ok() && info.error() == Errno::kEUCLEAN) return corrupt(nid);
        return info;
    }
    Result<Ref<vfs::Inode>> make(const ErofsInodeInfo& info) const {
        return Ref<vfs::Inode>(TRY(mem::make_ref<ErofsInode>(fs(), info)));
    }
    static std::uint32_t mode_type(std::uint8_t type) {
        constexpr std::uint32_t kTypes[] = {0,
                                            vfs::kModeRegular,
                                            vfs::kModeDirectory,
                                            vfs::kModeCharacter,
                                            vfs::kModeBlock,
                                            vfs::kModeFifo,
                                            vfs::kModeSocket,
                                            vfs::kModeSymlink};
        return type < std::size(kTypes) ? kTypes[type] : 0;
    }

    const ErofsInodeInfo info_;
    Ref<ErofsObject> object_;
};

Result<Ref<vfs::Inode>> Erofs::load(std::uint64_t nid) {
    return Ref<vfs::Inode>(TRY(mem::make_ref<ErofsInode>(*this, TRY(image_.inode(nid)))));
}

Result<Ref<vfs::FileSystem>> Erofs::create(const vfs::MountSource& source) {
    const char* reason = "";
    auto image = ErofsImage::open(source.memory, &reason);
    if (!image.ok()) {
        log::error("erofs", "{}", reason);
        return image.error();
    }
    auto fs = TRY(mem::make_ref<Erofs>(*image, source.memory_phys));
    fs->root_ = TRY(fs->load(image->root_nid()));
    return Ref<vfs::FileSystem>(std::move(fs));
}

KILN_FILESYSTEM(erofs, "erofs", Erofs::create);

}  // namespace
}  // namespace kiln::fs
