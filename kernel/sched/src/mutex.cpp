#include <kiln/sched/mutex.hpp>

#include <kiln/base/format.hpp>

namespace kiln::sched {
namespace {

bool may_nest_in_itself(sync::LockRank rank) {
    return rank == sync::LockRank::kInode || rank == sync::LockRank::kEpollScan;
}

}  // namespace

void check_sleeping_lock_order(sync::LockRank rank) {
    if (sync::held_spinlock_count() != 0)
        panicf("sleeping lock (rank {}) taken under a spinlock", rank);
    if (!hal::current_context()) return;  // before init(): one flow of control
    const Thread& self = Thread::current();
    if (rank == sync::LockRank::kUnranked) return;
    for (std::uint8_t i = 0; i < self.held_rank_count_; i++) {
        const sync::LockRank held = self.held_ranks_[i];
        if (held > rank || (held == rank && !may_nest_in_itself(rank)))
            panicf("lock order: sleeping lock of rank {} taken while rank {} is held", rank, held);
    }
}

void note_sleeping_lock(sync::LockRank rank) {
    if (!hal::current_context()) return;
    Thread& self = Thread::current();
    if (self.held_rank_count_ == self.held_ranks_.size()) panic("too many sleeping locks held");
    self.held_ranks_[self.held_rank_count_++] = rank;
}

void note_sleeping_unlock(sync::LockRank rank) {
    if (!hal::current_context()) return;
    Thread& self = Thread::current();
    for (std::uint8_t i = self.held_rank_count_; i-- > 0;) {
        if (self.held_ranks_[i] != rank) continue;
        for (std::uint8_t j = i + 1; j < self.held_rank_count_; j++)
            self.held_ranks_[j - 1] = self.held_ranks_[j];
        self.held_rank_count_--;
        return;
    }
    panicf("sleeping lock of rank {} released and not held", rank);
}

Result<void> Mutex::lock_slowly(Interruptible interruptible) {
    KILN_ASSERT(!is_held_by_current());
    WaitEntry entry;
    entry.exclusive = true;
    return queue_.wait(
        entry, [this] { return acquire(); }, interruptible);
}

Result<void> Mutex::lock_interruptible() {
    if constexpr (sync::kCheckLockRanks) check_sleeping_lock_order(rank_);
    if (!acquire()) TRY(lock_slowly(Interruptible::kYes));
    if constexpr (sync::kCheckLockRanks) note_sleeping_lock(rank_);
    return {};
}

bool RwLock::acquire_read() {
    std::int32_t readers = state_.load(std::memory_order_relaxed);
    while (readers >= 0 && writers_waiting_.load(std::memory_order_seq_cst) == 0) {
        if (state_.compare_exchange_weak(readers, readers + 1, std::memory_order_seq_cst,
                                         std::memory_order_relaxed))
            return true;
    }
    return false;
}

bool RwLock::acquire_write() {
    std::int32_t free = 0;
    return state_.compare_exchange_strong(free, -1, std::memory_order_seq_cst,
                                          std::memory_order_relaxed);
}

void RwLock::wake_next() {
    if (!queue_.has_waiters()) return;
    if (writers_waiting_.load(std::memory_order_seq_cst) != 0) {
        queue_.wake(kWriters);
    } else {
        queue_.wake_all(kReaders);
    }
}

void RwLock::read_lock() {
    if constexpr (sync::kCheckLockRanks) check_sleeping_lock_order(rank_);
    if (!acquire_read()) {
        WaitEntry entry;
        entry.events = kReaders;
        (void)queue_.wait(
            entry, [this] { return acquire_read(); }, Interruptible::kNo);
    }
    if constexpr (sync::kCheckLockRanks) note_sleeping_lock(rank_);
}

void RwLock::read_unlock() {
    if constexpr (sync::kCheckLockRanks) note_sleeping_unlock(rank_);
    const std::int32_t before = state_.fetch_sub(1, std::memory_order_seq_cst);
    KILN_ASSERT(before > 0);
    if (before == 1) wake_next();
}

void RwLock::write_lock() {
    if constexpr (sync::kCheckLockRanks) check_sleeping_lock_order(rank_);
    if (!acquire_write()) {
        // Readers that come from now on wait. Those that came before end, and the last of them wakes a writer.
        writers_waiting_.fetch_add(1, std::memory_order_seq_cst);
        WaitEntry entry;
        entry.events = kWriters;
        entry.exclusive = true;
        (void)queue_.wait(
            entry, [this] { return acquire_write(); }, Interruptible::kNo);
        writers_waiting_.fetch_sub(1, std::memory_order_seq_cst);
    }
    if constexpr (sync::kCheckLockRanks) note_sleeping_lock(rank_);
}

void RwLock::write_unlock() {
    if constexpr (sync::kCheckLockRanks) note_sleeping_unlock(rank_);
    KILN_ASSERT(state_.load(std::memory_order_relaxed) == -1);
    state_.store(0, std::memory_order_seq_cst);
    wake_next();
}

void RwLock::downgrade() {
    KILN_ASSERT(state_.load(std::memory_order_relaxed) == -1);
    state_.store(1, std::memory_order_seq_cst);
    // Waiting writers go on waiting; without any, readers may come along.
    if (queue_.has_waiters() && writers_waiting_.load(std::memory_order_seq_cst) == 0)
        queue_.wake_all(kReaders);
}

}  // namespace kiln::sched
