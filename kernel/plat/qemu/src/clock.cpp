// How fast the cycle counter runs. What the hypervisor or the CPU say is taken; else the counter is compared with one of known
// frequency over the time that boot has taken anyway: the first reading is made by start_clock(), the second when somebody
// asks for the scale.
#include <cstring>

#include <kiln/arch/cpu.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>

#include "acpi_tables.hpp"
#include "apic.hpp"
#include "platform.hpp"

namespace kiln {
namespace {

using plat::ApicRegister;

// Hypervisor CPUID leaves: VMware's TSC frequency leaf, which KVM and QEMU give, too; KVM's features (Linux
// Documentation/virt/kvm/x86/cpuid.rst).
constexpr std::uint32_t kLeafHypervisor = 0x40000000;
constexpr std::uint32_t kLeafKvmFeatures = 0x40000001;
constexpr std::uint32_t kLeafTscFrequency = 0x40000010;
constexpr std::uint32_t kLeafCrystal = 0x15;
constexpr std::uint32_t kKvmClockSource2 = 1u << 3;
constexpr std::uint32_t kMsrKvmWallClock = 0x4b564d00;
constexpr std::uint32_t kMsrKvmSystemTime = 0x4b564d01;

// QEMU's and KVM's APIC bus: 1 GHz (hw/intc/apic_common.c; arch/x86/kvm/lapic.h, APIC_BUS_CYCLE_NS).
constexpr std::uint64_t kVirtualApicHz = 1'000'000'000;

// Programmable interval timer, channel 2, and the port with its gate.
constexpr std::uint16_t kPitChannel2 = 0x42;
constexpr std::uint16_t kPitCommand = 0x43;
constexpr std::uint16_t kPitGate = 0x61;
constexpr std::uint64_t kPitHz = 1'193'182;
// ACPI 6.5, 4.8.3.3.
constexpr std::uint64_t kPmTimerHz = 3'579'545;
constexpr std::uint32_t kPmTimerMask = 0xffffff;

/// A comparison over less would be too coarse where reading a counter takes a microsecond.
constexpr std::uint64_t kMinimumWindowNs = 500'000;
/// With an emulator that counts instructions both counters tick as one, and any window will do.
constexpr std::uint64_t kLockstepSlack = 256;

/// struct pvclock_vcpu_time_info (Linux arch/x86/include/asm/pvclock-abi.h).
struct PvClock {
    std::uint32_t version;
    std::uint32_t pad;
    std::uint64_t tsc_timestamp;
    std::uint64_t system_time;
    std::uint32_t tsc_to_system_mul;
    std::int8_t tsc_shift;
    std::uint8_t flags;
    std::uint8_t pad2[2];
};
static_assert(sizeof(PvClock) == 32);

struct PvWallClock {
    std::uint32_t version;
    std::uint32_t sec;
    std::uint32_t nsec;
};

/// Both counters at about the same moment.
struct Sample {
    std::uint64_t tsc;
    std::uint32_t apic;  ///< counts down
};

enum class Hypervisor { kNone, kKvm, kTcg, kOther };

Sample boot_sample{};
hal::ClockScale scale{};
Hypervisor hypervisor = Hypervisor::kNone;
std::uint32_t max_hypervisor_leaf = 0;

std::uint64_t image_phys(const volatile void* p) {
    return reinterpret_cast<std::uint64_t>(p) - hal::kKernelImageBase;
}

/// The best of a few: the reading of the APIC can be held up by the hypervisor.
Sample take_sample() {
    constexpr int kAttempts = 3;
    Sample best{};
    std::uint64_t best_gap = UINT64_MAX;
    for (int i = 0; i < kAttempts; ++i) {
        const std::uint64_t before = hal::cycle_counter();
        const std::uint32_t apic = plat::apic_read(ApicRegister::kTimerCurrent);
        const std::uint64_t gap = hal::cycle_counter() - before;
        if (gap < best_gap) {
            best_gap = gap;
            best = {before + gap / 2, apic};
        }
    }
    return best;
}

void find_hypervisor() {
    if ((arch::cpu_features().leaf1_ecx & arch::kLeaf1Hypervisor) == 0) return;
    const arch::CpuidResult r = arch::cpuid(kLeafHypervisor);
    char name[12];
    std::memcpy(name, &r.ebx, 4);
    std::memcpy(name + 4, &r.ecx, 4);
    std::memcpy(name + 8, &r.edx, 4);
    max_hypervisor_leaf = r.eax;
    const std::string_view signature(name, sizeof(name));
    hypervisor = signature == std::string_view("KVMKVMKVM\0\0\0", 12) ? Hypervisor::kKvm
                 : signature == "TCGTCGTCGTCG"                        ? Hypervisor::kTcg
                                                                      : Hypervisor::kOther;
}

/// mult and shift such that ns = cycles * mult >> shift, with as many bits as fit.
void set_frequency(std::uint64_t hz, const char* source) {
    std::uint32_t shift = 32;
    std::uint64_t mult;
    do {
        --shift;
        mult = arch::mul_div(kNsPerSec, std::uint64_t{1} << shift, hz);
    } while (mult > UINT32_MAX);
    scale.mult = static_cast<std::uint32_t>(mult);
    scale.shift = shift;
    scale.frequency_hz = hz;
    scale.source = source;
}

bool use_cpuid() {
    if (max_hypervisor_leaf >= kLeafTscFrequency &&
        max_hypervisor_leaf < kLeafHypervisor + 0x10000) {
        const std::uint64_t khz = arch::cpuid(kLeafTscFrequency).eax;
        if (khz != 0) {
            set_frequency(khz * 1000, "cpuid-hypervisor");
            return true;
        }
    }
    if (arch::cpu_features().max_leaf < kLeafCrystal) return false;
    const arch::CpuidResult r = arch::cpuid(kLeafCrystal);
    if (r.eax == 0 || r.ebx == 0 || r.ecx == 0) return false;
    set_frequency(arch::mul_div(r.ecx, r.ebx, r.eax), "cpuid15");
    return true;
}

bool has_kvm_clock() {
    return hypervisor == Hypervisor::kKvm &&
           (arch::cpuid(kLeafKvmFeatures).eax & kKvmClockSource2) != 0;
}

bool use_kvm_clock() {
    if (!has_kvm_clock()) return false;
    alignas(64) static volatile PvClock clock;
    arch::write_msr(kMsrKvmSystemTime, image_phys(&clock) | 1);
    const std::uint32_t mul = clock.tsc_to_system_mul;
    const int tsc_shift = clock.tsc_shift;
    arch::write_msr(kMsrKvmSystemTime, 0);
    if (mul == 0 || tsc_shift < -31 || tsc_shift > 31) return false;
    // ns = ((cycles << tsc_shift) * mul) >> 32 (the shift to the right where it is negative).
    scale.mult = mul;
    scale.shift = static_cast<std::uint32_t>(32 - tsc_shift);
    scale.frequency_hz = arch::mul_div(kNsPerSec, std::uint64_t{1} << scale.shift, mul);
    scale.source = "kvmclock";
    return true;
}

struct Comparison {
    std::uint64_t tsc;
    std::uint64_t apic;
};
Comparison since_boot() {
    const Sample now = take_sample();
    return {now.tsc - boot_sample.tsc, boot_sample.apic - now.apic};
}

/// A second timer of known frequency, where the APIC's own is not known.
std::uint64_t measure_with_pm_timer(std::uint16_t port) {
    const auto read = [port] { return arch::in32(port) & kPmTimerMask; };
    constexpr std::uint64_t kTicks = kPmTimerHz * kMinimumWindowNs / kNsPerSec;
    const std::uint32_t start = read();
    const std::uint64_t tsc_start = hal::cycle_counter();
    std::uint32_t ticks;
    do {
        ticks = (read() - start) & kPmTimerMask;
    } while (ticks < kTicks);
    return (hal::cycle_counter() - tsc_start) * kPmTimerHz / ticks;
}

std::uint64_t measure_with_pit() {
    constexpr std::uint16_t kTicks = kPitHz * kMinimumWindowNs / kNsPerSec;
    constexpr std::uint8_t kGate = 0x01;
    constexpr std::uint8_t kSpeaker = 0x02;
    constexpr std::uint8_t kOutput = 0x20;
    constexpr std::uint8_t kChannel2OneShot = 0xb0;  // channel 2, both bytes, mode 0
    constexpr std::uint64_t kGiveUpCycles = 1'000'000'000;
    const std::uint8_t old = arch::in8(kPitGate);
    arch::out8(kPitGate, static_cast<std::uint8_t>((old & ~kSpeaker) | kGate));
    arch::out8(kPitCommand, kChannel2OneShot);
    arch::out8(kPitChannel2, kTicks & 0xff);
    arch::out8(kPitChannel2, kTicks >> 8);
    const std::uint64_t start = hal::cycle_counter();
    std::uint64_t cycles = 0;
    while ((arch::in8(kPitGate) & kOutput) == 0 && cycles < kGiveUpCycles)
        cycles = hal::cycle_counter() - start;
    arch::out8(kPitGate, old);
    return cycles < kGiveUpCycles ? cycles * kPitHz / kTicks : 0;
}

void measure() {
    Comparison c = since_boot();
    if (hypervisor == Hypervisor::kTcg || hypervisor == Hypervisor::kKvm) {
        const std::uint64_t difference = c.tsc > c.apic ? c.tsc - c.apic : c.apic - c.tsc;
        if (difference <= kLockstepSlack && c.apic > kLockstepSlack) {
            set_frequency(kVirtualApicHz, "instruction count");
            return;
        }
        while (c.apic < kMinimumWindowNs) c = since_boot();
        set_frequency(arch::mul_div(c.tsc, kVirtualApicHz, c.apic), "apic");
        return;
    }
    const std::uint16_t pm_timer = plat::acpi().pm_timer_port;
    if (pm_timer != 0) {
        set_frequency(measure_with_pm_timer(pm_timer), "acpi-pm");
        return;
    }
    const std::uint64_t hz = measure_with_pit();
    if (hz == 0)
        panic(
            "nothing tells how fast the cycle counter runs: no CPUID leaf, kvmclock, ACPI timer or "
            "PIT");
    set_frequency(hz, "pit");
}

// ---- wall clock ----------------------------------------------------------------------------------------------

constexpr std::uint16_t kCmosIndex = 0x70;
constexpr std::uint16_t kCmosData = 0x71;

std::uint8_t read_cmos(std::uint8_t index) {
    arch::out8(kCmosIndex, index);
    return arch::in8(kCmosData);
}

/// Days since 1970-01-01 of a Gregorian date.
std::uint64_t days_from_civil(std::uint64_t year, std::uint64_t month, std::uint64_t day) {
    const std::uint64_t y = month <= 2 ? year - 1 : year;  // years begin in March
    const std::uint64_t shifted_month = (month + 9) % 12;
    const std::uint64_t day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    constexpr std::uint64_t kDaysTo1970 = 719468;
    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - kDaysTo1970;
}

/// The MC146818's calendar (data sheet, "Address map"); 0 where there is none.
std::uint64_t read_rtc() {
    constexpr std::uint8_t kStatusA = 0x0a;
    constexpr std::uint8_t kStatusB = 0x0b;
    constexpr std::uint8_t kUpdating = 0x80;
    constexpr std::uint8_t kBinary = 0x04;
    constexpr std::uint8_t k24Hours = 0x02;
    constexpr std::uint8_t kAfternoon = 0x80;
    const std::uint8_t status_b = read_cmos(kStatusB);
    if (status_b == 0xff) return 0;
    std::uint8_t fields[6];
    constexpr std::uint8_t kIndexes[6] = {0, 2, 4, 7, 8, 9};
    do {
        while ((read_cmos(kStatusA) & kUpdating) != 0) hal::cpu_relax();
        for (int i = 0; i < 6; ++i) fields[i] = read_cmos(kIndexes[i]);
    } while (read_cmos(0) != fields[0]);
    const bool afternoon = (status_b & k24Hours) == 0 && (fields[2] & kAfternoon) != 0;
    fields[2] &= 0x7f;
    std::uint64_t value[6];
    for (int i = 0; i < 6; ++i) {
        const std::uint8_t f = fields[i];
        value[i] =
            (status_b & kBinary) != 0 ? f : static_cast<std::uint64_t>(f >> 4) * 10 + (f & 0xf);
    }
    if ((status_b & k24Hours) == 0) value[2] = value[2] % 12 + (afternoon ? 12 : 0);
    const std::uint64_t days = days_from_civil(2000 + value[5], value[4], value[3]);
    return (((days * 24 + value[2]) * 60 + value[1]) * 60 + value[0]) * kNsPerSec;
}

std::uint64_t read_kvm_wall_clock() {
    if (!has_kvm_clock()) return 0;
    alignas(64) static volatile PvWallClock wall;
    arch::write_msr(kMsrKvmWallClock, image_phys(&wall));
    return std::uint64_t{wall.sec} * kNsPerSec + wall.nsec;
}

}  // namespace

void plat::start_clock() {
    boot_sample = take_sample();
    scale.base_cycles = boot_sample.tsc;
}

namespace hal {

const ClockScale& clock_scale() {
    if (scale.mult == 0) {
        find_hypervisor();
        if (!use_cpuid() && !use_kvm_clock()) measure();
        const Comparison c = since_boot();
        plat::set_apic_timer_ratio(arch::mul_div(c.apic, std::uint64_t{1} << 32, c.tsc));
    }
    return scale;
}

std::uint64_t boot_wall_clock_ns() {
    static std::uint64_t at_boot = UINT64_MAX;
    if (at_boot == UINT64_MAX) {
        const ClockScale& s = clock_scale();
        const std::uint64_t kvm = read_kvm_wall_clock();  // of the boot of the virtual machine
        const std::uint64_t now = kvm != 0 ? 0 : read_rtc();
        const auto since = static_cast<std::uint64_t>(
            static_cast<unsigned __int128>(cycle_counter() - s.base_cycles) * s.mult >> s.shift);
        at_boot = kvm != 0 ? kvm : now > since ? now - since : 0;
    }
    return at_boot;
}

std::size_t platform_entropy(std::span<std::byte> out) {
    // What two clocks show when read one after the other: little of it is random, less under an emulator that counts
    // instructions. The random library mixes it with what the CPU gives.
    std::size_t filled = 0;
    while (filled < out.size() && filled < 4 * sizeof(std::uint64_t)) {
        const std::uint64_t tsc = cycle_counter();
        const std::uint64_t word =
            tsc ^ (std::uint64_t{plat::apic_read(plat::ApicRegister::kTimerCurrent)} << 32);
        const std::size_t n =
            out.size() - filled < sizeof(word) ? out.size() - filled : sizeof(word);
        std::memcpy(out.data() + filled, &word, n);
        filled += n;
    }
    return filled;
}

}  // namespace hal
}  // namespace kiln
