#include <kiln/trace/trace.hpp>

#include <bit>

#include <kiln/hal/cpu.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/time/clock.hpp>

KILN_REGISTRY(kiln::trace::Point, kiln_tracepoints);

namespace kiln::trace {
namespace {

// Written without a lock, from any context: a writer takes a number, fills the place that it means and stamps it
// with the number. A reader takes a place only if it finds the stamp it wants before and after.
struct Slot {
    std::atomic<std::uint64_t> stamp;  ///< number + 1; 0: being written, or empty
    Event event;
};

constinit std::atomic<Slot*> g_slots{nullptr};
constinit std::size_t g_count = 0;
constinit std::atomic<std::uint64_t> g_next{0};

}  // namespace

Result<void> start(std::size_t events) {
    if (!std::has_single_bit(events)) return Errno::kEINVAL;
    if (g_slots.load(std::memory_order_acquire)) return Errno::kEBUSY;
    auto* slots = static_cast<Slot*>(mem::allocate_zeroed(events * sizeof(Slot)));
    if (!slots) return Errno::kENOMEM;
    g_count = events;
    g_slots.store(slots, std::memory_order_release);
    return {};
}

std::uint32_t enable(std::string_view prefix, bool on) {
    std::uint32_t found = 0;
    for (const Point& point : KILN_REGISTRY_ELEMENTS(kiln_tracepoints)) {
        if (!point.name.starts_with(prefix)) continue;
        point.enabled->store(on, std::memory_order_relaxed);
        found++;
    }
    return found;
}

void record(const Point& point, const std::uint64_t* arguments, std::size_t count) {
    Slot* slots = g_slots.load(std::memory_order_acquire);
    if (!slots) return;
    const std::uint64_t number = g_next.fetch_add(1, std::memory_order_relaxed);
    Slot& slot = slots[number & (g_count - 1)];
    slot.stamp.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    slot.event = {.sequence = number,
                  .time_ns = time::monotonic_ns(),
                  .point = &point,
                  .cpu = hal::cpu_id(),
                  .arguments = {}};
    for (std::size_t i = 0; i < count; i++) slot.event.arguments[i] = arguments[i];
    slot.stamp.store(number + 1, std::memory_order_release);
}

std::uint64_t read(std::uint64_t first, bool (*visit)(const Event& event, void* cookie),
                   void* cookie) {
    Slot* slots = g_slots.load(std::memory_order_acquire);
    const std::uint64_t end = g_next.load(std::memory_order_acquire);
    if (!slots) return end;
    if (end > g_count && first < end - g_count) first = end - g_count;
    for (std::uint64_t number = first; number < end; number++) {
        const Slot& slot = slots[number & (g_count - 1)];
        if (slot.stamp.load(std::memory_order_acquire) != number + 1) continue;
        const Event event = slot.event;
        std::atomic_thread_fence(std::memory_order_acquire);
        if (slot.stamp.load(std::memory_order_relaxed) != number + 1) continue;
        if (!visit(event, cookie)) return number + 1;
    }
    return end;
}

}  // namespace kiln::trace
