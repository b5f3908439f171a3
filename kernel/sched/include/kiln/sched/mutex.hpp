// Sleeping locks.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <kiln/sched/wait_queue.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::sched {

/// A sleeping mutual exclusion lock; one atomic instruction when free. Not for interrupt handlers.
class Mutex {
public:
    explicit constexpr Mutex(sync::LockRank rank) : rank_(rank) {}
    KILN_NON_COPYABLE(Mutex);
    void lock();
    bool try_lock();
    /// EINTR when a signal comes first.
    Result<void> lock_interruptible();
    void unlock();
    bool is_held_by_current() const;

private:
    std::atomic<Thread*> owner_{nullptr};
    std::atomic<std::uint32_t> contenders_{0};
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

/// Many readers or one writer; writers are preferred so that they do not starve.
class RwLock {
public:
    explicit constexpr RwLock(sync::LockRank rank) : rank_(rank) {}
    KILN_NON_COPYABLE(RwLock);
    void read_lock();
    void read_unlock();
    void write_lock();
    void write_unlock();
    void downgrade();

private:
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
