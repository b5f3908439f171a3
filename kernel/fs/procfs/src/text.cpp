#include "text.hpp"

#include <algorithm>

#include <kiln/abi/linux/fcntl.hpp>

namespace kiln::fs {

namespace {

// A write longer than this can't be meant for one of these files.
constexpr std::size_t kMaxStore = 4096;

}  // namespace

Result<std::size_t> TextFile::read(mem::IoBuffer& to, std::uint64_t* offset) {
    sched::MutexGuard guard(lock_);
    if (*offset == 0 || !computed_) {
        mem::String fresh;
        StringSink sink(fresh);
        TRY(source_->format(sink));
        TRY(sink.result());
        text_ = std::move(fresh);
        computed_ = true;
    }
    if (*offset >= text_.size()) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(text_.size() - *offset, to.remaining());
    if (n == 0) return std::size_t{0};
    const std::size_t moved = TRY(to.copy_out(text_.c_str() + *offset, n));
    *offset += moved;
    return moved;
}

Result<std::size_t> TextFile::write(mem::IoBuffer& from, std::uint64_t* offset) {
    if (from.remaining() > kMaxStore) return Errno::kEINVAL;
    mem::String text;
    TRY(text.reserve(from.remaining()));
    char chunk[256];
    std::size_t total = 0;
    while (from.remaining() != 0) {
        const std::size_t n = TRY(from.copy_in(chunk, std::min(from.remaining(), sizeof(chunk))));
        TRY(text.append({chunk, n}));
        total += n;
    }
    TRY(source_->store(text.view()));
    *offset += total;
    return total;
}

Result<std::uint64_t> TextFile::seek(std::int64_t offset, int whence) {
    sched::MutexGuard guard(position_lock_);
    std::int64_t base = 0;
    if (whence == abi::kSEEK_CUR) {
        base = static_cast<std::int64_t>(position_);
    } else if (whence != abi::kSEEK_SET) {
        return Errno::kEINVAL;  // the length is not known
    }
    std::int64_t result;
    if (!checked_add(base, offset, &result) || result < 0) return Errno::kEINVAL;
    position_ = static_cast<std::uint64_t>(result);
    return position_;
}

}  // namespace kiln::fs
