// One CPU's descriptor tables, control registers, system call entry.
#include <kiln/arch/cpu.hpp>

#include <kiln/arch/boot.h>
#include <kiln/arch/segments.h>
#include <config/privilege_user.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/smp.hpp>

#include "asm_offsets.h"
#include "cpu_data.hpp"
#include "fpu.hpp"
#include "vectors.h"

extern "C" {
extern const std::byte kiln_idt[4096];
extern const char syscall_entry[];
extern char boot_stack_top[];
extern std::uint64_t kiln_gdt[KILN_GDT_BYTES / sizeof(std::uint64_t)];
bool kiln_use_fsgsbase;
bool kiln_use_smap;
}

namespace kiln::arch {
namespace {

// Assembler's view.
static_assert(offsetof(hal::CpuLocal, self) == 0);
static_assert(offsetof(hal::CpuLocal, current) == CPU_CURRENT);
static_assert(offsetof(hal::CpuLocal, kernel_stack) == CPU_KERNEL_STACK);
static_assert(offsetof(hal::CpuLocal, scratch) == CPU_SCRATCH);
static_assert(offsetof(hal::CpuLocal, preempt_count) == CPU_PREEMPT_COUNT);
static_assert(offsetof(hal::CpuLocal, need_resched) == CPU_NEED_RESCHED);
static_assert(offsetof(Cpu, loaded_root) == CPU_LOADED_ROOT);
static_assert(offsetof(Cpu, tss) + offsetof(Tss, rsp) == CPU_TSS_RSP0);
static_assert(offsetof(hal::ThreadContext, stack_pointer) == CONTEXT_STACK_POINTER);
static_assert(offsetof(hal::ThreadContext, kernel_stack) == CONTEXT_KERNEL_STACK);
static_assert(offsetof(hal::ThreadContext, work) == CONTEXT_WORK);
static_assert(offsetof(hal::ThreadContext, user_tls) == CONTEXT_USER_TLS);
static_assert(offsetof(hal::ThreadContext, fpu) == CONTEXT_FPU);
static_assert(offsetof(hal::ThreadContext, page_table_root) == CONTEXT_PAGE_TABLE_ROOT);
static_assert(offsetof(hal::TrapFrame, rax) == FRAME_RAX &&
              offsetof(hal::TrapFrame, rdi) == FRAME_RDI);
static_assert(offsetof(hal::TrapFrame, vector) == FRAME_VECTOR &&
              offsetof(hal::TrapFrame, rip) == FRAME_RIP);
static_assert(offsetof(hal::TrapFrame, ss) == FRAME_SS && sizeof(hal::TrapFrame) == FRAME_SIZE);
static_assert(offsetof(hal::TrapFrame, r11) == FRAME_R11 &&
              offsetof(hal::TrapFrame, rcx) == FRAME_RCX);

// Model-specific registers (Intel SDM vol. 4).
constexpr std::uint32_t kMsrStar = 0xc0000081;
constexpr std::uint32_t kMsrLstar = 0xc0000082;
constexpr std::uint32_t kMsrFmask = 0xc0000084;

// RFLAGS bits that SYSCALL clears: TF IF DF IOPL NT AC.
constexpr std::uint64_t kSyscallFlagMask = 0x47700;

// CR4 bits (Intel SDM vol. 3A, 2.5).
constexpr std::uint64_t kCr4Pae = 1u << 5;
constexpr std::uint64_t kCr4GlobalPages = 1u << 7;
constexpr std::uint64_t kCr4Fxsr = 1u << 9;
constexpr std::uint64_t kCr4SimdExceptions = 1u << 10;
constexpr std::uint64_t kCr4Umip = 1u << 11;
constexpr std::uint64_t kCr4FsGsBase = 1u << 16;
constexpr std::uint64_t kCr4Xsave = 1u << 18;
constexpr std::uint64_t kCr4Smep = 1u << 20;
constexpr std::uint64_t kCr4Smap = 1u << 21;

// CPUID 7.
constexpr std::uint32_t kLeaf7FsGsBase = 1u << 0;
constexpr std::uint32_t kLeaf7Smep = 1u << 7;
constexpr std::uint32_t kLeaf7Rdseed = 1u << 18;
constexpr std::uint32_t kLeaf7Smap = 1u << 20;
constexpr std::uint32_t kLeaf7EcxUmip = 1u << 2;

constinit CpuFeatures features{};
// The context of the boot code until the scheduler has a thread for it.
constinit hal::ThreadContext boot_context{};
TrapStacks boot_stacks;

struct [[gnu::packed]] TablePointer {
    std::uint16_t limit;
    std::uint64_t base;
};

// Segment descriptors (Intel SDM vol. 3A, 3.4.5); accessed bits set, so that the CPU never writes them.
constexpr std::uint64_t kCode32 = 0x00cf9b000000ffff;
constexpr std::uint64_t kCode64 = 0x00af9b000000ffff;
constexpr std::uint64_t kData = 0x00cf93000000ffff;
constexpr std::uint64_t kUserCode32 = 0x00cffb000000ffff;
constexpr std::uint64_t kUserData = 0x00cff3000000ffff;
constexpr std::uint64_t kUserCode64 = 0x00affb000000ffff;
constexpr std::uint64_t kTssType = 0x89;  // present, available 64-bit TSS

std::uint64_t stack_top(std::byte* stack, std::size_t size) {
    return reinterpret_cast<std::uint64_t>(stack) + size;
}

void read_features() {
    const CpuidResult leaf0 = cpuid(0);
    const CpuidResult leaf1 = cpuid(1);
    features.max_leaf = leaf0.eax;
    features.leaf1_ecx = leaf1.ecx;
    features.leaf1_edx = leaf1.edx;
    if (leaf0.eax >= 7) {
        const CpuidResult leaf7 = cpuid(7);
        features.leaf7_ebx = leaf7.ebx;
        features.leaf7_ecx = leaf7.ecx;
    }
    const CpuidResult extended = cpuid(0x80000001);
    features.nx = (extended.edx & (1u << 20)) != 0;
    features.pages_1g = (extended.edx & (1u << 26)) != 0;
    kiln_boot_cpu.local.hw_id = leaf1.ebx >> 24;
}

void load_descriptor_tables(Cpu& cpu) {
    cpu.tss.ist[IST_TRAP - 1] = stack_top(cpu.stacks->trap, sizeof(cpu.stacks->trap));
    cpu.tss.ist[IST_NMI - 1] = stack_top(cpu.stacks->nmi, sizeof(cpu.stacks->nmi));
    cpu.tss.ist[IST_DF - 1] = stack_top(cpu.stacks->double_fault, sizeof(cpu.stacks->double_fault));
    cpu.tss.ist[IST_MC - 1] =
        stack_top(cpu.stacks->machine_check, sizeof(cpu.stacks->machine_check));
    cpu.tss.ist[IST_DB - 1] = stack_top(cpu.stacks->debug, sizeof(cpu.stacks->debug));
    cpu.tss.rsp[0] = cpu.local.kernel_stack;
    cpu.tss.io_map_base = sizeof(Tss);

    const auto base = reinterpret_cast<std::uint64_t>(&cpu.tss);
    std::uint64_t* descriptor = &kiln_gdt[KILN_TSS / sizeof(std::uint64_t)];
    descriptor[0] =
        (sizeof(Tss) - 1) | (base & 0xffffff) << 16 | kTssType << 40 | (base >> 24 & 0xff) << 56;
    descriptor[1] = base >> 32;

    const TablePointer gdt{KILN_GDT_BYTES - 1, reinterpret_cast<std::uint64_t>(kiln_gdt)};
    const TablePointer idt{4096 - 1, reinterpret_cast<std::uint64_t>(kiln_idt)};
    asm volatile("lgdt %0; ltr %w1; lidt %2" : : "m"(gdt), "r"(KILN_TSS), "m"(idt) : "memory");
}

void enable_features() {
    std::uint64_t cr4 = kCr4Pae | kCr4GlobalPages | kCr4Fxsr | kCr4SimdExceptions;
    kiln_use_fsgsbase = (features.leaf7_ebx & kLeaf7FsGsBase) != 0;
    if (kiln_use_fsgsbase) cr4 |= kCr4FsGsBase;
    if ((features.leaf1_ecx & kLeaf1Xsave) != 0) cr4 |= kCr4Xsave;
    // In ring 0 they would keep the application from running.
    if constexpr (config::privilege_user) {
        if ((features.leaf7_ebx & kLeaf7Smep) != 0) cr4 |= kCr4Smep;
        if ((features.leaf7_ebx & kLeaf7Smap) != 0) cr4 |= kCr4Smap;
        if ((features.leaf7_ecx & kLeaf7EcxUmip) != 0) cr4 |= kCr4Umip;
        kiln_use_smap = (cr4 & kCr4Smap) != 0;
    }
    write_cr4(cr4);
}

void enable_syscall() {
    // SYSCALL takes CS and SS = CS + 8 from bits 47:32, SYSRET CS = base + 16 and SS = base + 8 from bits 63:48.
    constexpr std::uint64_t kSysretBase = 0x23;
    write_msr(kMsrStar, kSysretBase << 48 | std::uint64_t{KILN_KERNEL_CS} << 32);
    write_msr(kMsrLstar, reinterpret_cast<std::uint64_t>(syscall_entry));
    write_msr(kMsrFmask, kSyscallFlagMask);
}

}  // namespace

// GS points here from the first instruction in the upper half on.
constinit Cpu kiln_boot_cpu{
    .local = {.self = &kiln_boot_cpu.local,
              .current = &boot_context,
              .kernel_stack = 0,
              .scratch = {},
              .cpu_id = 0,
              .hw_id = 0,
              .preempt_count = 0,
              .need_resched = false,
              .in_interrupt = false},
    .loaded_root = 0,
    .tss = {},
    .stacks = &boot_stacks,
    .nofault_depth = 0,
    .fatal_frame = nullptr,
};

const CpuFeatures& cpu_features() { return features; }

void init_cpu() {
    kiln_boot_cpu.local.kernel_stack = reinterpret_cast<std::uintptr_t>(boot_stack_top);
    read_features();
    enable_features();
    load_descriptor_tables(kiln_boot_cpu);
    enable_syscall();
    init_fpu(features);
}

void triple_fault() {
    const TablePointer none{0, 0};
    asm volatile("lidt %0; int3" : : "m"(none));
    hal::halt_forever();
}

}  // namespace kiln::arch

