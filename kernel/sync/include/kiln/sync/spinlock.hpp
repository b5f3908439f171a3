// Spinlocks, guards and data that can be reached only under its lock. Sleeping locks (Mutex,
// RwLock, Semaphore) are sched's.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <kiln/base/types.hpp>
#include <kiln/hal/cpu.hpp>

#include <config/lock_ranks.hpp>
#include <config/nr_cpus.hpp>

namespace kiln::sync {

/// Order in which locks nest: a lock may be taken only while every lock held has a *lower* rank
/// (outer locks first). Checked when CONFIG_LOCK_RANKS is on. Sleeping locks use the lower half,
/// spinlocks the upper half: a sleeping lock is never taken under a spinlock.
enum class LockRank : std::uint8_t {
    kUnranked = 0,
    // sleeping locks, outermost first
    kProcess = 10,
    kMountTable = 20,    ///< directories move (rename)
    kEpollLinks = 24,    ///< which epoll watches which file
    kEpollScan = 26,     ///< one epoll's ready list is read; outer epoll before the one it watches
    kFilePosition = 28,  ///< before the inode that is read or written
    kInode = 30,         ///< directory before file, parent before child
    kFile = 40,
    kPipe = 45,
    kMountList = 47,  ///< changes and listings of the mounts
    kFdTable = 50,
    kFileLocks = 52,
    kAddressSpace = 60,
    kMemoryObject = 70,
    // spinlocks
    kSpinFirst = 128,
    kProcessTable = 129,
    kTaskTable = 130,
    kSignal = 140,
    kDentryCache = 150,
    kFutexBucket = 160,
    kTerminal = 165,
    kEpoll = 170,
    kWaitQueue = 180,
    kObjectMappings = 190,
    kObjectPages = 192,
    kPageTable = 195,
    kRunQueue = 200,
    kTimer = 205,
    kKernelMap = 207,
    kHeap = 210,
    kPages = 220,
    kIrq = 230,
    kRandom = 235,
    kConsole = 240,
    kLog = 250,
};

#ifdef KILN_HOST
inline constexpr bool kCheckLockRanks = true;
#else
inline constexpr bool kCheckLockRanks = config::lock_ranks;
#endif

class SpinLock;

// The held spinlocks of this CPU, for the rank check; only called if kCheckLockRanks.
/// Panics when `lock` may not be taken now. Preemption is disabled.
void check_lock_order(const SpinLock& lock, LockRank rank);
void note_lock_acquired(const SpinLock& lock, LockRank rank);
void note_lock_released(const SpinLock& lock);
/// Spinlocks that the running code of this CPU holds (0 when unchecked).
std::uint32_t held_spinlock_count();

/// A fair (ticket) spinlock. Holding it disables preemption. Not for data that interrupt handlers
/// touch: those use IrqSpinGuard everywhere.
class SpinLock {
public:
    explicit constexpr SpinLock(LockRank rank) : rank_(rank) {}
    KILN_NON_COPYABLE(SpinLock);

    void lock() {
        hal::preempt_disable();
        raw_lock();
    }
    /// With another lock of the same rank held: only where both are always taken in one order (by address).
    void lock_nested() {
        hal::preempt_disable();
        raw_lock_checked_as(LockRank::kUnranked);
    }
    bool try_lock() {
        hal::preempt_disable();
        if (raw_try_lock()) return true;
        hal::preempt_enable();
        return false;
    }
    void unlock() {
        raw_unlock();
        hal::preempt_enable();
    }
    /// True when some CPU holds it (for assertions). Always true on a machine built for one CPU, where
    /// nothing records it.
    bool is_locked() const {
        if constexpr (kUniprocessor) return true;
        return next_.load(std::memory_order_relaxed) != owner_.load(std::memory_order_relaxed);
    }

