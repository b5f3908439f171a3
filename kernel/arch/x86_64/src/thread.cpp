// Contexts of threads; the switch itself is switch.S.
#include <cstring>

#include <kiln/arch/io.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/trap.hpp>

#include "cpu_data.hpp"

extern "C" {
extern bool kiln_use_fsgsbase;
void kiln_context_start();
kiln::hal::ThreadContext* kiln_switch_context(kiln::hal::ThreadContext* prev,
                                              kiln::hal::ThreadContext* next);
[[noreturn]] void enter_user_frame(const kiln::hal::TrapFrame*);
}

namespace kiln::hal {
namespace {

constexpr std::uint32_t kMsrFsBase = 0xc0000100;

/// What switch_context() pops.
struct InitialStack {
    std::uint64_t r15;
    std::uint64_t r14;
    std::uint64_t r13;
    std::uint64_t r12;
    std::uint64_t rbx;
    std::uint64_t rbp;
    std::uint64_t return_address;
    std::uint64_t alignment;  ///< kiln_context_start begins with an aligned stack
};

}  // namespace

ThreadContext* switch_context(ThreadContext* prev, ThreadContext* next) {
    return kiln_switch_context(prev, next);
}

void init_context(ThreadContext* context, std::uintptr_t stack_top,
                  void (*entry)(ThreadContext*, void*), void* argument) {
    auto* stack = reinterpret_cast<InitialStack*>(stack_top - sizeof(InitialStack));
    *stack = {.r15 = 0,
              .r14 = 0,
              .r13 = reinterpret_cast<std::uint64_t>(argument),
              .r12 = reinterpret_cast<std::uint64_t>(entry),
              .rbx = 0,
              .rbp = 0,
              .return_address = reinterpret_cast<std::uint64_t>(&kiln_context_start),
              .alignment = 0};
    context->stack_pointer = reinterpret_cast<std::uintptr_t>(stack);
    context->kernel_stack = stack_top;
}

void set_user_tls(ThreadContext* context, std::uintptr_t base) {
    context->user_tls = base;
    if (context != current_context()) return;
    if (kiln_use_fsgsbase) {
        asm volatile("wrfsbase %0" : : "r"(base) : "memory");
    } else {
        arch::write_msr(kMsrFsBase, base);
    }
}

std::uintptr_t user_tls() {
    if (!kiln_use_fsgsbase) return arch::read_msr(kMsrFsBase);
    std::uintptr_t base;
    asm volatile("rdfsbase %0" : "=r"(base));
    return base;
}

TrapFrame& current_user_frame() {
    return *reinterpret_cast<TrapFrame*>(cpu_local().kernel_stack - sizeof(TrapFrame));
}

void enter_user(const TrapFrame& frame) { enter_user_frame(&frame); }

void load_page_table_root(PhysAddr root) {
    const IrqState state = irq_save();
    arch::this_cpu().loaded_root = root.value;
    arch::write_cr3(root.value);
    irq_restore(state);
}

void flush_tlb_page(VirtAddr va) { asm volatile("invlpg (%0)" : : "r"(va.value) : "memory"); }

void flush_tlb_range(VirtAddr va, std::uint64_t length) {
    // Linux's tlb_single_page_flush_ceiling: beyond it, refilling everything is cheaper than invalidating page by page.
    constexpr std::uint64_t kSinglePageCeiling = 33;
    if (length / kPageSize > kSinglePageCeiling) {
        flush_tlb_all();
        return;
    }
    for (std::uint64_t offset = 0; offset < length; offset += kPageSize)
        flush_tlb_page(va + offset);
}

void flush_tlb_all() {
    // A change of CR4.PGE flushes global entries, too (Intel SDM vol. 3A, 4.10.4.1).
    constexpr std::uint64_t kCr4GlobalPages = 1u << 7;
    const IrqState state = irq_save();
    const std::uint64_t cr4 = arch::read_cr4();
    arch::write_cr4(cr4 & ~kCr4GlobalPages);
    arch::write_cr4(cr4);
    irq_restore(state);
}

}  // namespace kiln::hal
