// futex(2) but for the PI operations. The rules that errors follow are those of Linux 6.1, kernel/futex/.
#include <kiln/posix/futex.hpp>

#include <new>

#include <kiln/base/init_call.hpp>
#include <kiln/hal/user_access.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/vm/address_space.hpp>

#include "futex_table.hpp"

namespace kiln::posix::futex {
namespace {

// Zero in the image, made by init().
alignas(Bucket) constinit std::byte g_buckets[Bucket::kCount][sizeof(Bucket)]{};

/// Two locks of one rank, always in the order of their addresses.
class TwoBuckets {
public:
    TwoBuckets(Bucket& a, Bucket& b) : first_(&a < &b ? a : b), second_(&a < &b ? b : a) {
        first_.lock.lock();
        if (&first_ != &second_) second_.lock.lock_nested();
    }
    ~TwoBuckets() {
        if (&first_ != &second_) second_.lock.unlock();
        first_.lock.unlock();
    }
    KILN_NON_COPYABLE(TwoBuckets);

private:
    Bucket& first_;
    Bucket& second_;
};

/// Brings the page of a word into memory, for a second try. EFAULT.
Result<void> touch(std::uintptr_t address) {
    std::uint32_t value;
    if (!hal::load_user_u32(address, &value)) return Errno::kEFAULT;
    return {};
}

std::uint32_t wake_in(Bucket& bucket, const Key& key, std::uint32_t limit, std::uint32_t bits) {
    std::uint32_t woken = 0;
    for (Waiter& waiter : bucket.list) {
        if (woken == limit) break;
        if (waiter.key != key || waiter.tid != 0 || (waiter.bits & bits) == 0) continue;
        bucket.wake(waiter);
        woken++;
    }
    return woken;
}

bool has_waiters(Bucket& bucket) {
    // Pairs with the count that a waiter raises before it looks at the word: either it sees the waker's new value,
    // or the waker sees it.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return bucket.waiters.load(std::memory_order_relaxed) != 0;
}

std::uint32_t wake_key(const Key& key, std::uint32_t limit, std::uint32_t bits) {
    Bucket& bucket = Bucket::of(key);
    if (!has_waiters(bucket)) return 0;
    sync::SpinGuard guard(bucket.lock);
    return wake_in(bucket, key, limit, bits);
}

// FUTEX_OP: operation in bits 28…30 (31: the argument is a shift count), comparison in 24…27, arguments in 12…23
// and 0…11, both signed (include/uapi/linux/futex.h).
enum : std::uint32_t { kOpSet, kOpAdd, kOpOr, kOpAndNot, kOpXor };
enum : std::uint32_t {
    kCompareEqual,
    kCompareNotEqual,
    kCompareLess,
    kCompareLessEqual,
    kCompareGreater,
    kCompareGreaterEqual
};

struct WakeOperation {
    std::uint32_t operation;
    std::uint32_t comparison;
    std::int32_t argument;
    std::int32_t compared;
};

constexpr std::int32_t sign_extend_12(std::uint32_t v) {
    return static_cast<std::int32_t>(v << 20) >> 20;
}

Result<WakeOperation> decode(std::uint32_t encoded) {
    WakeOperation op{.operation = (encoded >> 28) & 7,
                     .comparison = (encoded >> 24) & 15,
                     .argument = sign_extend_12((encoded >> 12) & 0xfff),
                     .compared = sign_extend_12(encoded & 0xfff)};
    if ((encoded & 0x80000000u) != 0)
        op.argument = static_cast<std::int32_t>(1u << (op.argument & 31));
    if (op.operation > kOpXor || op.comparison > kCompareGreaterEqual) return Errno::kENOSYS;
    return op;
}

std::uint32_t apply(const WakeOperation& op, std::uint32_t old) {
    const auto argument = static_cast<std::uint32_t>(op.argument);
    switch (op.operation) {
        case kOpSet: return argument;
        case kOpAdd: return old + argument;
        case kOpOr: return old | argument;
        case kOpAndNot: return old & ~argument;
        default: return old ^ argument;
    }
}

bool compare(const WakeOperation& op, std::uint32_t old) {
    const auto value = static_cast<std::int32_t>(old);
    switch (op.comparison) {
        case kCompareEqual: return value == op.compared;
        case kCompareNotEqual: return value != op.compared;
        case kCompareLess: return value < op.compared;
        case kCompareLessEqual: return value <= op.compared;
        case kCompareGreater: return value > op.compared;
        default: return value >= op.compared;
    }
}

}  // namespace

Bucket& Bucket::of(const Key& key) {
    std::uint64_t h = (reinterpret_cast<std::uintptr_t>(key.owner) >> 4) ^ (key.place >> 2);
    h *= 0x9e3779b97f4a7c15;  // 2^64 / golden ratio: the top bits depend on all
    return of(h >> (64 - 7));
}
static_assert(Bucket::kCount == 1u << 7);

Bucket& Bucket::of(std::size_t index) { return *reinterpret_cast<Bucket*>(g_buckets[index]); }

Result<Key> key_of(Address address) {
    if (!is_aligned(address.value, sizeof(std::uint32_t))) return Errno::kEINVAL;
    if (!hal::is_user_range(address.value, sizeof(std::uint32_t))) return Errno::kEFAULT;
    vm::AddressSpace* const space = vm::current_address_space();
    if (address.scope == Scope::kPrivate || !space) return Key{space, address.value};
    vm::MappingInfo mapping;
    if (!space->find_mapping({address.value}, &mapping)) return Errno::kEFAULT;
    if (mapping.sharing == vm::Sharing::kPrivate || !mapping.object)
        return Key{space, address.value};
    return Key{mapping.object, mapping.offset + (address.value - mapping.begin.value)};
}

bool load_nofault(std::uintptr_t address, std::uint32_t* value) {
    hal::user_access_nofault_begin();
    const bool loaded = hal::load_user_u32(address, value);
    hal::user_access_nofault_end();
    return loaded;
}

bool cmpxchg_nofault(std::uintptr_t address, std::uint32_t* expected, std::uint32_t desired) {
    hal::user_access_nofault_begin();
    const bool done = hal::cmpxchg_user_u32(address, expected, desired);
    hal::user_access_nofault_end();
    return done;
}

Result<void> sleep(Waiter& waiter, time::Deadline deadline, std::uint64_t slack_ns) {
    for (;;) {
        const Result<void> result = sched::WaitQueue::block(deadline, slack_ns);
        // Once more under the lock also when woken: then the waker is done with the waiter. It may be in another
        // bucket than before (requeue).
        for (;;) {
            Bucket& bucket = *waiter.bucket.load(std::memory_order_relaxed);
            sync::SpinGuard guard(bucket.lock);
            if (waiter.bucket.load(std::memory_order_relaxed) != &bucket) continue;
            if (!waiter.node.is_linked()) {
                sched::WaitQueue::cancel_block();
                return {};
            }
            if (!result.ok()) {
                bucket.remove(waiter);
                sched::WaitQueue::cancel_block();
                return result.error();
            }
            sched::WaitQueue::prepare_to_block(sched::Interruptible::kYes);
            break;
        }
    }
}

Result<void> wait(Address address, std::uint32_t expected, std::uint32_t bits,
                  time::Deadline deadline, std::uint64_t slack_ns) {
    if (bits == 0) return Errno::kEINVAL;
    Waiter waiter;
    waiter.bits = bits;
    waiter.thread = &sched::Thread::current();
    for (;;) {
        waiter.key = TRY(key_of(address));
        Bucket& bucket = Bucket::of(waiter.key);
        bucket.waiters.fetch_add(1, std::memory_order_seq_cst);
        {
            sync::SpinGuard guard(bucket.lock);
            std::uint32_t value;
            if (load_nofault(address.value, &value)) {
                if (value == expected) {
                    bucket.add(waiter);
                    sched::WaitQueue::prepare_to_block(sched::Interruptible::kYes);
                } else {
                    bucket.waiters.fetch_sub(1, std::memory_order_relaxed);
                    return Errno::kEAGAIN;
                }
            } else {
                bucket.waiters.fetch_sub(1, std::memory_order_relaxed);
            }
        }
        if (waiter.node.is_linked() || waiter.bucket.load(std::memory_order_relaxed) != nullptr)
            return sleep(waiter, deadline, slack_ns);
        TRY(touch(address.value));
    }
}

Result<std::uint32_t> wake(Address address, std::uint32_t limit, std::uint32_t bits) {
    if (bits == 0) return Errno::kEINVAL;
    return wake_key(TRY(key_of(address)), limit, bits);
}

Result<std::uint32_t> requeue(Address from, std::uint32_t wake_limit, Address to,
                              std::uint32_t requeue_limit, const std::uint32_t* expected) {
    for (;;) {
        const Key key = TRY(key_of(from));
        const Key target = TRY(key_of(to));
        Bucket& source = Bucket::of(key);
        Bucket& destination = Bucket::of(target);
        {
            TwoBuckets guard(source, destination);
            std::uint32_t value = 0;
            if (!expected || load_nofault(from.value, &value)) {
                if (expected && value != *expected) return Errno::kEAGAIN;
                std::uint32_t woken = 0;
                std::uint32_t moved = 0;
                for (Waiter& waiter : source.list) {
                    if (waiter.key != key || waiter.tid != 0) continue;
                    if (woken < wake_limit) {
                        source.wake(waiter);
                        woken++;
                    } else if (moved < requeue_limit) {
                        moved++;
                        waiter.key = target;
                        if (&source == &destination) continue;
                        source.remove(waiter);
                        destination.waiters.fetch_add(1, std::memory_order_seq_cst);
                        destination.add(waiter);
                    } else {
                        break;
                    }
                }
                return expected ? woken + moved : woken;
            }
        }
        TRY(touch(from.value));
    }
}

Result<std::uint32_t> wake_op(Address first, std::uint32_t limit, Address second,
                              std::uint32_t second_limit, std::uint32_t operation) {
    const Key key = TRY(key_of(first));
    const Key second_key = TRY(key_of(second));
    const WakeOperation op = TRY(decode(operation));
    std::uint32_t old;
    if (!hal::load_user_u32(second.value, &old)) return Errno::kEFAULT;
    for (;;) {
        const std::uint32_t seen = old;
        if (!hal::cmpxchg_user_u32(second.value, &old, apply(op, seen))) return Errno::kEFAULT;
        if (old == seen) break;
    }
    std::uint32_t woken = wake_key(key, limit, kMatchAny);
    if (compare(op, old)) woken += wake_key(second_key, second_limit, kMatchAny);
    return woken;
}

void clear_and_wake(std::uintptr_t address) {
    const std::uint32_t zero = 0;
    if (!hal::is_user_range(address, sizeof(zero)) ||
        hal::copy_to_user(address, &zero, sizeof(zero)) != 0)
        return;
    // Shared, as Linux does: pthread_join and the like wait without FUTEX_PRIVATE_FLAG.
    (void)wake({address, Scope::kShared}, 1);
}

void init() {
    for (auto& storage : g_buckets) ::new (static_cast<void*>(storage)) Bucket;
    set_futex_hooks({clear_and_wake, [](Task& task) {
                         if (task.robust_list != 0) exit_robust_list(task.robust_list, task.tid());
                         task.robust_list = 0;
                         exit_pi_owner(task.tid());
                     }});
}

}  // namespace kiln::posix::futex

KILN_INIT_CALL(futex, kiln::InitLevel::kService, kiln::posix::futex::init);
