// read(2), write(2) and their kin; lseek(2), ioctl(2).
#include <kiln/abi/linux/termios.hpp>
#include <kiln/mem/heap.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

/// Linux's MAX_RW_COUNT: more is cut, not refused.
constexpr std::size_t kMaxTransfer = 0x7ffff000;
/// UIO_MAXIOV (include/uapi/linux/uio.h).
constexpr u64 kMaxVectors = 1024;

// RWF_ flags (include/uapi/linux/fs.h).
constexpr u32 kRwfHipri = 0x1;
constexpr u32 kRwfDsync = 0x2;
constexpr u32 kRwfSync = 0x4;
constexpr u32 kRwfNowait = 0x8;
constexpr u32 kRwfAppend = 0x10;

enum class Direction { kRead, kWrite };

/// The position a call uses: the file's own, or an offset.
struct Position {
    bool own;
    u64 offset;
};

Result<Position> at(i64 offset) {
    if (offset < 0) return Errno::kEINVAL;
    return Position{false, static_cast<u64>(offset)};
}

Status transfer(vfs::File& file, mem::IoBuffer buffer, Direction direction, Position position) {
    if (direction == Direction::kRead)
        return restartable(position.own ? file.read_at_position(buffer)
                                        : file.read_at(buffer, position.offset));
    return restartable(position.own ? file.write_at_position(buffer)
                                    : file.write_at(buffer, position.offset));
}

Result<mem::IoBuffer> user_buffer(UserPtr<void> address, std::size_t count) {
    // Linux's vfs_read checks the range before the sign of the count.
    if (!hal::is_user_range(address.address(), count)) return Errno::kEFAULT;
    if (static_cast<i64>(count) < 0) return Errno::kEINVAL;
    return mem::IoBuffer::user(address.address(), count < kMaxTransfer ? count : kMaxTransfer);
}

Status transfer_one(int fd, UserPtr<void> address, std::size_t count, Direction direction,
                    Position position) {
    auto file = TRY(file_at(fd));
    return transfer(*file, TRY(user_buffer(address, count)), direction, position);
}

/// The iovec array, copied; small ones stay on the stack.
class Vectors {
public:
    Vectors() = default;
    ~Vectors() {
        if (data_ != small_) mem::release(data_);
    }
    KILN_NON_COPYABLE(Vectors);

    /// readv(2): EINVAL for a count or a sum that is too large, EFAULT.
    Result<void> load(UserPtr<const mem::IoVec> from, u64 count) {
        if (count > kMaxVectors) return Errno::kEINVAL;
        if (count > std::size(small_)) {
            data_ = static_cast<mem::IoVec*>(mem::allocate(count * sizeof(mem::IoVec)));
            if (!data_) {
                data_ = small_;
                return Errno::kENOMEM;
            }
        }
        count_ = count;
        TRY(from.read_array({data_, count_}));
        for (std::size_t i = 0; i < count_; i++) {
            mem::IoVec& v = data_[i];
            if (static_cast<i64>(v.length) < 0) return Errno::kEINVAL;
            if (!hal::is_user_range(v.base, v.length)) return Errno::kEFAULT;
            if (v.length > kMaxTransfer - total_) v.length = kMaxTransfer - total_;
            total_ += v.length;
        }
        return {};
    }
    mem::IoBuffer buffer() const { return mem::IoBuffer::user_vector({data_, count_}, total_); }

private:
    mem::IoVec small_[8];
    mem::IoVec* data_ = small_;
    std::size_t count_ = 0;
    std::size_t total_ = 0;
};

Status transfer_vector(int fd, UserPtr<const mem::IoVec> vec, u64 count, Direction direction,
                       Position position, u32 flags) {
    auto file = TRY(file_at(fd));
    if (flags & ~(kRwfHipri | kRwfDsync | kRwfSync)) {
        posix::report_unsupported("preadv2/pwritev2 flags", flags);
        return Errno::kEOPNOTSUPP;
    }
    Vectors vectors;
    TRY(vectors.load(vec, count));
    const i64 moved = TRY(transfer(*file, vectors.buffer(), direction, position));
    if (direction == Direction::kWrite && (flags & (kRwfDsync | kRwfSync))) TRY(file->sync());
    return moved;
}

