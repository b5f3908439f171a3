// Kernel stacks, a few of them kept: a thread that is created after another one ended takes its stack, still warm.
#include <kiln/hal/cpu.hpp>
#include <kiln/sync/spinlock.hpp>

#include "run_queue.hpp"

#ifndef KILN_HOST
#include <kiln/mem/kernel_map.hpp>
#endif

namespace kiln::sched {

#ifdef KILN_HOST

// Contexts of host tests run on stacks of their own (kernel/arch/host).
Result<KernelStack> take_stack() { return KernelStack{.base = nullptr, .top = 0x1000}; }
void give_stack(const KernelStack&) {}

#else
namespace {

constexpr std::uint32_t kKept = 8;

struct Kept {
    std::array<KernelStack, kKept> stacks{};
    std::uint32_t count = 0;
};
constinit sync::SpinProtected<Kept> g_kept{sync::LockRank::kHeap};

}  // namespace

Result<KernelStack> take_stack() {
    {
        auto kept = g_kept.lock();
        if (kept->count != 0) return kept->stacks[--kept->count];
    }
    const mem::KernelStack stack = TRY(mem::allocate_stack());
    return KernelStack{.base = stack.base, .top = stack.top};
}

void give_stack(const KernelStack& stack) {
    {
        auto kept = g_kept.lock();
        if (kept->count != kKept) {
            kept->stacks[kept->count++] = stack;
            return;
        }
    }
    mem::free_stack(stack);
}
#endif

}  // namespace kiln::sched
