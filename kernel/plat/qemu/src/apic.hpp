// The local APIC (Intel SDM vol. 3A, chapter 11), by MSRs (x2APIC) or in memory.
#pragma once

#include <cstdint>

namespace kiln::plat {

/// Registers as offsets in the memory-mapped form; x2APIC's MSRs are 0x800 + offset / 16.
enum class ApicRegister : std::uint32_t {
    kId = 0x20,
    kTaskPriority = 0x80,
    kEnd = 0xb0,
    kSpurious = 0xf0,
    kLvtTimer = 0x320,
    kLvtLint0 = 0x350,
    kLvtLint1 = 0x360,
    kTimerInitial = 0x380,
    kTimerCurrent = 0x390,
    kTimerDivide = 0x3e0,
};

/// Maps and enables it, and starts its timer counting down from the largest value, without interrupts: the
/// clock measures with it. Called once on each CPU, with interrupts disabled.
void init_apic();
std::uint32_t apic_read(ApicRegister reg);
void apic_write(ApicRegister reg, std::uint32_t value);

/// Bus cycles of the APIC timer per cycle of the counter, times 2^32; from the clock's measurement.
void set_apic_timer_ratio(std::uint64_t ratio);

/// Masks the two 8259s, which a PC's firmware leaves alive.
void disable_pic();

}  // namespace kiln::plat
