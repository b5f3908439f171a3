// sendfile(2), copy_file_range(2): bytes from file to file without the application.
#include <kiln/mem/heap.hpp>
#include <kiln/mem/io_buffer.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

constexpr std::size_t kMaxTransfer = 0x7ffff000;  // MAX_RW_COUNT
constexpr std::size_t kChunk = 64_KiB;

class Chunk {
public:
    Chunk() : data_(static_cast<std::byte*>(mem::allocate(kChunk))) {}
    ~Chunk() { mem::release(data_); }
    KILN_NON_COPYABLE(Chunk);
    std::byte* data() { return data_; }

private:
    std::byte* data_;
};

/// Where a file is read or written: an offset of the application's, or the file's own position.
class Cursor {
public:
    /// EFAULT, EINVAL, ESPIPE.
    Result<void> load(vfs::File& file, UserPtr<i64> offset) {
        file_ = &file;
        user_ = offset;
        if (offset) {
            const i64 value = TRY(offset.read());
            if (!file.is_seekable()) return Errno::kESPIPE;
            if (value < 0) return Errno::kEINVAL;
            position_ = static_cast<u64>(value);
        } else if (file.is_seekable()) {
            position_ = TRY(file.seek(0, abi::kSEEK_CUR));
        }
        return {};
    }
    u64 position() const { return position_; }
    void advance(u64 bytes) { position_ += bytes; }
    Result<void> store() {
        if (user_) return user_.write(static_cast<i64>(position_));
        if (file_->is_seekable()) TRY(file_->seek(static_cast<i64>(position_), abi::kSEEK_SET));
        return {};
    }

private:
    vfs::File* file_ = nullptr;
    UserPtr<i64> user_;
    u64 position_ = 0;
};

Result<std::size_t> write_chunk(vfs::File& out, const std::byte* data, std::size_t size,
                                u64 position) {
    auto buffer = mem::IoBuffer::kernel({data, size});
    return out.is_seekable() ? out.write_at(buffer, position) : out.write_at_position(buffer);
}

/// Copies until `count`, the end of `in`, or an error, which counts only if nothing was copied.
Status copy(vfs::File& in, Cursor& from, vfs::File& out, Cursor& to, std::size_t count) {
    Chunk chunk;
    if (!chunk.data()) return Errno::kENOMEM;
    std::size_t done = 0;
    Errno error = Errno::kOk;
    while (done < count) {
        const std::size_t want = count - done < kChunk ? count - done : kChunk;
        auto buffer = mem::IoBuffer::kernel(chunk.data(), want);
        const auto got = in.read_at(buffer, from.position());
        if (!got.ok() || got.value() == 0) {
            if (!got.ok()) error = got.error();
            break;
        }
        const auto put = write_chunk(out, chunk.data(), got.value(), to.position());
        if (!put.ok()) {
            error = put.error();
            break;
        }
        from.advance(put.value());
        to.advance(put.value());
        done += put.value();
        if (put.value() < got.value()) break;
    }
    if (done == 0 && error != Errno::kOk)
        return error == Errno::kEINTR ? Errno::kERESTARTSYS : error;
    TRY(from.store());
    TRY(to.store());
    return static_cast<i64>(done);
}

}  // namespace

Status sys_sendfile(int out_fd, int in_fd, UserPtr<i64> offset, std::size_t count) {
    auto in = TRY(io_file_at(in_fd));
    if (!in->is_readable()) return Errno::kEBADF;
    Cursor from;
    TRY(from.load(*in, offset));
    auto out = TRY(io_file_at(out_fd));
    if (!out->is_writable()) return Errno::kEBADF;
    // sendfile(2): in_fd must support mmap-like operations; O_APPEND output is refused.
    if (!in->is_seekable()) return Errno::kEINVAL;
    if (out->flags() & abi::kO_APPEND) return Errno::kEINVAL;
    Cursor to;
    TRY(to.load(*out, UserPtr<i64>()));
    return copy(*in, from, *out, to, count < kMaxTransfer ? count : kMaxTransfer);
}

Status sys_copy_file_range(int in_fd, UserPtr<i64> in_offset, int out_fd, UserPtr<i64> out_offset,
                           std::size_t length, u32 flags) {
    auto in = TRY(io_file_at(in_fd));
    auto out = TRY(io_file_at(out_fd));
    Cursor from, to;
    TRY(from.load(*in, in_offset));
    TRY(to.load(*out, out_offset));
    if (flags != 0) return Errno::kEINVAL;
    // Linux fs/read_write.c, generic_copy_file_checks and generic_file_rw_checks.
    const vfs::Inode* source = in->inode();
    const vfs::Inode* target = out->inode();
    if ((source && source->is_directory()) || (target && target->is_directory()))
        return Errno::kEISDIR;
    if (!source || !target || !source->is_regular() || !target->is_regular()) return Errno::kEINVAL;
    if (!in->is_readable() || !out->is_writable() || (out->flags() & abi::kO_APPEND))
        return Errno::kEBADF;
    u64 from_end, to_end;
    if (!checked_add(from.position(), u64{length}, &from_end) ||
        !checked_add(to.position(), u64{length}, &to_end))
        return Errno::kEOVERFLOW;
    if (source == target && from.position() < to_end && to.position() < from_end)
        return Errno::kEINVAL;
    return copy(*in, from, *out, to, length < kMaxTransfer ? length : kMaxTransfer);
}

}  // namespace kiln::syscalls
