// What unit tests say to the stand-in for the machine. Everything here is for one test process; the
// CPU-local data is per host thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kiln/base/types.hpp>
#include <kiln/hal/trap.hpp>

namespace kiln::host {

/// RAM of the pretended machine: physical [0, size) except the hole [640 KiB, 1 MiB), zeroed. Replaces the RAM
/// that was there, so all pointers into it end. Default 64 MiB. Multiple of 4 KiB, at least 2 MiB.
void set_ram_size(std::uint64_t bytes);
std::uint64_t ram_size();

/// hal's user copies fail from this range on: [begin, begin+length). Length 0: nothing fails.
/// Addresses below 4096 always fail.
void set_bad_user_range(const void* begin, std::size_t length);

/// Lets hal::cycle_counter() stand still at `ns` (the counter runs at 1 GHz). Real time until first called.
void set_time_ns(std::uint64_t ns);
void advance_time_ns(std::uint64_t ns);
void use_real_time();

/// Deadline armed with hal::timer_arm() on this thread, UINT64_MAX when disarmed.
std::uint64_t armed_deadline_cycles();
/// When the deadline has passed: disarms, and delivers the timer interrupt. Returns whether it did.
bool fire_timer_if_due();
/// Delivers an interrupt to the handler registered with hal::set_interrupt_handler(), as the CPU would.
void interrupt(std::uint32_t vector);
/// Delivers a page fault to its handler: false when none is registered or it returned false.
bool page_fault(std::uintptr_t address, hal::Access access, bool present);
/// Hands `frame` to the registered system call handler.
void syscall(hal::TrapFrame& frame);

/// Lowers the preemption count as the end of an interrupt does. For host::interrupt().
void preempt_at_interrupt_end();
/// What hal::idle_wait() does on this thread: time passes, interrupts come. Null: it returns at once.
void set_idle_hook(void (*hook)());

/// Physical root that hal::load_page_table_root() was last called with on this thread.
PhysAddr loaded_page_table_root();
/// TLB flushes of this process so far.
std::uint64_t tlb_flushes();

}  // namespace kiln::host
