#include <atomic>
#include <cstdlib>
#include <ctime>

#include <kiln/arch/host.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/smp.hpp>
#include <kiln/hal/thread_context.hpp>

namespace kiln {
namespace {

thread_local bool irqs_on = true;
thread_local hal::ThreadContext boot_context;
thread_local hal::CpuLocal local;
std::atomic<void (*)()> preempt_hook{nullptr};
std::atomic<std::uint64_t> fake_time{UINT64_MAX};
thread_local void (*idle_hook)() = nullptr;

}  // namespace

namespace hal {

IrqState irq_save() {
    const IrqState state = irqs_on;
    irqs_on = false;
    return state;
}
void irq_restore(IrqState state) { irqs_on = state != 0; }
bool irqs_enabled() { return irqs_on; }
void irq_enable() { irqs_on = true; }
void irq_disable() { irqs_on = false; }

CpuLocal& cpu_local() {
    if (local.self == nullptr) {
        local.self = &local;
        local.current = &boot_context;
    }
    return local;
}
ThreadContext* current_context() { return cpu_local().current; }
void cpu_relax() {}
void idle_wait() {
    irqs_on = true;
    if (idle_hook) idle_hook();
}
void halt_forever() { std::abort(); }

std::uint64_t cycle_counter() {
    const std::uint64_t fake = fake_time.load();
    if (fake != UINT64_MAX) return fake;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSec +
           static_cast<std::uint64_t>(now.tv_nsec);
}

bool hw_random(std::uint64_t* out) {
    // splitmix64: tests want repeatable numbers, not secrets.
    static std::atomic<std::uint64_t> state{0x9e3779b97f4a7c15};
    std::uint64_t z = state.fetch_add(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    *out = z ^ (z >> 31);
    return true;
}

void preempt_disable() { ++cpu_local().preempt_count; }
void preempt_enable() {
    CpuLocal& cpu = cpu_local();
    KILN_ASSERT(cpu.preempt_count > 0);
    if (--cpu.preempt_count == 0 && cpu.need_resched.load() && irqs_on) {
        if (auto* hook = preempt_hook.load()) hook();
    }
}
void set_preempt_hook(void (*hook)()) { preempt_hook = hook; }

std::uint32_t cpu_count() { return 1; }
void cpu_call(std::uint64_t mask, void (*fn)(void*), void* argument) {
    if ((mask & 1) != 0) fn(argument);
}
void cpu_kick(std::uint32_t) {}

}  // namespace hal

void host::preempt_at_interrupt_end() {
    hal::CpuLocal& cpu = hal::cpu_local();
    KILN_ASSERT(cpu.preempt_count > 0 && !irqs_on);
    if (--cpu.preempt_count == 0 && cpu.need_resched.load()) {
        if (auto* hook = preempt_hook.load()) hook();
    }
}

void host::set_idle_hook(void (*hook)()) { idle_hook = hook; }

void host::set_time_ns(std::uint64_t ns) { fake_time = ns; }
void host::advance_time_ns(std::uint64_t ns) { fake_time = hal::cycle_counter() + ns; }
void host::use_real_time() { fake_time = UINT64_MAX; }

}  // namespace kiln
