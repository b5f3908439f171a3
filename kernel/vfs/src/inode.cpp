#include <kiln/mem/heap.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/vfs/device.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/file_system.hpp>
#include <kiln/vfs/inode.hpp>

namespace kiln::vfs {
namespace {

constinit std::atomic<Result<Ref<File>> (*)(const OpenContext&)> fifo_opener{nullptr};

}  // namespace

Timestamp current_timestamp() {
    const std::uint64_t now = time::realtime_ns();
    return {static_cast<std::int64_t>(now / kNsPerSec),
            static_cast<std::uint32_t>(now % kNsPerSec)};
}

Inode::~Inode() { delete attachment_.load(std::memory_order_relaxed); }

InodeAttachment* Inode::attach(InodeAttachment* attachment) {
    InodeAttachment* there = nullptr;
    if (attachment_.compare_exchange_strong(there, attachment, std::memory_order_acq_rel))
        return attachment;
    delete attachment;
    return there;
}

Attributes Inode::basic_attributes() const {
    Attributes a;
    a.inode_number = number_;
    a.device = fs_->device_number();
    a.mode = mode();
    a.links = links();
    a.uid = uid();
    a.gid = gid();
    a.rdev = rdev_;
    return a;
}

std::uint64_t Inode::size() {
    const Result<Attributes> a = attributes();
    return a.ok() ? a.value().size : 0;
}

Result<void> Inode::set_attributes(const Attributes&, std::uint32_t) { return Errno::kEROFS; }

Result<Ref<Inode>> Inode::lookup(std::string_view) { return Errno::kENOTDIR; }
Result<Ref<Inode>> Inode::create(std::string_view, std::uint32_t, std::uint64_t, std::uint32_t,
                                 std::uint32_t) {
    return is_directory() ? Errno::kEROFS : Errno::kENOTDIR;
}
Result<Ref<Inode>> Inode::symlink(std::string_view, std::string_view, std::uint32_t,
                                  std::uint32_t) {
    return is_directory() ? Errno::kEROFS : Errno::kENOTDIR;
}
Result<void> Inode::link(std::string_view, Inode&) {
    return is_directory() ? Errno::kEROFS : Errno::kENOTDIR;
}
Result<void> Inode::unlink(std::string_view, Inode&) {
    return is_directory() ? Errno::kEROFS : Errno::kENOTDIR;
}
Result<void> Inode::rmdir(std::string_view, Inode&) {
    return is_directory() ? Errno::kEROFS : Errno::kENOTDIR;
}
Result<void> Inode::rename(std::string_view, Inode&, Inode&, std::string_view, Inode*,
                           std::uint32_t) {
    return is_directory() ? Errno::kEROFS : Errno::kENOTDIR;
}
Result<void> Inode::read_directory(std::uint64_t, DirectorySink&) { return Errno::kENOTDIR; }
Result<Ref<Inode>> Inode::create_unnamed(std::uint32_t, std::uint32_t, std::uint32_t) {
    return Errno::kEOPNOTSUPP;
}

Result<std::size_t> Inode::read_link(std::span<char>) { return Errno::kEINVAL; }
Result<Path> Inode::follow() { return Errno::kEINVAL; }

Result<std::size_t> Inode::read(mem::IoBuffer&, std::uint64_t) {
    return is_directory() ? Errno::kEISDIR : Errno::kEINVAL;
}
Result<std::size_t> Inode::write(mem::IoBuffer&, std::uint64_t) { return Errno::kEINVAL; }
Result<Ref<vm::MemoryObject>> Inode::memory_object() { return Errno::kENODEV; }
Result<void> Inode::allocate(int, std::uint64_t, std::uint64_t) { return Errno::kEOPNOTSUPP; }
Result<std::uint64_t> Inode::seek_data_or_hole(std::uint64_t offset, bool hole) {
    const std::uint64_t end = size();
    if (offset >= end) return Errno::kENXIO;
    return hole ? end : offset;
}

Result<Ref<File>> Inode::open(const OpenContext& context) {
    switch (type()) {
        case kModeRegular:
        case kModeDirectory:
            return Ref<File>(TRY(mem::make_ref<InodeFile>(context.flags, Ref<Inode>(this))));
        case kModeCharacter: return open_char_device(rdev_, context);
        case kModeFifo:
            if (auto* opener = fifo_opener.load(std::memory_order_acquire)) return opener(context);
            return Errno::kENXIO;
        case kModeSymlink: return Errno::kELOOP;
        default: return Errno::kENXIO;
    }
}

void set_fifo_opener(Result<Ref<File>> (*opener)(const OpenContext&)) {
    fifo_opener.store(opener, std::memory_order_release);
}

}  // namespace kiln::vfs
