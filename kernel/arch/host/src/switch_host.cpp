// Context switches between kernel threads, by ucontext. A context runs on a host stack of its own, not on the one that
// init_context() was given: sanitizers need more room than a kernel stack has.
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#include <sanitizer/common_interface_defs.h>
#endif
#endif

#include <kiln/base/panic.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/trap.hpp>

namespace kiln::hal {
namespace {

constexpr std::size_t kStackBytes = 512_KiB;

/// Hangs on ThreadContext::stack_pointer; lies at the start of its own stack's mapping.
struct Fiber {
    ucontext_t context{};
    void* stack = nullptr;
    std::size_t stack_bytes = 0;
    void (*entry)(ThreadContext*, void*) = nullptr;
    void* argument = nullptr;
};

thread_local ThreadContext* switched_from = nullptr;

Fiber* fiber_of(ThreadContext* context) { return reinterpret_cast<Fiber*>(context->stack_pointer); }

Fiber* new_fiber(std::size_t stack_bytes) {
    // Not from malloc: a thread that ends never comes back to free its stack, and that is no leak to report.
    const std::size_t bytes = page_up(sizeof(Fiber)) + stack_bytes;
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    KILN_ASSERT(p != MAP_FAILED);
    auto* fiber = new (p) Fiber;
    fiber->stack = static_cast<std::byte*>(p) + page_up(sizeof(Fiber));
    fiber->stack_bytes = stack_bytes;
    return fiber;
}

void finish_switch([[maybe_unused]] void* fake_stack) {
#ifdef __SANITIZE_ADDRESS__
    const void* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
    // The first stack of the process is known only now.
    if (Fiber* from = fiber_of(switched_from); from->stack_bytes == 0) {
        from->stack = const_cast<void*>(bottom);
        from->stack_bytes = size;
    }
#endif
}

void run() {
    finish_switch(nullptr);
    const Fiber* self = fiber_of(cpu_local().current);
    self->entry(switched_from, self->argument);
    panic("a context's entry returned");
}

}  // namespace

ThreadContext* switch_context(ThreadContext* prev, ThreadContext* next) {
    if (prev->stack_pointer == 0)
        prev->stack_pointer = reinterpret_cast<std::uintptr_t>(new_fiber(0));
    Fiber* to = fiber_of(next);
    KILN_ASSERT(to != nullptr);
    CpuLocal& cpu = cpu_local();
    cpu.current = next;
    cpu.kernel_stack = next->kernel_stack;
    switched_from = prev;
#ifdef __SANITIZE_ADDRESS__
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, to->stack, to->stack_bytes);
    swapcontext(&fiber_of(prev)->context, &to->context);
    finish_switch(fake_stack);
#else
    swapcontext(&fiber_of(prev)->context, &to->context);
#endif
    return switched_from;
}

void init_context(ThreadContext* context, std::uintptr_t stack_top,
                  void (*entry)(ThreadContext*, void*), void* argument) {
    Fiber* fiber = new_fiber(kStackBytes);
    fiber->entry = entry;
    fiber->argument = argument;
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = fiber->stack_bytes;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, run, 0);
    context->stack_pointer = reinterpret_cast<std::uintptr_t>(fiber);
    context->kernel_stack = stack_top;
}

// There is no application on the host, so its vector state is only bytes.
std::size_t fpu_state_size() { return 512 + 64; }
void fpu_init_state(void* area) { __builtin_memset(area, 0, fpu_state_size()); }
void fpu_save(void*) {}
void fpu_restore(const void*) {}
bool fpu_state_valid(std::span<const std::byte> state) { return state.size() >= fpu_state_size(); }

void set_user_tls(ThreadContext* context, std::uintptr_t base) { context->user_tls = base; }
std::uintptr_t user_tls() { return cpu_local().current->user_tls; }
void enter_user(const TrapFrame&) { panic("enter_user() on the host"); }

}  // namespace kiln::hal
