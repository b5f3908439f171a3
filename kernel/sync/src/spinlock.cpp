#include <kiln/sync/spinlock.hpp>

namespace kiln::sync {

// Out of line: the way of the lock that is taken.
void SpinLock::wait_for_turn(std::uint16_t ticket) {
    while (owner_.load(std::memory_order_acquire) != ticket) hal::cpu_relax();
}

}  // namespace kiln::sync
