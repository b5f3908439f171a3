#include <kiln/posix/file_locks.hpp>

#include <new>

#include <kiln/base/list.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/sched/mutex.hpp>

namespace kiln::posix {
namespace {

/// One lock. They are few: a list over all files serves.
struct FileLock {
    ListNode node;
    const vfs::Inode* inode;
    const void* owner;  ///< Process or File
    LockKind kind;
    LockMode mode;
    LockRange range;
};

struct LockTable {
    sched::Mutex mutex{sync::LockRank::kFileLocks};
    List<FileLock, &FileLock::node> locks;
    std::atomic<std::uint32_t> locks_changed{0};  ///< counts changes that may let a waiter in
    sched::WaitQueue released;

    void changed() {
        locks_changed.fetch_add(1, std::memory_order_release);
        released.wake_all();
    }
};
constinit LockTable g_table;
/// A process lock was ever taken: until then close(2) has nothing to look for.
constinit std::atomic<bool> g_process_locks{false};

const void* owner_of(vfs::File& file, LockKind kind) {
    return kind == LockKind::kProcess ? static_cast<const void*>(&current_process())
                                      : static_cast<const void*>(&file);
}

bool overlap(const LockRange& a, const LockRange& b) {
    return a.first <= b.last && b.first <= a.last;
}

/// flock(2) locks and the fcntl(2) kinds do not see each other.
bool same_world(LockKind a, LockKind b) {
    return (a == LockKind::kFlock) == (b == LockKind::kFlock);
}

FileLock* find_conflict(const vfs::Inode* inode, const void* owner, const LockRequest& request) {
    for (FileLock& lock : g_table.locks) {
        if (lock.inode != inode || !same_world(lock.kind, request.kind) ||
            !overlap(lock.range, request.range))
            continue;
        if (lock.kind == request.kind && lock.owner == owner) continue;
        if (lock.mode == LockMode::kExclusive || request.mode == LockMode::kExclusive) return &lock;
    }
    return nullptr;
}

void drop(FileLock& lock) {
    List<FileLock, &FileLock::node>::remove(lock);
    delete &lock;
}

/// Takes the range out of what the owner holds. `spare` is used if a lock has to be split.
void cut(const vfs::Inode* inode, const void* owner, const LockRequest& request, FileLock*& spare) {
    for (FileLock& lock : g_table.locks) {
        if (lock.inode != inode || lock.kind != request.kind || lock.owner != owner ||
            !overlap(lock.range, request.range))
            continue;
        const bool keeps_front = lock.range.first < request.range.first;
        const bool keeps_back = lock.range.last > request.range.last;
        if (keeps_front && keeps_back) {
            spare->inode = lock.inode;
            spare->owner = lock.owner;
            spare->kind = lock.kind;
            spare->mode = lock.mode;
            spare->range = {request.range.last + 1, lock.range.last};
            g_table.locks.push_back(*spare);
            spare = nullptr;
            lock.range.last = request.range.first - 1;
        } else if (keeps_front) {
            lock.range.last = request.range.first - 1;
        } else if (keeps_back) {
            lock.range.first = request.range.last + 1;
        } else {
            drop(lock);
        }
    }
}

template <typename Pick>
void release_if(Pick pick) {
    bool any = false;
    {
        sched::MutexGuard guard(g_table.mutex);
        for (FileLock& lock : g_table.locks) {
            if (!pick(lock)) continue;
            drop(lock);
            any = true;
        }
    }
    if (any) g_table.changed();
}

}  // namespace

Result<void> acquire_lock(vfs::File& file, const LockRequest& request, LockWait wait) {
    const vfs::Inode* inode = file.inode();
    if (!inode) return Errno::kEBADF;
    const void* owner = owner_of(file, request.kind);
    auto* fresh = new (std::nothrow) FileLock();
    auto* spare = new (std::nothrow) FileLock();
    Result<void> result;
    if (!fresh || !spare) result = Errno::kENOLCK;
    bool taken = false;
    // True when the lock is ours now: evaluated again after each release.
    const auto try_take = [&] {
        sched::MutexGuard guard(g_table.mutex);
        if (find_conflict(inode, owner, request)) return false;
        cut(inode, owner, request, spare);
        fresh->inode = inode;
        fresh->owner = owner;
        fresh->kind = request.kind;
        fresh->mode = request.mode;
        fresh->range = request.range;
        g_table.locks.push_back(*fresh);
        if (request.kind == LockKind::kProcess) {
            g_process_locks.store(true, std::memory_order_release);
        } else {
            vfs::File::set_locks_hook(release_locks_of_file);
            file.has_locks.store(true, std::memory_order_release);
        }
        taken = true;
        return true;
    };
    if (result.ok() && !try_take()) {
        if (wait == LockWait::kNo) {
            result = Errno::kEAGAIN;
        } else {
            // The conditions of a wait queue are evaluated while the thread counts as blocked, so they take no
            // sleeping lock: wait for a change of the generation, then try.
            while (result.ok() && !taken) {
                const std::uint32_t seen = g_table.locks_changed.load();
                if (try_take()) break;
                result =
                    g_table.released.wait([seen] { return g_table.locks_changed.load() != seen; });
            }
        }
    }
    // Making an exclusive lock shared, or cutting one, may let others in.
    if (taken) {
        g_table.changed();
    } else {
        delete fresh;
    }
    delete spare;
    return result;
}

Result<void> release_lock(vfs::File& file, const LockRequest& request) {
    const vfs::Inode* inode = file.inode();
    if (!inode) return Errno::kEBADF;
    auto* spare = new (std::nothrow) FileLock();
    if (!spare) return Errno::kENOLCK;
    {
        sched::MutexGuard guard(g_table.mutex);
        cut(inode, owner_of(file, request.kind), request, spare);
    }
    delete spare;
    g_table.changed();
    return {};
}

std::optional<LockRequest> find_lock_conflict(vfs::File& file, const LockRequest& request) {
    sched::MutexGuard guard(g_table.mutex);
    const FileLock* lock = find_conflict(file.inode(), owner_of(file, request.kind), request);
    if (!lock) return std::nullopt;
    return LockRequest{lock->kind, lock->mode, lock->range};
}

void release_locks_of_descriptor(vfs::File& file) {
    if (!g_process_locks.load(std::memory_order_acquire) || !file.inode()) return;
    const vfs::Inode* inode = file.inode();
    Task* task = Task::current_or_null();
    if (!task) return;
    const void* process = &task->process();
    release_if([=](const FileLock& l) {
        return l.kind == LockKind::kProcess && l.inode == inode && l.owner == process;
    });
}

void release_locks_of_file(vfs::File& file) {
    const void* owner = &file;
    release_if([=](const FileLock& l) { return l.kind != LockKind::kProcess && l.owner == owner; });
}

}  // namespace kiln::posix
