// The device writes what it likes into the used ring: the input is what it has there at each look.
#include <cstring>

#include <kiln/virtio/virtqueue.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kiln;
    alignas(4096) static std::byte memory[virtio::Virtqueue::kMemoryBytes];
    std::memset(memory, 0, sizeof(memory));
    virtio::Virtqueue queue;
    if (!queue.init(memory, {0x1000}, 8).ok()) return 0;
    constexpr std::size_t kUsedBytes = 4 + 8 * 8;
    int tokens[8];
    std::size_t given = 0;
    while (size != 0) {
        if (queue.add({0x5000}, 16, true, &tokens[given % 8]).ok()) ++given;
        const std::size_t n = size < kUsedBytes ? size : kUsedBytes;
        std::memcpy(memory + kPageSize, data, n);
        data += n;
        size -= n;
        virtio::Virtqueue::Completion done{};
        while (queue.take(&done)) {
            if (done.token < tokens || done.token >= tokens + 8 || done.length > 16)
                __builtin_trap();
        }
    }
    return 0;
}
