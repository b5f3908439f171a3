// kiln::panic() in the guest.
#include <kiln/abi/formats/end_record.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/panic.hpp>
#include <kiln/hal/platform.hpp>

void kiln::panic(std::string_view reason) {
    hal::console_write("\nkernel panic: ");
    hal::console_write(reason);
    hal::console_write("\n");
    char line[abi::kEndRecordMaxLine];
    const std::size_t n = abi::format_end_record({.kind = abi::EndKind::kPanic, .value = 0, .reason = reason}, line);
    hal::power_off({line, n}, abi::kStatusPanic);
}

