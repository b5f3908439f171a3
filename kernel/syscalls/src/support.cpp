#include "support.hpp"

#include <kiln/mem/heap.hpp>

namespace kiln::syscalls {

Result<Ref<vfs::File>> io_file_at(int fd) {
    auto file = TRY(file_at(fd));
    if (file->is_path_only()) return Errno::kEBADF;
    return file;
}

Status install(Ref<vfs::File> file, u32 open_flags) {
    return TRY(this_process().files().install(std::move(file), (open_flags & abi::kO_CLOEXEC) != 0,
                                              0, descriptor_limit()));
}

UserText::~UserText() {
    if (data_ != small_) mem::release(data_);
}

Result<void> UserText::load(UserString from, std::size_t limit, Errno too_long) {
    auto length = mem::copy_string_from_user(from, {small_, limit < kSmall ? limit : kSmall});
    if (!length.ok() && length.error() == Errno::kENAMETOOLONG && limit > kSmall) {
        auto* large = static_cast<char*>(mem::allocate(limit));
        if (!large) return Errno::kENOMEM;
        data_ = large;
        length = mem::copy_string_from_user(from, {large, limit});
    }
    if (!length.ok()) return length.error() == Errno::kENAMETOOLONG ? too_long : length.error();
    length_ = *length;
    return {};
}

Result<void> UserPath::load(int dirfd, UserString from) {
    TRY(text_.load(from));
    context_ = this_process().lookup_context();
    if (dirfd == abi::kAT_FDCWD || name().starts_with('/')) return {};
    auto file = TRY(file_at(dirfd));
    if (!file->path()) return Errno::kENOTDIR;
    context_.cwd = file->path();
    return {};
}

Result<u64> to_nanoseconds(const abi::TimeSpec& t) {
    if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= static_cast<i64>(kNsPerSec))
        return Errno::kEINVAL;
    u64 ns;
    if (!checked_mul(static_cast<u64>(t.tv_sec), kNsPerSec, &ns) ||
        !checked_add(ns, static_cast<u64>(t.tv_nsec), &ns))
        return time::kForever;
    return ns;
}

abi::TimeSpec to_timespec(u64 nanoseconds) {
    return {static_cast<i64>(nanoseconds / kNsPerSec), static_cast<i64>(nanoseconds % kNsPerSec)};
}

abi::TimeVal to_timeval(u64 nanoseconds) {
    return {static_cast<i64>(nanoseconds / kNsPerSec),
            static_cast<i64>(nanoseconds % kNsPerSec / 1000)};
}

}  // namespace kiln::syscalls
