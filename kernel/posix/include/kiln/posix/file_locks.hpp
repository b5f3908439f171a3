// Advisory locks on files: fcntl(2)'s record locks of processes and of open file descriptions, flock(2).
#pragma once

#include <cstdint>
#include <optional>

#include <kiln/base/result.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

/// Who owns a lock. Process and open-file locks are seen by each other; flock's are apart, as on Linux.
enum class LockKind : std::uint8_t { kProcess, kOpenFile, kFlock };
enum class LockMode : std::uint8_t { kShared, kExclusive };
enum class LockWait : bool { kNo, kYes };

/// Bytes first … last, INT64_MAX: to the end, wherever that is.
struct LockRange {
    std::int64_t first;
    std::int64_t last;
};
inline constexpr LockRange kWholeFile = {0, INT64_MAX};

struct LockRequest {
    LockKind kind;
    LockMode mode;
    LockRange range;
};

/// Takes a lock, replacing what its owner has in the range. EAGAIN: held by another; EINTR; ENOLCK:
/// no memory; EBADF: a file that has no inode.
Result<void> acquire_lock(vfs::File& file, const LockRequest& request, LockWait wait);
/// Gives up what the owner has in the range. ENOLCK: no memory to split a lock.
Result<void> release_lock(vfs::File& file, const LockRequest& request);
/// F_GETLK: a lock that stands in the way of `request`.
std::optional<LockRequest> find_lock_conflict(vfs::File& file, const LockRequest& request);
/// close(2): the running process's locks on the file go with any of its descriptors.
void release_locks_of_descriptor(vfs::File& file);
/// The last reference goes: so do the locks of the open file description.
void release_locks_of_file(vfs::File& file);

}  // namespace kiln::posix
