#include <kiln/posix/poll.hpp>

#include <new>

#include <kiln/mem/heap.hpp>

namespace kiln::posix {

ThreadPollWaiter::Slot* ThreadPollWaiter::new_slot() {
    if (inline_used_ != kInline) return &inline_[inline_used_++];
    if (!chunks_ || chunks_->used == chunks_->slots.size()) {
        auto* chunk = static_cast<Chunk*>(mem::allocate(sizeof(Chunk)));
        if (!chunk) return nullptr;
        chunk->next = chunks_;
        chunk->used = 0;
        chunks_ = chunk;
    }
    return &chunks_->slots[chunks_->used++];
}

template <typename Visit>
void ThreadPollWaiter::for_each(Visit visit) {
    for (std::uint32_t i = 0; i < inline_used_; i++) visit(inline_[i].entry());
    for (Chunk* chunk = chunks_; chunk; chunk = chunk->next) {
        for (std::uint32_t i = 0; i < chunk->used; i++) visit(chunk->slots[i].entry());
    }
}

void ThreadPollWaiter::watch(sched::WaitQueue& queue) {
    Slot* slot = new_slot();
    if (!slot) {
        out_of_memory_ = true;
        return;
    }
    auto* entry = ::new (static_cast<void*>(slot->storage)) sched::WaitEntry;
    entry->events = interest_;
    queue.add(*entry);
}

void ThreadPollWaiter::rearm() {
    for_each([](sched::WaitEntry& entry) { entry.woken.store(false, std::memory_order_relaxed); });
}

ThreadPollWaiter::~ThreadPollWaiter() {
    for_each([](sched::WaitEntry& entry) {
        entry.queue->remove(entry);
        entry.~WaitEntry();
    });
    while (chunks_) {
        Chunk* next = chunks_->next;
        mem::release(chunks_);
        chunks_ = next;
    }
}

Result<std::uint32_t> poll_files(std::span<PollRequest> requests, time::Deadline deadline,
                                 std::uint64_t slack_ns) {
    ThreadPollWaiter waiter;
    // The first look registers with each queue, unless nothing will be waited for.
    bool registering = deadline != 0;
    for (;;) {
        waiter.rearm();
        sched::WaitQueue::prepare_to_block(sched::Interruptible::kYes);
        std::uint32_t count = 0;
        for (PollRequest& request : requests) {
            request.result = 0;
            if (!request.file) continue;
            const std::uint32_t wanted = request.events | request.always;
            waiter.set_interest(wanted);
            request.result =
                request.file->poll(registering && count == 0 ? &waiter : nullptr) & wanted;
            if (request.result != 0) count++;
        }
        registering = false;
        if (count != 0 || deadline == 0 || waiter.out_of_memory()) {
            sched::WaitQueue::cancel_block();
            if (count == 0 && waiter.out_of_memory()) return Errno::kENOMEM;
            return count;
        }
        const Result<void> result = sched::WaitQueue::block(deadline, slack_ns);
        if (result.error() == Errno::kETIMEDOUT) {
            deadline = 0;  // one last look
        } else if (!result.ok()) {
            return result.error();
        }
    }
}

}  // namespace kiln::posix
