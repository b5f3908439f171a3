// The console on the first 16550 serial port, polled.
#include <config/driver_uart16550.hpp>
#include <kiln/abi/formats/end_record.hpp>
#include <kiln/arch/io.hpp>
#include <kiln/base/option.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>

#include "platform.hpp"
#include "vectors.hpp"

namespace kiln {
namespace {

// Registers of a 16550 (National Semiconductor PC16550D data sheet, table II), at COM1.
constexpr std::uint16_t kCom1 = 0x3f8;
constexpr std::uint16_t kData = kCom1 + 0;
constexpr std::uint16_t kInterruptEnable = kCom1 + 1;
constexpr std::uint16_t kFifoControl = kCom1 + 2;
constexpr std::uint16_t kLineControl = kCom1 + 3;
constexpr std::uint16_t kModemControl = kCom1 + 4;
constexpr std::uint16_t kLineStatus = kCom1 + 5;
constexpr std::uint16_t kScratch = kCom1 + 7;

constexpr std::uint8_t kFifoEnableAndClear = 0x07;
constexpr std::uint8_t kEightBits = 0x03;
constexpr std::uint8_t kModemReady = 0x0b;  // DTR, RTS, OUT2 (which lets the interrupt through)
constexpr std::uint8_t kModemLoop = 0x10;
constexpr std::uint8_t kStatusDataReady = 0x01;
constexpr std::uint8_t kStatusTransmitEmpty = 0x20;
constexpr std::size_t kFifoBytes = 16;

constexpr std::uint8_t kInterruptOnData = 0x01;
constexpr std::uint32_t kCom1Line = 4;

bool present = false;
void (*input_handler)() = nullptr;
const hal::ConsoleDevice* device = nullptr;  // takes the UART's place when set
bool wants_virtio = false;
// The byte that had arrived before the FIFO was on: turning it on empties the receiver.
bool has_early_byte = false;
char early_byte = 0;

bool choose(std::string_view value) {
    wants_virtio = value == "virtio";
    return wants_virtio || value == "uart";
}
KILN_OPTION(console, "console", choose);

// PCI configuration mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2).
constexpr std::uint16_t kPciAddress = 0xcf8;
constexpr std::uint32_t kPciEnable = 0x80000000;

}  // namespace

void hal::set_console_device(const ConsoleDevice& other) {
    device = &other;
    if (input_handler != nullptr) other.enable_input_interrupt(input_handler);
}

hal::ConsoleChoice hal::console_choice() {
    if (wants_virtio) return ConsoleChoice::kVirtio;
    return present ? ConsoleChoice::kPlatform : ConsoleChoice::kAny;
}

bool hal::has_pci() {
    arch::out32(kPciAddress, kPciEnable);
    return arch::in32(kPciAddress) == kPciEnable;
}

void plat::init_console() {
    if constexpr (!config::driver_uart16550) return;
    constexpr std::uint8_t kProbe = 0x5a;
    arch::out8(kScratch, kProbe);
    if (arch::in8(kScratch) != kProbe) return;
    present = true;
    arch::out8(kLineControl, kEightBits);
    // Looped back, the UART takes nothing from outside when the byte is read.
    arch::out8(kModemControl, kModemLoop);
    has_early_byte = (arch::in8(kLineStatus) & kStatusDataReady) != 0;
    if (has_early_byte) early_byte = static_cast<char>(arch::in8(kData));
    arch::out8(kFifoControl, kFifoEnableAndClear);
    arch::out8(kModemControl, kModemReady);
}

void hal::console_write(std::string_view bytes) {
    if (device != nullptr) {
        device->write(bytes);
        return;
    }
    if (!present) return;
    const char* next = bytes.data();
    std::size_t left = bytes.size();
    while (left != 0) {
        // The transmitter is empty when its FIFO is: room for all of it.
        while ((arch::in8(kLineStatus) & kStatusTransmitEmpty) == 0) cpu_relax();
        const std::size_t n = left < kFifoBytes ? left : kFifoBytes;
        arch::out_bytes(kData, next, n);
        next += n;
        left -= n;
    }
}

bool hal::console_read(char* c) {
    if (device != nullptr) return device->read(c);
    if (has_early_byte) {
        has_early_byte = false;
        *c = early_byte;
        return true;
    }
    if (!present || (arch::in8(kLineStatus) & kStatusDataReady) == 0) return false;
    *c = static_cast<char>(arch::in8(kData));
    return true;
}

void hal::console_enable_input_interrupt(void (*handler)()) {
    input_handler = handler;
    if (device != nullptr) {
        device->enable_input_interrupt(handler);
    } else if (present) {
        interrupt_route(kCom1Line, plat::kVectorConsole);
        arch::out8(kInterruptEnable, kInterruptOnData);
    } else {
        return;
    }
    // Enabling the FIFO has dropped what was there before.
    plat::debug_port_write(abi::kInputReadyLine);
}

void hal::console_pause_input(bool paused) {
    if (device != nullptr) {
        device->pause_input(paused);
        return;
    }
    // The interrupt is asserted as long as there is data, so a change of the mask raises it again where that is due.
    if (present && input_handler != nullptr)
        arch::out8(kInterruptEnable, paused ? 0 : kInterruptOnData);
}

bool hal::handle_platform_interrupt(std::uint32_t vector) {
    if (vector == plat::kVectorSpurious) return true;
    if (vector != plat::kVectorConsole) return false;
    if (input_handler != nullptr) input_handler();
    return true;
}

}  // namespace kiln
