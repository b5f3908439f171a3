// virtio console (VIRTIO 1.2, 5.3), its first port only: the kernel's console where there is no UART, or with console=virtio.
#include <atomic>
#include <cstring>

#include <kiln/base/init_call.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/irq/irq.hpp>
#include <kiln/log/log.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/virtio/mmio_device.hpp>

namespace kiln::virtio_console {
namespace {

constexpr std::uint32_t kReceive = 0;
constexpr std::uint32_t kTransmit = 1;
constexpr std::size_t kTransmitBytes = kPageSize;
constexpr std::size_t kReceiveBytes = 1024;
constexpr std::size_t kReceiveBuffers = kPageSize / kReceiveBytes;

/// Held while the queues are touched, interrupts off. A panic on this CPU may come while it is held; after some time it is
/// taken by force.
class Lock {
public:
    Lock() : state_(hal::irq_save()) {
        constexpr int kPatience = 10'000'000;
        for (int i = 0; i < kPatience && held_.exchange(true, std::memory_order_acquire); ++i)
            hal::cpu_relax();
    }
    ~Lock() {
        held_.store(false, std::memory_order_release);
        hal::irq_restore(state_);
    }
    KILN_NON_COPYABLE(Lock);

private:
    static constinit std::atomic<bool> held_;
    hal::IrqState state_;
};
constinit std::atomic<bool> Lock::held_{false};

struct Console {
    virtio::MmioDevice device;
    virtio::Virtqueue receive;
    virtio::Virtqueue transmit;
    PhysAddr transmit_page{};
    PhysAddr receive_page{};
    std::byte* reading = nullptr;  ///< the buffer that read() is in the middle of
    std::size_t read_at = 0;
    std::size_t read_end = 0;
    std::atomic<void (*)()> input_handler{nullptr};
    std::atomic<bool> paused{false};
};
constinit Console console{};
constinit bool in_use = false;

void give_receive_buffer(std::byte* buffer) {
    // There are never more buffers than places in the queue.
    static_cast<void>(console.receive.add(hal::virt_to_phys(buffer), kReceiveBytes, true, buffer));
}

void write(std::string_view bytes) {
    const Lock lock;
    void* page = hal::phys_to_virt(console.transmit_page);
    while (!bytes.empty()) {
        const std::size_t n = bytes.size() < kTransmitBytes ? bytes.size() : kTransmitBytes;
        std::memcpy(page, bytes.data(), n);
        if (!console.transmit
                 .add(console.transmit_page, static_cast<std::uint32_t>(n), false, nullptr)
                 .ok())
            return;
        console.device.notify(kTransmit);
        virtio::Virtqueue::Completion done{};
        while (!console.transmit.take(&done)) hal::cpu_relax();
        bytes.remove_prefix(n);
    }
}

bool read(char* c) {
    const Lock lock;
    if (console.reading == nullptr) {
        virtio::Virtqueue::Completion done{};
        do {
            if (!console.receive.take(&done)) return false;
            if (done.length == 0) give_receive_buffer(static_cast<std::byte*>(done.token));
        } while (done.length == 0);
        console.reading = static_cast<std::byte*>(done.token);
        console.read_at = 0;
        console.read_end = done.length;
    }
    *c = static_cast<char>(console.reading[console.read_at++]);
    if (console.read_at == console.read_end) {
        give_receive_buffer(console.reading);
        console.device.notify(kReceive);
        console.reading = nullptr;
    }
    return true;
}

void on_interrupt(void*) {
    if (!console.device.acknowledge_interrupt() || console.paused) return;
    if (void (*handler)() = console.input_handler) handler();
}

void enable_input_interrupt(void (*handler)()) { console.input_handler = handler; }

/// Bytes that are not read stay in buffers that the device does not get back, and it stops when it has none left.
void pause_input(bool paused) {
    console.paused = paused;
    if (paused) return;
    const hal::IrqState state = hal::irq_save();
    if (void (*handler)() = console.input_handler) handler();
    hal::irq_restore(state);
}

constinit const hal::ConsoleDevice kDevice{.write = write,
                                           .read = read,
                                           .enable_input_interrupt = enable_input_interrupt,
                                           .pause_input = pause_input};

Result<void> setup_queue(std::uint32_t index, virtio::Virtqueue* queue) {
    constexpr unsigned kQueueOrder = 1;
    static_assert(virtio::Virtqueue::kMemoryBytes == kPageSize << kQueueOrder);
    const PhysAddr memory = TRY(mem::allocate_pages(kQueueOrder, mem::kPageZeroed));
    return console.device.setup_queue(index, queue, hal::phys_to_virt(memory), memory);
}

Result<void> attach(std::uint32_t line) {
    TRY(console.device.begin(0));
    TRY(setup_queue(kReceive, &console.receive));
    TRY(setup_queue(kTransmit, &console.transmit));
    console.transmit_page = TRY(mem::allocate_page());
    console.receive_page = TRY(mem::allocate_page());
    TRY(irq::connect_line(line, on_interrupt, nullptr));
    console.device.start();
    auto* buffers = static_cast<std::byte*>(hal::phys_to_virt(console.receive_page));
    for (std::size_t i = 0; i < kReceiveBuffers; ++i)
        give_receive_buffer(buffers + i * kReceiveBytes);
    console.device.notify(kReceive);
    hal::set_console_device(kDevice);
    return {};
}

void visit(virtio::MmioDevice device, std::uint32_t line) {
    if (device.device_id() != virtio::kDeviceConsole || in_use) return;
    console.device = device;
    const Result<void> attached = attach(line);
    if (!attached.ok()) {
        console.device.fail();
        log::error("virtio_console", "the device does not work: error {}", attached.error());
        return;
    }
    in_use = true;
}

void probe() {
    const hal::ConsoleChoice choice = hal::console_choice();
    if (choice == hal::ConsoleChoice::kPlatform) return;
    virtio::for_each_mmio_device(visit);
    if (choice == hal::ConsoleChoice::kVirtio && !in_use)
        log::warn("virtio_console",
                  "console=virtio, but the machine has no virtio console behind virtio-mmio");
}
KILN_INIT_CALL(virtio_console, InitLevel::kDevice, probe);

}  // namespace
}  // namespace kiln::virtio_console
