// Sleeping locks.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <kiln/sched/wait_queue.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::sched {

/// Order of sleeping locks (sync::LockRank), checked like that of spinlocks. kInode and kEpollScan may nest in themselves.
void check_sleeping_lock_order(sync::LockRank rank);
void note_sleeping_lock(sync::LockRank rank);
void note_sleeping_unlock(sync::LockRank rank);

/// A sleeping mutual exclusion lock; one atomic instruction when free. Not for interrupt handlers.
class Mutex {
public:
    explicit constexpr Mutex(sync::LockRank rank) : rank_(rank) {}
    KILN_NON_COPYABLE(Mutex);

    void lock() {
        if constexpr (sync::kCheckLockRanks) check_sleeping_lock_order(rank_);
        if (!acquire()) [[unlikely]]
            (void)lock_slowly(Interruptible::kNo);
        if constexpr (sync::kCheckLockRanks) note_sleeping_lock(rank_);
    }
    bool try_lock() {
        if (!acquire()) return false;
        if constexpr (sync::kCheckLockRanks) note_sleeping_lock(rank_);
        return true;
    }
    /// EINTR when a signal comes first.
    Result<void> lock_interruptible();
    void unlock() {
        if constexpr (sync::kCheckLockRanks) note_sleeping_unlock(rank_);
        owner_.exchange(nullptr, std::memory_order_seq_cst);
        if (queue_.has_waiters()) [[unlikely]]
            queue_.wake();
    }
    bool is_held_by_current() const {
        return owner_.load(std::memory_order_relaxed) == &Thread::current();
    }

private:
    bool acquire() {
        Thread* nobody = nullptr;
        return owner_.compare_exchange_strong(nobody, &Thread::current(), std::memory_order_seq_cst,
                                              std::memory_order_seq_cst);
    }
    Result<void> lock_slowly(Interruptible interruptible);

    std::atomic<Thread*> owner_{nullptr};
    const sync::LockRank rank_;
    WaitQueue queue_;
};

class [[nodiscard]] MutexGuard {
public:
    explicit MutexGuard(Mutex& m) : m_(m) { m_.lock(); }
    ~MutexGuard() { m_.unlock(); }
    KILN_NON_COPYABLE(MutexGuard);

private:
    Mutex& m_;
};

/// Many readers or one writer; writers are preferred so that they do not starve, hence a thread that
/// holds it for reading must not take it for reading again.
class RwLock {
public:
    explicit constexpr RwLock(sync::LockRank rank) : rank_(rank) {}
    KILN_NON_COPYABLE(RwLock);
    void read_lock();
    void read_unlock();
    void write_lock();
    void write_unlock();
    /// From writer to reader.
    void downgrade();

private:
    static constexpr std::uint32_t kReaders = 1u << 0;
    static constexpr std::uint32_t kWriters = 1u << 1;
    bool acquire_read();
    bool acquire_write();
    void wake_next();

    std::atomic<std::int32_t> state_{0};  ///< readers, or -1 for a writer
    std::atomic<std::uint32_t> writers_waiting_{0};
    const sync::LockRank rank_;
    WaitQueue queue_;
};

class [[nodiscard]] ReadGuard {
public:
    explicit ReadGuard(RwLock& l) : l_(l) { l_.read_lock(); }
    ~ReadGuard() { l_.read_unlock(); }
    KILN_NON_COPYABLE(ReadGuard);

private:
    RwLock& l_;
};
class [[nodiscard]] WriteGuard {
public:
    explicit WriteGuard(RwLock& l) : l_(l) { l_.write_lock(); }
    ~WriteGuard() { l_.write_unlock(); }
    KILN_NON_COPYABLE(WriteGuard);

private:
    RwLock& l_;
};

}  // namespace kiln::sched