constinit std::uint64_t kiln_gdt[KILN_GDT_BYTES / sizeof(std::uint64_t)] = {
    0,
    kiln::arch::kCode32,
    kiln::arch::kCode64,
    kiln::arch::kData,
    kiln::arch::kUserCode32,
    kiln::arch::kUserData,
    kiln::arch::kUserCode64,
};

namespace kiln::hal {

void (*preempt_hook)() = nullptr;
void set_preempt_hook(void (*hook)()) { preempt_hook = hook; }
void preempt_point() {
    if (preempt_hook != nullptr && irqs_enabled()) preempt_hook();
}

void halt_forever() {
    for (;;) asm volatile("cli; hlt");
}

bool hw_random(std::uint64_t* out) {
    // Ten attempts, as Intel's software developer's manual advises (vol. 1, 7.3.17).
    constexpr int kAttempts = 10;
    if ((arch::cpu_features().leaf1_ecx & arch::kLeaf1Rdrand) == 0) return false;
    for (int i = 0; i < kAttempts; ++i) {
        bool ok;
        asm volatile("rdrand %0" : "=r"(*out), "=@ccc"(ok));
        if (ok) return true;
    }
    return false;
}

// One CPU so far.
std::uint32_t cpu_count() { return 1; }
void cpu_call(std::uint64_t mask, void (*fn)(void*), void* argument) {
    if ((mask & 1) == 0) return;
    const IrqState state = irq_save();
    fn(argument);
    irq_restore(state);
}
void cpu_kick(std::uint32_t) { cpu_local().need_resched.store(true, std::memory_order_relaxed); }

}  // namespace kiln::hal