    // Without the preemption count: the caller has interrupts disabled until after raw_unlock()
    // (scheduler, IrqSpinGuard), or raised the count itself.
    void raw_lock() { raw_lock_checked_as(rank_); }
    /// Never blocks, hence no order to check.
    bool raw_try_lock() {
        if constexpr (!kUniprocessor) {
            std::uint16_t ticket = owner_.load(std::memory_order_relaxed);
            if (!next_.compare_exchange_strong(ticket, static_cast<std::uint16_t>(ticket + 1),
                                               std::memory_order_acquire,
                                               std::memory_order_relaxed))
                return false;
        } else {
            std::atomic_signal_fence(std::memory_order_acquire);
        }
        if constexpr (kCheckLockRanks) note_lock_acquired(*this, rank_);
        return true;
    }
    void raw_unlock() {
        if constexpr (kCheckLockRanks) note_lock_released(*this);
        if constexpr (!kUniprocessor) {
            // Only the holder writes owner_.
            owner_.store(static_cast<std::uint16_t>(owner_.load(std::memory_order_relaxed) + 1),
                         std::memory_order_release);
        } else {
            std::atomic_signal_fence(std::memory_order_release);
        }
    }

private:
    /// With one CPU the holder can't be interrupted by another taker: preemption and (IrqSpinGuard)
    /// interrupts are off. The host keeps the real lock, so that its tests test it.
#ifdef KILN_HOST
    static constexpr bool kUniprocessor = false;
#else
    static constexpr bool kUniprocessor = config::nr_cpus == 1;
#endif
    void wait_for_turn(std::uint16_t ticket);
    void raw_lock_checked_as(LockRank rank) {
        if constexpr (kCheckLockRanks) check_lock_order(*this, rank);
        if constexpr (!kUniprocessor) {
            const std::uint16_t ticket = next_.fetch_add(1, std::memory_order_relaxed);
            if (owner_.load(std::memory_order_acquire) != ticket) [[unlikely]]
                wait_for_turn(ticket);
        } else {
            std::atomic_signal_fence(std::memory_order_acquire);
        }
        if constexpr (kCheckLockRanks) note_lock_acquired(*this, rank_);
    }

    std::atomic<std::uint16_t> next_{0};
    std::atomic<std::uint16_t> owner_{0};
    const LockRank rank_;
};

class [[nodiscard]] SpinGuard {
public:
    explicit SpinGuard(SpinLock& lock) : lock_(lock) { lock_.lock(); }
    ~SpinGuard() { lock_.unlock(); }
    KILN_NON_COPYABLE(SpinGuard);

private:
    SpinLock& lock_;
};

/// Also keeps interrupts of this CPU off.
class [[nodiscard]] IrqSpinGuard {
public:
    explicit IrqSpinGuard(SpinLock& lock) : lock_(lock), state_(hal::irq_save()) {
        hal::preempt_disable();
        lock_.raw_lock();
    }
    /// Interrupts first: where the preemption count reaches 0 the scheduler may run, and it does not
    /// with interrupts disabled.
    ~IrqSpinGuard() {
        lock_.raw_unlock();
        hal::irq_restore(state_);
        hal::preempt_enable();
    }
    KILN_NON_COPYABLE(IrqSpinGuard);

private:
    SpinLock& lock_;
    hal::IrqState state_;
};

/// A T that can be touched only while its lock is held:
/// `auto table = table_.lock(); table->insert(…);`
template <typename T>
class SpinProtected {
public:
    template <typename... Args>
    explicit constexpr SpinProtected(LockRank rank, Args&&... args)
        : lock_(rank), value_(std::forward<Args>(args)...) {}

    class [[nodiscard]] Access {
    public:
        explicit Access(SpinProtected& p) : guard_(p.lock_), value_(p.value_) {}
        T* operator->() { return &value_; }
        T& operator*() { return value_; }

    private:
        IrqSpinGuard guard_;
        T& value_;
    };
    Access lock() { return Access(*this); }

private:
    SpinLock lock_;
    T value_;
};

}  // namespace kiln::sync
