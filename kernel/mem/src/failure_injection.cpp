#include "failure_injection.hpp"

#include <kiln/mem/pages.hpp>

namespace kiln::mem {

namespace detail {

std::atomic<std::uint32_t> inject_every{0};
static std::atomic<std::uint32_t> inject_count{0};

bool injected_slow() {
    const std::uint32_t every = inject_every.load(std::memory_order_relaxed);
    return every != 0 && inject_count.fetch_add(1, std::memory_order_relaxed) % every == every - 1;
}

}  // namespace detail

void inject_allocation_failures(std::uint32_t every_nth) {
    detail::inject_count.store(0, std::memory_order_relaxed);
    detail::inject_every.store(every_nth, std::memory_order_relaxed);
}

}  // namespace kiln::mem
