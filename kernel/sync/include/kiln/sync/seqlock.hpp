// SeqLock: readers never write shared memory; they retry when a writer was active. For small
// plain data that is read far more often than written (the clock).
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/sync/spinlock.hpp>

namespace kiln::sync {

template <typename T>
class SeqLock {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    explicit constexpr SeqLock(LockRank rank, T initial = {}) : lock_(rank), value_(initial) {}

    T read() const {
        for (;;) {
            const std::uint32_t before = sequence_.load(std::memory_order_acquire);
            if ((before & 1) == 0) {
                T copy = value_;
                std::atomic_thread_fence(std::memory_order_acquire);
                if (sequence_.load(std::memory_order_relaxed) == before) return copy;
            }
            hal::cpu_relax();
        }
    }
    void write(const T& value) {
        IrqSpinGuard guard(lock_);
        sequence_.fetch_add(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        value_ = value;
        sequence_.fetch_add(1, std::memory_order_release);
    }

private:
    SpinLock lock_;
    std::atomic<std::uint32_t> sequence_{0};
    T value_;
};

}  // namespace kiln::sync