constexpr Position kOwnPosition = {true, 0};

/// preadv2(2): offset −1 means the file's own position. On 64-bit machines the low half is all.
Result<Position> at_or_own(u64 low) {
    if (static_cast<i64>(low) == -1) return kOwnPosition;
    return at(static_cast<i64>(low));
}

}  // namespace

Status sys_read(int fd, UserPtr<void> buffer, std::size_t count) {
    return transfer_one(fd, buffer, count, Direction::kRead, kOwnPosition);
}
Status sys_write(int fd, UserPtr<void> buffer, std::size_t count) {
    return transfer_one(fd, buffer, count, Direction::kWrite, kOwnPosition);
}
Status sys_pread64(int fd, UserPtr<void> buffer, std::size_t count, i64 offset) {
    return transfer_one(fd, buffer, count, Direction::kRead, TRY(at(offset)));
}
Status sys_pwrite64(int fd, UserPtr<void> buffer, std::size_t count, i64 offset) {
    return transfer_one(fd, buffer, count, Direction::kWrite, TRY(at(offset)));
}
Status sys_readv(int fd, UserPtr<const mem::IoVec> vec, u64 count) {
    return transfer_vector(fd, vec, count, Direction::kRead, kOwnPosition, 0);
}
Status sys_writev(int fd, UserPtr<const mem::IoVec> vec, u64 count) {
    return transfer_vector(fd, vec, count, Direction::kWrite, kOwnPosition, 0);
}
Status sys_preadv(int fd, UserPtr<const mem::IoVec> vec, u64 count, u64 low, u64) {
    return transfer_vector(fd, vec, count, Direction::kRead, TRY(at(static_cast<i64>(low))), 0);
}
Status sys_pwritev(int fd, UserPtr<const mem::IoVec> vec, u64 count, u64 low, u64) {
    return transfer_vector(fd, vec, count, Direction::kWrite, TRY(at(static_cast<i64>(low))), 0);
}
Status sys_preadv2(int fd, UserPtr<const mem::IoVec> vec, u64 count, u64 low, u64, u32 flags) {
    return transfer_vector(fd, vec, count, Direction::kRead, TRY(at_or_own(low)), flags);
}
Status sys_pwritev2(int fd, UserPtr<const mem::IoVec> vec, u64 count, u64 low, u64, u32 flags) {
    return transfer_vector(fd, vec, count, Direction::kWrite, TRY(at_or_own(low)), flags);
}

Status sys_lseek(int fd, i64 offset, u32 whence) {
    auto file = TRY(io_file_at(fd));
    if (whence > abi::kSEEK_HOLE) return Errno::kEINVAL;
    return static_cast<i64>(TRY(file->seek(offset, static_cast<int>(whence))));
}

Status sys_ioctl(int fd, u32 request, u64 argument) {
    auto file = TRY(io_file_at(fd));
    // What the VFS layer of Linux answers for every file (fs/ioctl.c, do_vfs_ioctl).
    switch (request) {
        case abi::kFIOCLEX: TRY(this_process().files().set_close_on_exec(fd, true)); return 0;
        case abi::kFIONCLEX: TRY(this_process().files().set_close_on_exec(fd, false)); return 0;
        case abi::kFIONBIO: {
            const i32 on = TRY(UserPtr<const i32>(argument).read());
            const u32 flags =
                on ? file->flags() | abi::kO_NONBLOCK : file->flags() & ~abi::kO_NONBLOCK;
            TRY(file->flags_changed(flags));
            file->set_flags(flags);
            return 0;
        }
        case abi::kFIOASYNC: {
            const i32 on = TRY(UserPtr<const i32>(argument).read());
            if (!on) return 0;
            posix::report_unsupported("ioctl FIOASYNC", 1);
            return Errno::kENOTTY;
        }
        case abi::kFIONREAD: {
            vfs::Inode* inode = file->inode();
            if (!inode || !inode->is_regular()) break;
            const u64 position = TRY(file->seek(0, abi::kSEEK_CUR));
            const u64 size = inode->size();
            TRY(UserPtr<i32>(argument).write(
                static_cast<i32>(size > position ? size - position : 0)));
            return 0;
        }
        default: break;
    }
    return restartable(file->ioctl(request, argument));
}

}  // namespace kiln::syscalls
