#include <kiln/irq/irq.hpp>

#include <kiln/hal/cpu.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/log/log.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/time/timer.hpp>

namespace kiln::irq {
namespace {

constexpr std::uint32_t kVectors = hal::kLastDeviceVector - hal::kFirstDeviceVector + 1;
constexpr std::uint32_t kNoLine = ~0u;
constexpr std::size_t kSharedLines = 24;

struct Slot {
    std::atomic<Handler> handler{nullptr};
    void* cookie = nullptr;
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint32_t> running{0};
};

/// A handler on a line that several devices share, chained.
struct LineHandler {
    std::uint32_t line = kNoLine;
    Handler handler = nullptr;
    void* cookie = nullptr;
};

constinit Slot slots[kVectors];
constinit LineHandler line_handlers[kSharedLines];
constinit sync::SpinLock table_lock{sync::LockRank::kIrq};
constinit std::atomic<std::uint64_t> timer_count{0};

/// Newest first; taken as a whole.
constinit std::atomic<Deferred*> deferred_head{nullptr};

void call_line(void* cookie) {
    const auto line = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(cookie));
    for (const LineHandler& h : line_handlers) {
        if (h.line == line && h.handler != nullptr) h.handler(h.cookie);
    }
}

void dispatch_device(std::uint32_t vector) {
    Slot& slot = slots[vector - hal::kFirstDeviceVector];
    slot.count.fetch_add(1, std::memory_order_relaxed);
    slot.running.fetch_add(1, std::memory_order_acquire);
    if (const Handler handler = slot.handler.load(std::memory_order_acquire)) {
        handler(slot.cookie);
    } else {
        static constinit log::Once once;
        if (once())
            log::warn("irq", "interrupt with vector {}, which nobody has asked for", vector);
    }
    slot.running.fetch_sub(1, std::memory_order_release);
}

void dispatch(std::uint32_t vector, hal::TrapFrame&) {
    if (vector == hal::timer_vector()) {
        timer_count.fetch_add(1, std::memory_order_relaxed);
        hal::interrupt_end(vector);
        time::run_expired_timers();
    } else if (vector >= hal::kFirstDeviceVector && vector <= hal::kLastDeviceVector) {
        dispatch_device(vector);
        hal::interrupt_end(vector);
    } else {
        if (!hal::handle_platform_interrupt(vector))
            log::warn("irq", "unknown interrupt with vector {}", vector);
        hal::interrupt_end(vector);
    }
    if (deferred_head.load(std::memory_order_relaxed) != nullptr) run_deferred();
}

/// Bit per CPU that is in run_deferred(): an interrupt in there leaves the queue to it.
constinit std::atomic<std::uint64_t> cpus_in_deferred{0};

}  // namespace

Result<std::uint32_t> allocate_vector(Handler handler, void* cookie) {
    const sync::IrqSpinGuard guard(table_lock);
    for (std::uint32_t i = 0; i < kVectors; ++i) {
        Slot& slot = slots[i];
        if (slot.handler.load(std::memory_order_relaxed) != nullptr) continue;
        slot.cookie = cookie;
        slot.handler.store(handler, std::memory_order_release);
        return hal::kFirstDeviceVector + i;
    }
    return Errno::kENOSPC;
}

void free_vector(std::uint32_t vector) {
    Slot& slot = slots[vector - hal::kFirstDeviceVector];
    slot.handler.store(nullptr, std::memory_order_release);
    while (slot.running.load(std::memory_order_acquire) != 0) hal::cpu_relax();
}

Result<void> connect_line(std::uint32_t line, Handler handler, void* cookie) {
    bool is_connected = false;
    {
        const sync::IrqSpinGuard guard(table_lock);
        LineHandler* free_place = nullptr;
        for (LineHandler& h : line_handlers) {
            if (h.line == line) is_connected = true;
            if (h.line == kNoLine && free_place == nullptr) free_place = &h;
        }
        if (free_place == nullptr) return Errno::kENOSPC;
        free_place->handler = handler;
        free_place->cookie = cookie;
        std::atomic_signal_fence(std::memory_order_release);
        free_place->line = line;
    }
    if (is_connected) return {};
    const std::uint32_t vector =
        TRY(allocate_vector(call_line, reinterpret_cast<void*>(std::uintptr_t{line})));
    hal::interrupt_route(line, vector);
    return {};
}

void Deferred::queue() {
    if (queued_.exchange(true, std::memory_order_acq_rel)) return;
    Deferred* head = deferred_head.load(std::memory_order_relaxed);
    do {
        next_ = head;
    } while (!deferred_head.compare_exchange_weak(head, this, std::memory_order_release,
                                                  std::memory_order_relaxed));
}

void run_deferred() {
    const std::uint64_t bit = std::uint64_t{1} << (hal::cpu_id() % 64);
    if ((cpus_in_deferred.fetch_or(bit, std::memory_order_acquire) & bit) != 0) return;
    while (Deferred* list = deferred_head.exchange(nullptr, std::memory_order_acquire)) {
        Deferred* in_order = nullptr;
        while (list != nullptr) {
            Deferred* next = list->next_;
            list->next_ = in_order;
            in_order = list;
            list = next;
        }
        hal::irq_enable();
        while (in_order != nullptr) {
            Deferred* work = in_order;
            in_order = work->next_;
            // From here on it may be queued again, and after its function has begun it may go away.
            const auto function = work->function_;
            void* argument = work->argument_;
            work->queued_.store(false, std::memory_order_release);
            function(argument);
        }
        hal::irq_disable();
    }
    cpus_in_deferred.fetch_and(~bit, std::memory_order_release);
}

bool in_interrupt() { return hal::cpu_local().in_interrupt; }

std::uint64_t count(std::uint32_t vector) {
    if (vector == hal::timer_vector()) return timer_count.load(std::memory_order_relaxed);
    if (vector < hal::kFirstDeviceVector || vector > hal::kLastDeviceVector) return 0;
    return slots[vector - hal::kFirstDeviceVector].count.load(std::memory_order_relaxed);
}

void init() { hal::set_interrupt_handler(dispatch); }

}  // namespace kiln::irq
