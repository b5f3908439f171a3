// Contexts of host tests run on stacks of their own (kernel/arch/host); what is here is only a name for one.
#include "run_queue.hpp"

namespace kiln::sched {

Result<KernelStack> take_stack() { return KernelStack{.base = nullptr, .top = kPageSize}; }
void give_stack(void*) {}

}  // namespace kiln::sched
