// What the handlers share: the running process, descriptors, names from the application.
#pragma once

#include <cstdint>
#include <string_view>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/posix/report.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/path.hpp>

#include "handlers.hpp"

namespace kiln::syscalls {

inline posix::Task& this_task() { return posix::Task::current(); }
inline posix::Process& this_process() { return posix::current_process(); }

/// EBADF.
inline Result<Ref<vfs::File>> file_at(int fd) { return this_process().files().get(fd); }
/// EBADF also for O_PATH descriptors, which most calls refuse.
Result<Ref<vfs::File>> io_file_at(int fd);
inline std::uint64_t descriptor_limit() { return this_process().limit(posix::kLimitFiles).soft; }
/// Gives a new file a descriptor.
Status install(Ref<vfs::File> file, u32 open_flags);

/// A NUL-terminated name of the application. Short ones stay on the stack: kernel stacks are small
/// and PATH_MAX is not.
class UserText {
public:
    UserText() = default;
    ~UserText();
    KILN_NON_COPYABLE(UserText);
    /// EFAULT, ENOMEM, or `too_long` when there is no NUL within `limit` bytes.
    Result<void> load(UserString from, std::size_t limit = vfs::kPathMax,
                      Errno too_long = Errno::kENAMETOOLONG);
    std::string_view view() const { return {data_, length_}; }

private:
    static constexpr std::size_t kSmall = 256;
    char small_[kSmall];
    char* data_ = small_;
    std::size_t length_ = 0;
};

/// A name relative to a directory descriptor (or AT_FDCWD), as the *at calls take it.
class UserPath {
public:
    /// EFAULT, ENAMETOOLONG, EBADF, ENOTDIR.
    Result<void> load(int dirfd, UserString from);
    const vfs::LookupContext& context() const { return context_; }
    vfs::LookupContext& context() { return context_; }
    std::string_view name() const { return text_.view(); }
    Result<vfs::Path> lookup(u32 flags) const { return vfs::lookup(context_, name(), flags); }

private:
    UserText text_;
    vfs::LookupContext context_;
};

/// AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH as look-up flags, for calls that follow by default.
constexpr u32 lookup_flags(u32 at_flags) {
    return ((at_flags & abi::kAT_SYMLINK_NOFOLLOW) ? 0u : u32{vfs::kLookupFollow}) |
           ((at_flags & abi::kAT_EMPTY_PATH) ? u32{vfs::kLookupEmptyPath} : 0u);
}

/// A file whose call was interrupted restarts it after the handler, as Linux's read, write and open
/// do (signal(7)).
template <typename T>
Status restartable(const Result<T>& result) {
    if (result.ok()) return static_cast<i64>(result.value());
    return result.error() == Errno::kEINTR ? Errno::kERESTARTSYS : result.error();
}

/// nanoseconds of a checked timespec. EINVAL: negative or ≥ 10⁹ ns. Saturates.
Result<u64> to_nanoseconds(const abi::TimeSpec& t);
abi::TimeSpec to_timespec(u64 nanoseconds);
abi::TimeVal to_timeval(u64 nanoseconds);

}  // namespace kiln::syscalls
