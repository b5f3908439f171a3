// The machine around the CPU: what the boot loader told, console, clock source, timer, power.
// Implemented by kernel/plat/<platform> (and kernel/plat/host for tests).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/base/types.hpp>

namespace kiln::hal {

struct MemoryRange {
    PhysAddr begin;
    PhysAddr end;  ///< exclusive
};

/// Everything the boot protocol (PVH, Linux 64-bit, multiboot2) handed over, in one form. Spans
/// point into memory that stays reserved.
struct BootInfo {
    std::span<const MemoryRange> ram;  ///< usable RAM, page-aligned, ascending, disjoint
    /// Parts of `ram` in use: kernel image, initrd, boot tables. Page-aligned.
    std::span<const MemoryRange> reserved;
    std::string_view command_line;
    std::span<const std::byte> initrd;  ///< in the direct map; empty when there is none
    PhysAddr initrd_phys;
    std::uint64_t rsdp = 0;  ///< ACPI RSDP, 0 when unknown
    const char* protocol;    ///< "pvh", "linux", "multiboot2"
};
const BootInfo& boot_info();

/// Console bytes as they are, no translation. Polled output; callable in any context.
void console_write(std::string_view bytes);
/// One byte of console input if there is one.
bool console_read(char* c);
/// Calls `handler` in interrupt context when input may be available. The handler reads all of it, or switches the
/// interrupt off by console_pause_input().
void console_enable_input_interrupt(void (*handler)());
/// With `paused` no input interrupts arrive and bytes stay in the device (which makes the sender wait); without,
/// they arrive again, also for what has come meanwhile.
void console_pause_input(bool paused);

/// A console device other than the platform's own. Members mean what the functions above mean.
struct ConsoleDevice {
    void (*write)(std::string_view bytes);
    bool (*read)(char* c);
    void (*enable_input_interrupt)(void (*handler)());
    void (*pause_input)(bool paused);
};
/// From now on the functions above go to `device`, which lives for ever; an input handler given before, too.
void set_console_device(const ConsoleDevice& device);

/// Which console the command line asks for (console=uart, console=virtio), or the machine has.
enum class ConsoleChoice : std::uint8_t {
    kPlatform,  ///< the platform's own, which is there
    kAny,       ///< nothing was asked for, and the platform has none of its own
    kVirtio,    ///< asked for
};
ConsoleChoice console_choice();

/// The machine has a PCI bus (configuration mechanism #1 answers).
bool has_pci();

// -- clock -------------------------------------------------------------------------------------
/// Nanoseconds since boot: cycle_counter() scaled by (cycles * mult) >> shift; fixed after boot.
struct ClockScale {
    std::uint64_t base_cycles;  ///< cycle counter at boot
    std::uint32_t mult;
    std::uint32_t shift;
    std::uint64_t frequency_hz;  ///< of the counter
    const char* source;          ///< "cpuid15", "kvmclock", "pit", "cntfrq", …
};
const ClockScale& clock_scale();
/// Wall clock at boot, ns since 1970 (pvclock or RTC); read once.
std::uint64_t boot_wall_clock_ns();

/// Arms this CPU's one-shot timer: interrupt at or soon after the counter reaches
/// `deadline_cycles`.
void timer_arm(std::uint64_t deadline_cycles);
void timer_disarm();
/// The vector that the timer interrupt arrives with.
std::uint32_t timer_vector();

// -- interrupts --------------------------------------------------------------------------------
/// Acknowledges the interrupt being handled.
void interrupt_end(std::uint32_t vector);
/// Routes platform interrupt line `line` (ISA/GSI number or SPI) to `vector` on CPU 0 and unmasks
/// it.
void interrupt_route(std::uint32_t line, std::uint32_t vector);
/// Handles an interrupt whose vector the platform keeps to itself (console, spurious): false when it is not
/// one of those. The caller acknowledges it.
bool handle_platform_interrupt(std::uint32_t vector);
/// Vectors that devices may have: [first, last].
inline constexpr std::uint32_t kFirstDeviceVector = 48;
inline constexpr std::uint32_t kLastDeviceVector = 223;

// -- power -------------------------------------------------------------------------------------
/// Writes the end record line (abi/formats/end_record.hpp) and ends the machine with `status`
/// by the first way that works. Never returns.
[[noreturn]] void power_off(std::string_view end_record, std::uint8_t status);

/// Seed material from the platform (fw_cfg, RNG device, timer jitter); fills what it can, returns
/// the number of bytes.
std::size_t platform_entropy(std::span<std::byte> out);

}  // namespace kiln::hal
