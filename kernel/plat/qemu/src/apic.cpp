#include "apic.hpp"

#include <kiln/arch/cpu.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>

#include "vectors.hpp"

namespace kiln {
namespace {

using plat::ApicRegister;

constexpr std::uint32_t kMsrApicBase = 0x1b;
constexpr std::uint64_t kApicBaseX2apic = 1u << 10;
constexpr std::uint64_t kApicBaseEnable = 1u << 11;
constexpr std::uint64_t kApicBaseAddress = 0x000ffffffffff000;
constexpr std::uint32_t kMsrX2apicFirst = 0x800;
constexpr std::uint32_t kMsrTscDeadline = 0x6e0;

constexpr std::uint32_t kSpuriousEnable = 1u << 8;
constexpr std::uint32_t kLvtMasked = 1u << 16;
constexpr std::uint32_t kLvtTscDeadline = 2u << 17;
constexpr std::uint32_t kDivideBy1 = 0xb;
constexpr std::uint32_t kCountMax = 0xffffffff;

// 8259 data ports (interrupt masks).
constexpr std::uint16_t kPic1Mask = 0x21;
constexpr std::uint16_t kPic2Mask = 0xa1;

volatile std::byte* registers = nullptr;  // null: x2APIC
bool use_tsc_deadline = false;
std::uint64_t timer_ratio = 0;
bool timer_in_use = false;

}  // namespace

std::uint32_t plat::apic_read(ApicRegister reg) {
    const auto offset = static_cast<std::uint32_t>(reg);
    if (registers != nullptr) return arch::mmio_read32(registers + offset);
    return static_cast<std::uint32_t>(arch::read_msr(kMsrX2apicFirst + offset / 16));
}

void plat::apic_write(ApicRegister reg, std::uint32_t value) {
    const auto offset = static_cast<std::uint32_t>(reg);
    if (registers != nullptr) {
        arch::mmio_write32(registers + offset, value);
    } else {
        arch::write_msr(kMsrX2apicFirst + offset / 16, value);
    }
}

void plat::init_apic() {
    const arch::CpuFeatures& cpu = arch::cpu_features();
    const std::uint64_t base = arch::read_msr(kMsrApicBase);
    if ((cpu.leaf1_ecx & arch::kLeaf1X2apic) != 0) {
        arch::write_msr(kMsrApicBase, base | kApicBaseEnable | kApicBaseX2apic);
    } else {
        if ((base & kApicBaseEnable) == 0) arch::write_msr(kMsrApicBase, base | kApicBaseEnable);
        registers = static_cast<volatile std::byte*>(
            arch::map_device({base & kApicBaseAddress}, kPageSize));
        KILN_ASSERT(registers != nullptr);
    }
    use_tsc_deadline = (cpu.leaf1_ecx & arch::kLeaf1TscDeadline) != 0;
    apic_write(ApicRegister::kSpurious, kSpuriousEnable | kVectorSpurious);
    apic_write(ApicRegister::kLvtLint0, kLvtMasked);
    apic_write(ApicRegister::kLvtTimer, kLvtMasked | kVectorTimer);
    apic_write(ApicRegister::kTimerDivide, kDivideBy1);
    apic_write(ApicRegister::kTimerInitial, kCountMax);
}

void plat::set_apic_timer_ratio(std::uint64_t ratio) { timer_ratio = ratio; }

void plat::disable_pic() {
    arch::out8(kPic1Mask, 0xff);
    arch::out8(kPic2Mask, 0xff);
}

namespace hal {

std::uint32_t timer_vector() { return plat::kVectorTimer; }

void timer_arm(std::uint64_t deadline_cycles) {
    if (!timer_in_use) {
        timer_in_use = true;
        static_cast<void>(clock_scale());  // measures with the same counter
        apic_write(ApicRegister::kLvtTimer,
                   use_tsc_deadline ? kLvtTscDeadline | plat::kVectorTimer : plat::kVectorTimer);
    }
    if (use_tsc_deadline) {
        // 0 would disarm it.
        arch::write_msr(kMsrTscDeadline, deadline_cycles | (deadline_cycles == 0 ? 1 : 0));
        return;
    }
    const std::uint64_t now = cycle_counter();
    const std::uint64_t cycles = deadline_cycles > now ? deadline_cycles - now : 0;
    const auto count = static_cast<unsigned __int128>(cycles) * timer_ratio >> 32;
    // Rounded up. A deadline too far away comes early, and the timer's user arms it again.
    apic_write(ApicRegister::kTimerInitial,
               count < kCountMax ? static_cast<std::uint32_t>(count) + 1 : kCountMax);
}

void timer_disarm() {
    if (!timer_in_use) return;
    if (use_tsc_deadline) {
        arch::write_msr(kMsrTscDeadline, 0);
    } else {
        plat::apic_write(ApicRegister::kTimerInitial, 0);
    }
}

void interrupt_end(std::uint32_t vector) {
    if (vector != plat::kVectorSpurious) plat::apic_write(ApicRegister::kEnd, 0);
}

}  // namespace hal
}  // namespace kiln
