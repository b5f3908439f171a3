// Threads as objects: creation, names, parameters, the list of all.
#include <kiln/sched/thread.hpp>

#include <algorithm>
#include <cstring>

#include <kiln/hal/paging.hpp>
#include <kiln/hal/smp.hpp>
#include <kiln/mem/heap.hpp>

#include "run_queue.hpp"

namespace kiln::sched {
namespace {

struct AllThreads {
    List<Thread, &Thread::all_node> list;
    std::uint32_t count = 0;
};

constinit sync::SpinProtected<AllThreads> g_threads{sync::LockRank::kTaskTable};

// The CPUs that threads may run on.
std::uint64_t existing_cpus() {
    const std::uint32_t n = hal::cpu_count();
    return n >= 64 ? ~0ull : (1ull << n) - 1;
}

// Runs on the new thread's stack, interrupts disabled, the run queue locked by the thread that switched.
void first_steps(hal::ThreadContext* previous, void* argument) {
    RunQueue::finish_switch(previous);
    hal::irq_enable();
    auto& self = *static_cast<Thread*>(argument);
    self.entry_(self.argument_);
    exit_thread();
}

}  // namespace

void Thread::link() {
    auto all = g_threads.lock();
    all->list.push_back(*this);
    all->count++;
}

Result<Ref<Thread>> Thread::create(std::string_view name, Entry entry, void* argument) {
    reap_dead_threads();
    auto* raw = new (std::nothrow) Thread;
    if (!raw) return Errno::kENOMEM;
    Ref<Thread> thread = adopt_ref(raw);
    const KernelStack stack = TRY(take_stack());
    thread->stack_base_ = stack.base;
    thread->kernel_stack = stack.top;
    thread->entry_ = entry;
    thread->argument_ = argument;
    thread->set_name(name);
    const Thread& creator = current();
    thread->params_ = creator.params_;
    thread->vruntime_per_ns_ = creator.vruntime_per_ns_;
    thread->affinity_.store(creator.affinity(), std::memory_order_relaxed);
    thread->cpu_.store(hal::cpu_id(), std::memory_order_relaxed);
    hal::init_context(thread.get(), stack.top, first_steps, thread.get());
    thread->link();
    return thread;
}

Thread::~Thread() {
    if (all_node.is_linked()) {
        auto all = g_threads.lock();
        List<Thread, &Thread::all_node>::remove(*this);
        all->count--;
    }
    if (fpu) mem::release(fpu);
    if (stack_base_) give_stack(stack_base_);
}

void Thread::start() {
    ref();  // the scheduler's, until finish_switch() finds it dead
    const hal::IrqState irqs = hal::irq_save();
    hal::preempt_disable();
    RunQueue& rq = RunQueue::lock_of(*this);
    KILN_ASSERT(state_.load(std::memory_order_relaxed) == ThreadState::kBlocked && !counted_);
    state_.store(ThreadState::kRunnable, std::memory_order_release);
    // New threads queue up where the others are: no credit for the time before they existed.
    vruntime_ = rq.min_vruntime;
    rq.wake_up(*this, time::monotonic_ns());
    rq.lock.raw_unlock();
    hal::irq_restore(irqs);
    hal::preempt_enable();
}

Result<void> Thread::make_user(std::uint64_t root) {
    if (!fpu) {
        void* area = mem::allocate_aligned(hal::fpu_state_size(), 64);
        if (!area) return Errno::kENOMEM;
        hal::fpu_init_state(area);
        // A switch in between would keep neither the old nor the new state.
        const hal::IrqState state = hal::irq_save();
        if (this == &current()) hal::fpu_restore(area);
        fpu = area;
        hal::irq_restore(state);
    }
    set_page_table_root(root);
    return {};
}

void Thread::set_page_table_root(std::uint64_t root) {
    const hal::IrqState state = hal::irq_save();
    if (this == &current() && root != page_table_root)
        hal::load_page_table_root(root ? PhysAddr{root} : hal::kernel_page_table_root());
    page_table_root = root;
    hal::irq_restore(state);
}

void Thread::set_name(std::string_view name) {
    name_length_ = static_cast<std::uint8_t>(std::min(name.size(), sizeof(name_) - 1));
    std::memcpy(name_, name.data(), name_length_);
    name_[name_length_] = 0;
}

std::uint64_t Thread::cpu_time_ns() const {
    const hal::IrqState state = hal::irq_save();
    RunQueue& rq = RunQueue::lock_of(const_cast<Thread&>(*this));
    if (rq.current == this) rq.charge(time::monotonic_ns());
    const std::uint64_t ns = run_time_ns_;
    rq.lock.raw_unlock();
    hal::irq_restore(state);
    return ns;
}

ThreadState Thread::state() const {
    const ThreadState s = state_.load(std::memory_order_acquire);
    if (s == ThreadState::kRunnable && on_cpu_.load(std::memory_order_relaxed))
        return ThreadState::kRunning;
    return s;
}

void Thread::set_params(SchedParams params) {
    if (!params.is_realtime()) params.rt_priority = 0;
    const hal::IrqState irqs = hal::irq_save();
    hal::preempt_disable();
    RunQueue& rq = RunQueue::lock_of(*this);
    if (rq.current == this) rq.charge(time::monotonic_ns());
    const bool queued = queue_node_.is_linked();
    if (queued) rq.queue.remove(*this);
    if (params_.is_realtime() && !params.is_realtime()) vruntime_ = rq.min_vruntime;
    params_ = params;
    vruntime_per_ns_ = vruntime_rate(params);
    if (queued) {
        queue_order_ = ++rq.order;
        rq.queue.push(*this);
    }
    if (counted_ && !rq.idle) rq.request_reschedule();
    rq.lock.raw_unlock();
    hal::irq_restore(irqs);
    hal::preempt_enable();
}

Result<void> Thread::set_affinity(std::uint64_t mask) {
    if ((mask & existing_cpus()) == 0) return Errno::kEINVAL;
    affinity_.store(mask, std::memory_order_relaxed);
    return {};
}

std::uint32_t thread_count() { return g_threads.lock()->count; }

void for_each_thread(bool (*visit)(Thread&, void*), void* cookie) {
    auto all = g_threads.lock();
    for (Thread& thread : all->list) {
        if (!visit(thread, cookie)) return;
    }
}

}  // namespace kiln::sched
