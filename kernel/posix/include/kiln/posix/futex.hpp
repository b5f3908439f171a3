// Futexes: sleeping on a word of the application's memory (futex(2)).
//
// Addresses are the application's, checked here: EINVAL unless a multiple of 4, EFAULT outside the application's half
// or unmapped. Not for kernel threads.
#pragma once

#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/time/clock.hpp>

namespace kiln::posix {

class Task;

namespace futex {

/// Whose waiters an address means: those of this address space (FUTEX_PRIVATE_FLAG), or of all that map the
/// same memory.
enum class Scope : std::uint8_t { kPrivate, kShared };

struct Address {
    std::uintptr_t value;
    Scope scope;
};

inline constexpr std::uint32_t kMatchAny = 0xffffffff;  ///< FUTEX_BITSET_MATCH_ANY

/// FUTEX_WAIT_BITSET: sleeps if the word is `expected`, until a wake-up with a common bit. EAGAIN (another value),
/// ETIMEDOUT, EINTR, EINVAL (no bit).
Result<void> wait(Address address, std::uint32_t expected, std::uint32_t bits,
                  time::Deadline deadline, std::uint64_t slack_ns = 0);
/// FUTEX_WAKE_BITSET: wakes up to `limit` waiters, returns how many.
Result<std::uint32_t> wake(Address address, std::uint32_t limit, std::uint32_t bits = kMatchAny);
/// FUTEX_REQUEUE, and with `expected` FUTEX_CMP_REQUEUE: wakes up to `wake_limit` waiters and lets up to
/// `requeue_limit` others wait at `to`. EAGAIN (the word at `from` is not *expected). Returns how many were woken
/// (REQUEUE) or woken and moved (CMP_REQUEUE).
Result<std::uint32_t> requeue(Address from, std::uint32_t wake_limit, Address to,
                              std::uint32_t requeue_limit, const std::uint32_t* expected);
/// FUTEX_WAKE_OP: changes the word at `second` as `operation` encodes, wakes up to `limit` waiters at `first`, and up
/// to `second_limit` at `second` if the old value compares as encoded. ENOSYS (unknown operation or comparison).
Result<std::uint32_t> wake_op(Address first, std::uint32_t limit, Address second,
                              std::uint32_t second_limit, std::uint32_t operation);

// Priority-inheritance protocol (Documentation/locking/pi-futex.rst): the word holds the owner's tid. The lock goes
// straight to the waiter of the highest priority; the owner's own priority is not raised.
/// EDEADLK (own lock), ESRCH (no such owner), ETIMEDOUT, EINTR, EAGAIN (owner is just leaving).
Result<void> lock_pi(Address address, std::int32_t tid, time::Deadline deadline);
/// EAGAIN: held by another task.
Result<void> trylock_pi(Address address, std::int32_t tid);
/// EPERM: not the owner.
Result<void> unlock_pi(Address address, std::int32_t tid);

/// Writes 0 to the word and wakes one waiter there (CLONE_CHILD_CLEARTID); faults are ignored.
void clear_and_wake(std::uintptr_t address);
/// Marks the robust futexes that the running task holds as ownerless and wakes a waiter of each
/// (Documentation/locking/robust-futexes.rst).
void exit_robust_list(std::uintptr_t head, std::int32_t tid);
/// Hands the PI futexes that the running task still owns to their waiters.
void exit_pi_owner(std::int32_t tid);

/// Registers with Task's end. Once, at boot.
void init();

}  // namespace futex
}  // namespace kiln::posix
