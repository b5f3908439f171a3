// Hardware interrupts: vectors, handlers, and work that is put off until after the handler.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>

namespace kiln::irq {

/// Runs in interrupt context: interrupts off, must not sleep.
using Handler = void (*)(void* cookie);

/// Takes a free device vector for `handler` (for a message-signalled interrupt). ENOSPC when all are taken.
Result<std::uint32_t> allocate_vector(Handler handler, void* cookie);
/// Gives it back; the device sends it no more. A handler that runs meanwhile on another CPU has ended on return.
void free_vector(std::uint32_t vector);
/// The same for a platform line (ISA/GSI number): allocates a vector and routes the line to it. A line may be shared: all its
/// handlers are called. ENOSPC.
Result<void> connect_line(std::uint32_t line, Handler handler, void* cookie);

/// Work done soon, outside of the interrupt handler that asked for it: after the outermost interrupt on this CPU,
/// interrupts on, in interrupt context still (must not sleep). Embedded in its owner; live as long as it can be queued.
class Deferred {
public:
    using Function = void (*)(void* argument);
    constexpr Deferred(Function function, void* argument)
        : function_(function), argument_(argument) {}
    KILN_NON_COPYABLE(Deferred);
    /// Queues it, once however often it is called before it runs. Any context.
    void queue();

private:
    friend void run_deferred();
    Function function_;
    void* argument_;
    std::atomic<bool> queued_{false};
    Deferred* next_ = nullptr;
};
/// Runs what is queued; called by the dispatcher.
void run_deferred();

/// True in interrupt handlers and deferred work: sleeping is forbidden.
bool in_interrupt();

/// Interrupts that came with `vector` so far.
std::uint64_t count(std::uint32_t vector);

/// Takes over hal's interrupt handler and the timer interrupt. Before interrupts are enabled.
void init();

}  // namespace kiln::irq
