#include <kiln/arch/host.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/trap.hpp>

namespace kiln {
namespace {

hal::TrapHandlers handlers{};
void (*syscall_handler)(hal::TrapFrame&) = nullptr;
thread_local hal::TrapFrame user_frame{};
constexpr std::uintptr_t kKernelText =
    0xffffffff80100000;  // any address that from_user() does not take for the application

}  // namespace

namespace hal {

void set_page_fault_handler(bool (*handler)(const Fault&, TrapFrame&)) {
    handlers.page_fault = handler;
}
void set_user_fault_handler(void (*handler)(const Fault&, TrapFrame&)) {
    handlers.user_fault = handler;
}
void set_interrupt_handler(void (*handler)(std::uint32_t, TrapFrame&)) {
    handlers.interrupt = handler;
}
void set_return_to_user_handler(void (*handler)(TrapFrame&)) { handlers.return_to_user = handler; }
void set_syscall_handler(void (*handler)(TrapFrame&)) { syscall_handler = handler; }

TrapFrame& current_user_frame() { return user_frame; }

void walk_stack(std::uintptr_t ip, std::uintptr_t, bool (*visit)(std::uintptr_t, void*),
                void* cookie) {
    visit(ip, cookie);
}
std::uintptr_t current_frame_pointer() {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

const TrapFrame* fatal_frame() { return nullptr; }
std::size_t format_registers(const TrapFrame& frame, std::span<char> out) {
    return format_to(out, "rip {:016x} rsp {:016x}\n", frame.rip, frame.rsp);
}

}  // namespace hal

void host::interrupt(std::uint32_t vector) {
    KILN_ASSERT(handlers.interrupt != nullptr);
    hal::TrapFrame frame{};
    frame.rip = kKernelText;
    hal::CpuLocal& cpu = hal::cpu_local();
    const hal::IrqState state = hal::irq_save();
    hal::preempt_disable();
    cpu.in_interrupt = true;
    handlers.interrupt(vector, frame);
    cpu.in_interrupt = false;
    preempt_at_interrupt_end();
    hal::irq_restore(state);
}

bool host::page_fault(std::uintptr_t address, hal::Access access, bool present) {
    if (handlers.page_fault == nullptr) return false;
    hal::TrapFrame frame{};
    const hal::Fault fault{.kind = hal::FaultKind::kPage,
                           .access = access,
                           .present = present,
                           .address = address,
                           .code = 0,
                           .vector = 14};
    return handlers.page_fault(fault, frame);
}

void host::syscall(hal::TrapFrame& frame) {
    KILN_ASSERT(syscall_handler != nullptr);
    syscall_handler(frame);
}

}  // namespace kiln
