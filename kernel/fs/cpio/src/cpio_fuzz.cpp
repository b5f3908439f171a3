// Any bytes as a cpio archive: every member's views must lie inside it.
#include <cstdlib>

#include <kiln/fs/cpio.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
    kiln::fs::CpioReader reader(bytes);
    const char* reason = nullptr;
    for (;;) {
        const std::size_t before = reader.position();
        auto entry = reader.next(&reason);
        if (!entry.ok()) return 0;
        if (reader.position() <= before || reader.position() > size) std::abort();
        if (!entry->data.empty() && (entry->data.data() < bytes.data() ||
                                     entry->data.data() + entry->data.size() > bytes.data() + size))
            std::abort();
        (void)kiln::fs::cpio_name_is_safe(entry->name);
    }
}
