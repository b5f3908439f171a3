#include <bit>
#include <new>

#include <kiln/mem/heap.hpp>
#include <kiln/posix/signal.hpp>

namespace kiln::posix {
namespace {

/// Signals that a fault raises: they are delivered before any other, so that their handler sees the
/// instruction that caused them (Linux: SYNCHRONOUS_MASK).
constexpr SignalSet kSynchronous = signal_bit(kSigSegv) | signal_bit(kSigBus) |
                                   signal_bit(kSigIll) | signal_bit(kSigTrap) |
                                   signal_bit(kSigFpe) | signal_bit(kSigSys);

void release(QueuedSignal& entry) {
    entry.~QueuedSignal();
    mem::release(&entry);
}

}  // namespace

SignalInfo make_signal(int signo, std::int32_t code, std::int32_t pid, std::uint32_t uid) {
    SignalInfo info;
    info.signo = signo;
    info.code = code;
    info.fields[0] = static_cast<std::uint32_t>(pid) | std::uint64_t{uid} << 32;
    return info;
}

SignalInfo make_fault_signal(int signo, std::int32_t code, std::uintptr_t address) {
    SignalInfo info;
    info.signo = signo;
    info.code = code;
    info.fields[0] = address;
    return info;
}

Result<void> PendingSignals::add(const SignalInfo& info) {
    const SignalSet bit = signal_bit(info.signo);
    const bool realtime = info.signo >= kSigRtMin;
    if (!realtime && (set_ & bit) != 0) return {};
    void* memory = mem::allocate(sizeof(QueuedSignal));
    if (!memory) {
        // Linux loses the information, never the signal; only sigqueue(3) may fail.
        if (realtime && info.code != kSiUser) return Errno::kEAGAIN;
        set_ |= bit;
        return {};
    }
    auto* entry = ::new (memory) QueuedSignal();
    entry->info = info;
    queued_++;
    queue_.push_back(*entry);
    set_ |= bit;
    return {};
}

void PendingSignals::add(QueuedSignal& entry) {
    entry.queue = this;
    queue_.push_back(entry);
    set_ |= signal_bit(entry.info.signo);
}

int PendingSignals::take(SignalSet blocked, SignalInfo* info) {
    SignalSet ready = set_ & ~blocked;
    if (ready == 0) return 0;
    if (ready & kSynchronous) ready &= kSynchronous;
    const int signo = std::countr_zero(ready) + 1;

    QueuedSignal* found = nullptr;
    bool more = false;
    for (QueuedSignal& entry : queue_) {
        if (entry.info.signo != signo) continue;
        if (found) {
            more = true;
            break;
        }
        found = &entry;
    }
    if (!more) set_ &= ~signal_bit(signo);
    if (!found) {
        *info = make_signal(signo, kSiUser);
        return signo;
    }
    List<QueuedSignal, &QueuedSignal::node>::remove(*found);
    *info = found->info;
    if (found->taken) {
        found->taken(*found, *info);
    } else {
        queued_--;
        release(*found);
    }
    return signo;
}

void PendingSignals::discard(SignalSet which) {
    if ((set_ & which) == 0) return;
    set_ &= ~which;
    for (QueuedSignal& entry : queue_) {
        if ((signal_bit(entry.info.signo) & which) == 0) continue;
        List<QueuedSignal, &QueuedSignal::node>::remove(entry);
        if (entry.taken) {
            entry.taken(entry, entry.info);
        } else {
            queued_--;
            release(entry);
        }
    }
}

void PendingSignals::remove(QueuedSignal& entry) {
    if (!entry.node.is_linked()) return;
    List<QueuedSignal, &QueuedSignal::node>::remove(entry);
    for (QueuedSignal& other : queue_) {
        if (other.info.signo == entry.info.signo) return;
    }
    set_ &= ~signal_bit(entry.info.signo);
}

}  // namespace kiln::posix
