#include <kiln/posix/memfd.hpp>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/abi/linux/mman.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/string.hpp>
#include <kiln/vfs/file_system.hpp>

namespace kiln::posix {
namespace {

using namespace abi;

constexpr char kMemfdKind = 0;
constexpr std::uint32_t kWriteSeals = kF_SEAL_WRITE | kF_SEAL_FUTURE_WRITE;

/// The seals belong to the file, which is opened once: opening it again through /proc gives a plain view of the
/// same inode that is not sealed.
class MemfdFile final : public vfs::InodeFile {
public:
    MemfdFile(Ref<vfs::Inode> inode, std::uint32_t seals)
        : InodeFile(kO_RDWR, std::move(inode)), seals_(seals) {}

    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t* offset) override {
        const std::uint32_t s = seals_.load(std::memory_order_acquire);
        if (s & kWriteSeals) return Errno::kEPERM;
        std::uint64_t end;
        if ((s & kF_SEAL_GROW) &&
            (!checked_add(*offset, std::uint64_t{from.remaining()}, &end) || end > data().size()))
            return Errno::kEPERM;
        return InodeFile::write(from, offset);
    }
    Result<void> truncate(std::uint64_t size) override {
        const std::uint32_t s = seals_.load(std::memory_order_acquire);
        if ((s & kF_SEAL_SHRINK) && size < data().size()) return Errno::kEPERM;
        if ((s & kF_SEAL_GROW) && size > data().size()) return Errno::kEPERM;
        return InodeFile::truncate(size);
    }
    Result<void> allocate(int mode, std::uint64_t offset, std::uint64_t length) override {
        const std::uint32_t s = seals_.load(std::memory_order_acquire);
        if ((s & kWriteSeals) && (mode & (kFALLOC_FL_PUNCH_HOLE | kFALLOC_FL_ZERO_RANGE)))
            return Errno::kEPERM;
        std::uint64_t end;
        if ((s & kF_SEAL_GROW) && (mode & kFALLOC_FL_KEEP_SIZE) == 0 &&
            (!checked_add(offset, length, &end) || end > data().size()))
            return Errno::kEPERM;
        return InodeFile::allocate(mode, offset, length);
    }
    const void* kind() const override { return &kMemfdKind; }

    std::uint32_t seals() const { return seals_.load(std::memory_order_acquire); }
    Result<void> add(std::uint32_t wanted) {
        std::uint32_t old = seals_.load(std::memory_order_acquire);
        do {
            if (old & kF_SEAL_SEAL) return Errno::kEPERM;
            // fcntl(2), EBUSY: F_SEAL_WRITE while writable shared mappings exist. Those that ever were count.
            if ((wanted & kF_SEAL_WRITE) && was_mapped_writable_.load(std::memory_order_acquire))
                return Errno::kEBUSY;
        } while (!seals_.compare_exchange_weak(old, old | wanted, std::memory_order_acq_rel));
        return {};
    }
    void note_writable_mapping() { was_mapped_writable_.store(true, std::memory_order_release); }

private:
    std::atomic<std::uint32_t> seals_;
    std::atomic<bool> was_mapped_writable_{false};
};

MemfdFile* as_memfd(vfs::File& file) {
    return file.kind() == &kMemfdKind ? static_cast<MemfdFile*>(&file) : nullptr;
}

}  // namespace

Result<Ref<vfs::File>> create_memfd(std::string_view name, Sealing sealing) {
    const vfs::FileSystemType* type = TRY(vfs::find_file_system_type("ramfs"));
    auto fs = TRY(type->create({}));
    auto inode = TRY(fs->root()->create_unnamed(vfs::kModeRegular | 0777, 0, 0));
    mem::String shown;
    TRY(shown.append("memfd:"));
    TRY(shown.append(name));
    auto file =
        TRY(mem::make_ref<MemfdFile>(inode, sealing == Sealing::kAllowed ? 0 : kF_SEAL_SEAL));
    file->set_path(TRY(vfs::make_unlinked_path(std::move(fs), std::move(inode), shown)));
    return Ref<vfs::File>(std::move(file));
}

Result<void> add_seals(vfs::File& file, std::uint32_t wanted) {
    constexpr std::uint32_t kKnown =
        kF_SEAL_SEAL | kF_SEAL_SHRINK | kF_SEAL_GROW | kF_SEAL_WRITE | kF_SEAL_FUTURE_WRITE;
    if (!file.is_writable()) return Errno::kEPERM;
    if (wanted & ~kKnown) return Errno::kEINVAL;
    MemfdFile* memfd = as_memfd(file);
    if (!memfd) return Errno::kEINVAL;
    return memfd->add(wanted);
}

Result<std::int64_t> seals(vfs::File& file) {
    MemfdFile* memfd = as_memfd(file);
    if (!memfd) return Errno::kEINVAL;
    return memfd->seals();
}

Result<void> check_shared_mapping(vfs::File& file, vm::MapRequest* request) {
    MemfdFile* memfd = as_memfd(file);
    if (!memfd) return {};
    if (memfd->seals() & kWriteSeals) {
        if (request->prot & vm::kProtWrite) return Errno::kEPERM;
        request->max_prot &= ~std::uint32_t{vm::kProtWrite};
    } else {
        memfd->note_writable_mapping();
    }
    return {};
}

}  // namespace kiln::posix
