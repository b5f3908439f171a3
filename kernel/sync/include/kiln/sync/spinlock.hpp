// Spinlocks, guards and data that can be reached only under its lock. Sleeping locks (Mutex,
// RwLock, Semaphore) are sched's.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <kiln/base/types.hpp>
#include <kiln/hal/cpu.hpp>

namespace kiln::sync {

/// Order in which locks nest: a lock may be taken only while every lock held has a *lower* rank
/// (outer locks first). Checked when KILN_LOCK_RANKS is on. Sleeping locks use the lower half,
/// spinlocks the upper half: a sleeping lock is never taken under a spinlock.
enum class LockRank : std::uint8_t {
    kUnranked = 0,
    // sleeping locks, outermost first
    kProcess = 10,
    kMountTable = 20,
    kInode = 30,  ///< directory before file, parent before child
    kFile = 40,
    kFdTable = 50,
    kAddressSpace = 60,
    kMemoryObject = 70,
    // spinlocks
    kSpinFirst = 128,
    kTaskTable = 130,
    kSignal = 140,
    kDentryCache = 150,
    kFutexBucket = 160,
    kEpoll = 170,
    kWaitQueue = 180,
    kTimer = 190,
    kRunQueue = 200,
    kHeap = 210,
    kPages = 220,
    kKernelMap = 225,
    kIrq = 230,
    kConsole = 240,
    kLog = 250,
};

/// A fair (ticket) spinlock. Holding it disables preemption. Not for data that interrupt handlers
/// touch: those use IrqSpinGuard everywhere.
class SpinLock {
public:
    explicit constexpr SpinLock(LockRank rank) : rank_(rank) {}
    KILN_NON_COPYABLE(SpinLock);
    void lock();
    bool try_lock();
    void unlock();
    /// True when some CPU holds it (for assertions).
    bool is_locked() const;

private:
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
    explicit IrqSpinGuard(SpinLock& lock) : lock_(lock), state_(hal::irq_save()) { lock_.lock(); }
    ~IrqSpinGuard() {
        lock_.unlock();
        hal::irq_restore(state_);
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
