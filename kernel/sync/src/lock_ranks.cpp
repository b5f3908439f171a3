#include <array>

#include <config/nr_cpus.hpp>
#include <kiln/base/format.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::sync {
namespace {

constexpr std::uint32_t kMaxHeld = 16;

// What one flow of control on a CPU holds. An interrupt's handler has its own: the locks of the code it
// interrupted are (by the rule of IrqSpinGuard) never those that handlers take, so their order with
// respect to the handler's does not matter.
struct HeldLocks {
    std::uint32_t count = 0;
    std::array<const SpinLock*, kMaxHeld> locks{};
    std::array<LockRank, kMaxHeld> ranks{};
};

struct CpuHeldLocks {
    HeldLocks thread;
    HeldLocks interrupt;
};

constexpr std::uint32_t kCheckedCpus = kCheckLockRanks ? config::nr_cpus : 1;
constinit std::array<CpuHeldLocks, kCheckedCpus> g_held{};

// Interrupts may come between the look-ups below; the two halves keep them apart.
HeldLocks& held_here() {
    const hal::CpuLocal& local = hal::cpu_local();
    CpuHeldLocks& cpu = g_held[local.cpu_id];
    return local.in_interrupt ? cpu.interrupt : cpu.thread;
}

}  // namespace

void check_lock_order(const SpinLock& lock, LockRank rank) {
    HeldLocks& held = held_here();
    for (std::uint32_t i = 0; i < held.count; i++) {
        if (held.locks[i] == &lock) panicf("spinlock {} (rank {}) taken twice", &lock, rank);
        if (rank != LockRank::kUnranked && held.ranks[i] >= rank)
            panicf("lock order: rank {} taken while rank {} is held", rank, held.ranks[i]);
    }
}

void note_lock_acquired(const SpinLock& lock, LockRank rank) {
    HeldLocks& held = held_here();
    if (held.count == kMaxHeld) panicf("more than {} spinlocks held", kMaxHeld);
    held.locks[held.count] = &lock;
    held.ranks[held.count] = rank;
    held.count++;
}

void note_lock_released(const SpinLock& lock) {
    HeldLocks& held = held_here();
    for (std::uint32_t i = held.count; i-- > 0;) {
        if (held.locks[i] != &lock) continue;
        for (std::uint32_t j = i + 1; j < held.count; j++) {
            held.locks[j - 1] = held.locks[j];
            held.ranks[j - 1] = held.ranks[j];
        }
        held.count--;
        return;
    }
    panicf("spinlock {} released and not held", &lock);
}

std::uint32_t held_spinlock_count() {
    if constexpr (kCheckLockRanks) return held_here().count;
    return 0;
}

}  // namespace kiln::sync
