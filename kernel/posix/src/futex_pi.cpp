// PI and robust futexes.
#include <kiln/hal/user_access.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/sched/wait_queue.hpp>

#include "futex_table.hpp"

namespace kiln::posix::futex {
namespace {

// The futex word (include/uapi/linux/futex.h).
constexpr std::uint32_t kWaiters = 0x80000000;
constexpr std::uint32_t kOwnerDied = 0x40000000;
constexpr std::uint32_t kTidMask = 0x3fffffff;

/// PI waiters of the whole machine: a task's end looks for those that wait for it only if there are any.
constinit std::atomic<std::uint32_t> g_pi_waiters{0};

/// The next PI owner: the waiter of the highest priority, the first among equals.
Waiter* best_waiter(Bucket& bucket, const Key& key) {
    Waiter* best = nullptr;
    for (Waiter& waiter : bucket.list) {
        if (waiter.key != key || waiter.tid == 0) continue;
        if (!best || waiter.thread->params().rt_priority > best->thread->params().rt_priority)
            best = &waiter;
    }
    return best;
}

/// Gives the lock, whose word is at `address` for the running task, to `next`, whose bucket is locked; `flags` go into
/// the word. False: the word is not in memory.
bool hand_over(Bucket& bucket, Waiter& next, std::uintptr_t address, std::uint32_t current,
               std::uint32_t flags) {
    bool others = false;
    for (Waiter& waiter : bucket.list) {
        if (&waiter == &next || waiter.key != next.key || waiter.tid == 0) continue;
        waiter.owner_tid = next.tid;
        others = true;
    }
    const std::uint32_t desired =
        static_cast<std::uint32_t>(next.tid) | flags | (others ? kWaiters : 0);
    for (std::uint32_t seen = current;;) {
        const std::uint32_t old = seen;
        if (!cmpxchg_nofault(address, &seen, desired)) return false;
        if (seen == old) break;
    }
    bucket.wake(next);
    return true;
}

/// How one try for the lock ended.
enum class Attempt : std::uint8_t { kTaken, kQueued, kFault, kDeadlock, kNoOwner, kBusy };

Attempt try_to_own(Bucket& bucket, Waiter& waiter, bool may_wait) {
    const auto self = static_cast<std::uint32_t>(waiter.tid);
    std::uint32_t value;
    if (!load_nofault(waiter.address, &value)) return Attempt::kFault;
    for (;;) {
        const std::uint32_t owner = value & kTidMask;
        if (owner == self) return Attempt::kDeadlock;
        const bool free = owner == 0;
        if (!free && !may_wait) return Attempt::kBusy;
        std::uint32_t desired = value | kWaiters;
        if (free) {
            // Nobody has it, or its owner died: OWNER_DIED stays for the application to see.
            desired = self | (value & (kWaiters | kOwnerDied));
            if (best_waiter(bucket, waiter.key)) desired |= kWaiters;
        }
        std::uint32_t seen = value;
        if (!cmpxchg_nofault(waiter.address, &seen, desired)) return Attempt::kFault;
        if (seen != value) {
            value = seen;
            continue;
        }
        if (free) return Attempt::kTaken;
        waiter.owner_tid = static_cast<std::int32_t>(owner);
        bucket.add(waiter);
        sched::WaitQueue::prepare_to_block(sched::Interruptible::kYes);
        return Attempt::kQueued;
    }
}

Result<void> acquire(Address address, std::int32_t tid, bool may_wait, time::Deadline deadline) {
    Waiter waiter;
    waiter.tid = tid;
    waiter.address = address.value;
    waiter.thread = &sched::Thread::current();
    for (;;) {
        waiter.key = TRY(key_of(address));
        Bucket& bucket = Bucket::of(waiter.key);
        // An owner that does not exist would be waited for in vain. Looked up before the lock: it may end at once, and
        // then its exit_pi_owner() finds the waiter.
        std::uint32_t value;
        if (!hal::load_user_u32(address.value, &value)) return Errno::kEFAULT;
        const auto owner = static_cast<std::int32_t>(value & kTidMask);
        if (may_wait && owner != 0 && owner != tid && !find_task(owner)) {
            if (!hal::load_user_u32(address.value, &value)) return Errno::kEFAULT;
            if (static_cast<std::int32_t>(value & kTidMask) == owner) return Errno::kESRCH;
            continue;
        }
        bucket.waiters.fetch_add(1, std::memory_order_seq_cst);
        g_pi_waiters.fetch_add(1, std::memory_order_seq_cst);
        Attempt attempt;
        {
            sync::SpinGuard guard(bucket.lock);
            attempt = try_to_own(bucket, waiter, may_wait);
            if (attempt != Attempt::kQueued) bucket.waiters.fetch_sub(1, std::memory_order_relaxed);
        }
        if (attempt == Attempt::kQueued) {
            const Result<void> result = sleep(waiter, deadline, 0);
            g_pi_waiters.fetch_sub(1, std::memory_order_relaxed);
            return result.ok() ? Result<void>() : Result<void>(result.error());
        }
        g_pi_waiters.fetch_sub(1, std::memory_order_relaxed);
        switch (attempt) {
            case Attempt::kTaken: return {};
            case Attempt::kDeadlock: return Errno::kEDEADLK;
            case Attempt::kBusy: return Errno::kEAGAIN;
            default: break;
        }
        // A cmpxchg that changes nothing brings the page in, writable.
        std::uint32_t same = 0;
        if (!hal::cmpxchg_user_u32(address.value, &same, 0)) return Errno::kEFAULT;
    }
}

}  // namespace

Result<void> lock_pi(Address address, std::int32_t tid, time::Deadline deadline) {
    return acquire(address, tid, true, deadline);
}

Result<void> trylock_pi(Address address, std::int32_t tid) {
    return acquire(address, tid, false, 0);
}

Result<void> unlock_pi(Address address, std::int32_t tid) {
    for (;;) {
        const Key key = TRY(key_of(address));
        std::uint32_t value;
        if (!hal::load_user_u32(address.value, &value)) return Errno::kEFAULT;
        if ((value & kTidMask) != static_cast<std::uint32_t>(tid)) return Errno::kEPERM;
        Bucket& bucket = Bucket::of(key);
        {
            sync::SpinGuard guard(bucket.lock);
            if (Waiter* next = best_waiter(bucket, key)) {
                if (hand_over(bucket, *next, address.value, value, 0)) return {};
            } else {
                std::uint32_t seen = value;
                if (cmpxchg_nofault(address.value, &seen, 0)) {
                    if (seen == value) return {};
                    continue;
                }
            }
        }
        std::uint32_t same = 0;
        if (!hal::cmpxchg_user_u32(address.value, &same, 0)) return Errno::kEFAULT;
    }
}

void exit_pi_owner(std::int32_t tid) {
    if (g_pi_waiters.load(std::memory_order_seq_cst) == 0) return;
    const void* const space = vm::current_address_space();
    for (std::size_t i = 0; i < Bucket::kCount; i++) {
        Bucket& bucket = Bucket::of(i);
        if (bucket.waiters.load(std::memory_order_seq_cst) == 0) continue;
        sync::SpinGuard guard(bucket.lock);
        for (bool again = true; again;) {
            again = false;
            for (Waiter& waiter : bucket.list) {
                // The word is written through this task's address space: another one's waiters keep waiting
                // until they look for the owner again.
                if (waiter.owner_tid != tid || waiter.tid == 0 || waiter.key.owner != space)
                    continue;
                Waiter* next = best_waiter(bucket, waiter.key);
                std::uint32_t value = 0;
                if (!load_nofault(next->address, &value) ||
                    (value & kTidMask) != static_cast<std::uint32_t>(tid) ||
                    !hand_over(bucket, *next, next->address, value, kOwnerDied)) {
                    waiter.owner_tid = 0;
                    continue;
                }
                again = true;  // the list changed
                break;
            }
        }
    }
}

namespace {

// struct robust_list_head (include/uapi/linux/futex.h).
struct RobustListHead {
    std::uint64_t first;
    std::int64_t futex_offset;
    std::uint64_t pending;
};
constexpr std::uint32_t kRobustListLimit = 2048;
constexpr std::uint64_t kPiBit = 1;

template <typename T>
bool read_user(std::uint64_t address, T* out) {
    return hal::is_user_range(address, sizeof(T)) &&
           hal::copy_from_user(out, address, sizeof(T)) == 0;
}

// handle_futex_death() of Linux.
void futex_death(std::uint64_t entry, std::int64_t offset, std::int32_t tid, bool pending) {
    const bool pi = (entry & kPiBit) != 0;
    const std::uint64_t address = (entry & ~kPiBit) + static_cast<std::uint64_t>(offset);
    std::uint32_t value;
    if (!is_aligned(address, sizeof(value)) || !hal::is_user_range(address, sizeof(value)) ||
        !hal::load_user_u32(address, &value))
        return;
    for (;;) {
        const std::uint32_t owner = value & kTidMask;
        if (pending && !pi && owner == 0) {
            // It died between unlocking and waking.
            (void)wake({address, Scope::kShared}, 1);
            return;
        }
        if (owner != static_cast<std::uint32_t>(tid)) return;
        if (pi) {
            auto key = key_of({address, Scope::kShared});
            if (key.ok()) {
                Bucket& bucket = Bucket::of(*key);
                sync::SpinGuard guard(bucket.lock);
                if (Waiter* next = best_waiter(bucket, *key)) {
                    if (hand_over(bucket, *next, address, value, kOwnerDied)) return;
                }
            }
        }
        std::uint32_t seen = value;
        if (!hal::cmpxchg_user_u32(address, &seen, (value & kWaiters) | kOwnerDied)) return;
        if (seen == value) break;
        value = seen;
    }
    if (!pi && (value & kWaiters) != 0) (void)wake({address, Scope::kShared}, 1);
}

}  // namespace

void exit_robust_list(std::uintptr_t head_address, std::int32_t tid) {
    RobustListHead head;
    if (!read_user(head_address, &head)) return;
    std::uint64_t entry = head.first;
    std::uint32_t left = kRobustListLimit;
    while ((entry & ~kPiBit) != head_address && left-- != 0) {
        // Read on before the futex is given away: then others may change the entry.
        std::uint64_t next;
        const bool readable = read_user(entry & ~kPiBit, &next);
        if ((entry & ~kPiBit) != (head.pending & ~kPiBit))
            futex_death(entry, head.futex_offset, tid, false);
        if (!readable) return;
        entry = next;
    }
    if ((head.pending & ~kPiBit) != 0) futex_death(head.pending, head.futex_offset, tid, true);
}

}  // namespace kiln::posix::futex
