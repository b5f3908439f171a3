// The hash table of futex waiters, shared by futex.cpp and futex_pi.cpp.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <kiln/base/list.hpp>
#include <kiln/posix/futex.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::posix::futex {

/// What makes two addresses the same futex: the address space and the address, or the mapped object and the place
/// in it. An object may go and another take its address while somebody waits: at worst a wake-up for nothing.
struct Key {
    const void* owner;
    std::uint64_t place;
    bool operator==(const Key&) const = default;
};

struct Bucket;

/// A sleeping thread, on its own stack. All members are guarded by the lock of the bucket it is in.
struct Waiter {
    ListNode node;
    Key key;
    std::uint32_t bits = kMatchAny;
    sched::Thread* thread = nullptr;
    std::atomic<Bucket*> bucket{nullptr};
    // PI only.
    std::int32_t tid = 0;        ///< 0: an ordinary waiter
    std::int32_t owner_tid = 0;  ///< whom it waits for
    std::uintptr_t address = 0;
};

struct Bucket {
    sync::SpinLock lock{sync::LockRank::kFutexBucket};
    /// Those in the list and those about to enter it: a waker that sees 0 has nobody to wake.
    std::atomic<std::uint32_t> waiters{0};
    List<Waiter, &Waiter::node> list;

    static Bucket& of(const Key& key);
    static Bucket& of(std::size_t index);
    static constexpr std::size_t kCount = 128;

    /// Puts `waiter` at the end. Its `key` is set; the caller has counted it in `waiters`.
    void add(Waiter& waiter) {
        waiter.bucket.store(this, std::memory_order_relaxed);
        list.push_back(waiter);
    }
    /// Takes `waiter` out; it is not woken.
    void remove(Waiter& waiter) {
        list.remove(waiter);
        waiters.fetch_sub(1, std::memory_order_relaxed);
    }
    void wake(Waiter& waiter) {
        sched::Thread& thread = *waiter.thread;
        remove(waiter);
        // The waiter goes on only after it has had the lock once more, so its thread is there until then.
        sched::wake(thread);
    }
};

/// EINVAL, EFAULT.
Result<Key> key_of(Address address);
/// The word at a checked address with the bucket's lock held: false if it is not in memory now.
bool load_nofault(std::uintptr_t address, std::uint32_t* value);
bool cmpxchg_nofault(std::uintptr_t address, std::uint32_t* expected, std::uint32_t desired);
/// Sleeps until `waiter`, which is in its bucket, is taken out of it: by a wake-up, or by itself for a deadline or
/// a signal. The thread announced to block before it left the bucket's lock.
Result<void> sleep(Waiter& waiter, time::Deadline deadline, std::uint64_t slack_ns);

}  // namespace kiln::posix::futex
