// Fuzzes the readers of the launch record and the end record, as kernel and tool use them.
#include <kiln/abi/formats/end_record.hpp>
#include <kiln/abi/formats/launch.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto parsed = kiln::abi::parse_launch({reinterpret_cast<const std::byte*>(data), size});
    std::size_t sum = 0;
    if (!parsed.error) {
        auto arguments = parsed.view.argv();
        while (const auto argument = arguments.next()) {
            sum += argument->size() + 1;
        }
        auto environment = parsed.view.env();
        while (const auto variable = environment.next()) {
            sum += variable->size() + 1;
        }
        if (sum > size) {
            __builtin_trap();
        }
    }
    const auto record = kiln::abi::parse_end_record({reinterpret_cast<const char*>(data), size});
    if (record) {
        const int status = kiln::abi::end_status(*record);
        if (status < 0 || status > 255) {
            __builtin_trap();
        }
    }
    return 0;
}
