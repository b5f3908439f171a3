// The order in which the kernel's libraries start.
#include <kiln/abi/formats/end_record.hpp>
#include <kiln/hal/platform.hpp>

extern "C" void kiln_main();

void kiln_main() {
    using namespace kiln;
    hal::console_write("hello from the kernel\n");
    char line[abi::kEndRecordMaxLine];
    const std::size_t n = abi::format_end_record({.kind = abi::EndKind::kExit, .value = 0, .reason = {}}, line);
    hal::power_off({line, n}, 0);
}
