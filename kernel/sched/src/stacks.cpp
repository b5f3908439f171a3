#include <kiln/mem/kernel_map.hpp>

#include "run_queue.hpp"

namespace kiln::sched {

Result<KernelStack> take_stack() {
    void* const base = TRY(mem::allocate_stack());
    return KernelStack{.base = base,
                       .top = reinterpret_cast<std::uintptr_t>(base) + mem::kKernelStackSize};
}

void give_stack(void* base) { mem::free_stack(base); }

}  // namespace kiln::sched
