#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#include <kiln/base/format.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::vfs {
namespace {

constexpr std::uint64_t kMaxOffset = std::numeric_limits<std::int64_t>::max();

constinit std::atomic<void (*)(File&)> g_watchers_hook{nullptr};
constinit std::atomic<void (*)(File&)> g_locks_hook{nullptr};

}  // namespace

File::~File() = default;

void File::last_reference_dropped() {
    if (watchers.load(std::memory_order_acquire))
        g_watchers_hook.load(std::memory_order_acquire)(*this);
    if (has_locks.load(std::memory_order_acquire))
        g_locks_hook.load(std::memory_order_acquire)(*this);
    delete this;
}

void File::set_watchers_hook(void (*hook)(File&)) {
    g_watchers_hook.store(hook, std::memory_order_release);
}
void File::set_locks_hook(void (*hook)(File&)) {
    g_locks_hook.store(hook, std::memory_order_release);
}

Result<std::size_t> File::read(mem::IoBuffer&, std::uint64_t*) { return Errno::kEINVAL; }
Result<std::size_t> File::write(mem::IoBuffer&, std::uint64_t*) { return Errno::kEINVAL; }
Result<std::uint64_t> File::seek(std::int64_t, int) { return Errno::kESPIPE; }
Result<std::int64_t> File::ioctl(std::uint32_t, std::uintptr_t) { return Errno::kENOTTY; }
std::uint32_t File::poll(PollWaiter*) { return kPollIn | kPollOut | kPollRdNorm | kPollWrNorm; }
Result<Ref<vm::MemoryObject>> File::memory_object() { return Errno::kENODEV; }
Result<void> File::read_directory(DirectorySink&) { return Errno::kENOTDIR; }
Result<void> File::truncate(std::uint64_t) { return Errno::kEINVAL; }
Result<void> File::allocate(int, std::uint64_t, std::uint64_t) { return Errno::kENODEV; }
Result<void> File::sync() { return Errno::kEINVAL; }
Result<void> File::flags_changed(std::uint32_t) { return {}; }

Attributes anonymous_attributes(std::uint32_t mode) {
    Attributes a;
    a.mode = mode;
    a.inode_number = 1;
    return a;
}

Result<Attributes> File::attributes() {
    if (Inode* i = inode()) return i->attributes();
    return anonymous_attributes(0600);
}

Result<std::size_t> File::read_at_position(mem::IoBuffer& to) {
    if (!is_readable()) return Errno::kEBADF;
    if (!is_seekable()) return read(to, nullptr);
    sched::MutexGuard guard(position_lock_);
    return read(to, &position_);
}

Result<std::size_t> File::write_at_position(mem::IoBuffer& from) {
    if (!is_writable()) return Errno::kEBADF;
    if (!is_seekable()) return write(from, nullptr);
    sched::MutexGuard guard(position_lock_);
    return write(from, &position_);
}

// pread(2): EINVAL for a negative offset comes from the caller, who sees it signed.
Result<std::size_t> File::read_at(mem::IoBuffer& to, std::uint64_t offset) {
    if (!is_seekable()) return Errno::kESPIPE;
    if (!is_readable()) return Errno::kEBADF;
    return read(to, &offset);
}

Result<std::size_t> File::write_at(mem::IoBuffer& from, std::uint64_t offset) {
    if (!is_seekable()) return Errno::kESPIPE;
    if (!is_writable()) return Errno::kEBADF;
    return write(from, &offset);
}

std::size_t File::describe(std::span<char> out) const {
    if (path_) {
        const Result<std::size_t> n = path_.format(out, root_path());
        if (n.ok()) return n.value();
    }
    return format_to(out, "anon_inode:[unknown]");
}

Result<std::size_t> InodeFile::read(mem::IoBuffer& to, std::uint64_t* offset) {
    const std::size_t n = TRY(data_->read(to, *offset));
    *offset += n;
    return n;
}

Result<std::size_t> InodeFile::write(mem::IoBuffer& from, std::uint64_t* offset) {
    if (from.remaining() == 0) return std::size_t{0};
    sched::WriteGuard guard(data_->lock());
    // open(2), O_APPEND: the offset moves to the end and the bytes go there in one step; so does
    // pwrite(2) on Linux.
    if ((flags() & abi::kO_APPEND) != 0) *offset = data_->size();
    // write(2), EFBIG: beyond the largest offset.
    if (*offset >= kMaxOffset) return Errno::kEFBIG;
    const std::size_t n = TRY(data_->write(from, *offset));
    *offset += n;
    return n;
}

Result<std::uint64_t> InodeFile::seek(std::int64_t offset, int whence) {
    sched::MutexGuard guard(position_lock_);
    std::int64_t base = 0;
    switch (whence) {
        case abi::kSEEK_SET: break;
        case abi::kSEEK_CUR: base = static_cast<std::int64_t>(position_); break;
        case abi::kSEEK_END:
            base = static_cast<std::int64_t>(data_->is_directory() ? 0 : data_->size());
            break;
        case abi::kSEEK_DATA:
        case abi::kSEEK_HOLE:
            if (data_->is_directory()) return Errno::kEINVAL;
            if (offset < 0) return Errno::kENXIO;  // lseek(2)
            position_ = TRY(data_->seek_data_or_hole(static_cast<std::uint64_t>(offset),
                                                     whence == abi::kSEEK_HOLE));
            return position_;
        default: return Errno::kEINVAL;
    }
    std::int64_t result;
    if (!checked_add(base, offset, &result)) return Errno::kEOVERFLOW;
    if (result < 0) return Errno::kEINVAL;
    position_ = static_cast<std::uint64_t>(result);
    return position_;
}

