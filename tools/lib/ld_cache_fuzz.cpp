// Fuzzes the reader of /etc/ld.so.cache; what it reads has to survive being written and read again.
#include <cstdlib>

#include "lib/ld_cache.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto entries =
        kiln::tool::parse_ld_cache({reinterpret_cast<const std::byte*>(data), size});
    const std::string again = kiln::tool::write_ld_cache(entries);
    const auto back = kiln::tool::parse_ld_cache(
        {reinterpret_cast<const std::byte*>(again.data()), again.size()});
    if (back.size() != entries.size()) {
        std::abort();
    }
    return 0;
}