std::uint32_t InodeFile::poll(PollWaiter*) {
    return kPollIn | kPollOut | kPollRdNorm | kPollWrNorm;
}

namespace {

// The name under which an object was first mapped, as text: a Path would hold the inode that holds
// the object.
class FileMappingName final : public vm::MappingName {
public:
    static FileMappingName* create(const File& file) {
        char text[512];
        const Result<std::size_t> n = file.path().format(text, root_path());
        const std::size_t length = n.ok() ? n.value() : 0;
        void* memory = mem::allocate(sizeof(FileMappingName) + length);
        if (!memory) return nullptr;
        auto* name = ::new (memory) FileMappingName(*file.inode(), length);
        std::memcpy(static_cast<void*>(name + 1), text, length);
        return name;
    }
    static void operator delete(void* p) { mem::release(p); }
    std::size_t format(char* out, std::size_t size) const override {
        const std::size_t n = std::min(size, length_);
        std::memcpy(out, this + 1, n);
        return n;
    }
    std::uint64_t inode_number() const override { return inode_number_; }
    std::uint64_t device_number() const override { return device_number_; }

private:
    FileMappingName(const Inode& inode, std::size_t length)
        : inode_number_(inode.number()),
          device_number_(inode.file_system().device_number()),
          length_(length) {}
    const std::uint64_t inode_number_;
    const std::uint64_t device_number_;
    const std::size_t length_;
};

}  // namespace

Result<Ref<vm::MemoryObject>> InodeFile::memory_object() {
    Ref<vm::MemoryObject> object = TRY(data_->memory_object());
    if (!object->name() && path()) {
        // Without memory for it the mapping just has no name.
        if (FileMappingName* name = FileMappingName::create(*this)) object->adopt_name(name);
    }
    return object;
}

namespace {

// Positions of a directory: 0 before ".", 1 before "..", then the file system's offsets, 2 up.
constexpr std::uint64_t kOffsetShift = 2;

class ShiftedSink final : public DirectorySink {
public:
    ShiftedSink(DirectorySink& to, std::uint64_t* position) : to_(to), position_(position) {}
    bool add(std::string_view name, std::uint64_t number, std::uint32_t type,
             std::uint64_t next) override {
        if (!to_.add(name, number, type, next + kOffsetShift)) return false;
        *position_ = next + kOffsetShift;
        return true;
    }

private:
    DirectorySink& to_;
    std::uint64_t* position_;
};

std::uint64_t parent_number(const Path& path) {
    sync::SpinGuard guard(DentryCache::lock());
    const Dentry* d = path.dentry();
    const Mount* m = path.mount();
    while (d && m && d == &m->root() && m->parent()) {
        d = m->mount_point();
        m = m->parent();
    }
    if (d && d->parent()) d = d->parent();
    return d && d->inode() ? d->inode()->number() : 1;
}

}  // namespace

Result<void> InodeFile::read_directory(DirectorySink& sink) {
    if (!data_->is_directory()) return Errno::kENOTDIR;
    if (path().dentry() && path().dentry()->is_unlinked()) return Errno::kENOENT;
    sched::MutexGuard guard(position_lock_);
    if (position_ == 0) {
        if (!sink.add(".", data_->number(), kModeDirectory, 1)) return {};
        position_ = 1;
    }
    if (position_ == 1) {
        if (!sink.add("..", parent_number(path()), kModeDirectory, kOffsetShift)) return {};
        position_ = kOffsetShift;
    }
    ShiftedSink shifted(sink, &position_);
    sched::ReadGuard inode_guard(data_->lock());
    return data_->read_directory(position_ - kOffsetShift, shifted);
}

// ftruncate(2).
Result<void> InodeFile::truncate(std::uint64_t size) {
    if (!is_writable() || !data_->is_regular()) return Errno::kEINVAL;
    if (size > kMaxOffset) return Errno::kEFBIG;
    Attributes wanted;
    wanted.size = size;
    sched::WriteGuard guard(data_->lock());
    return data_->set_attributes(wanted, kSetSize);
}

// fallocate(2).
Result<void> InodeFile::allocate(int mode, std::uint64_t offset, std::uint64_t length) {
    if (!is_writable()) return Errno::kEBADF;
    if (data_->is_directory()) return Errno::kEISDIR;
    if (!data_->is_regular()) return Errno::kENODEV;
    std::uint64_t end;
    if (!checked_add(offset, length, &end) || end > kMaxOffset) return Errno::kEFBIG;
    sched::WriteGuard guard(data_->lock());
    return data_->allocate(mode, offset, length);
}

Result<void> InodeFile::sync() { return data_->sync(); }

}  // namespace kiln::vfs
