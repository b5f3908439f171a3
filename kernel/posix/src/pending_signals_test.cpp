#include <gtest/gtest.h>

#include <kiln/mem/pages.hpp>
#include <kiln/posix/signal.hpp>

#include "signal_defaults.hpp"

namespace kiln::posix {
namespace {

SignalInfo queued(int signo, std::uint64_t value) {
    SignalInfo info = make_signal(signo, kSiQueue, 1, 0);
    info.fields[1] = value;
    return info;
}

TEST(PendingSignals, StandardSignalsAreKeptOnce) {
    PendingSignals pending;
    EXPECT_TRUE(pending.add(queued(kSigTerm, 1)).ok());
    EXPECT_TRUE(pending.add(queued(kSigTerm, 2)).ok());
    SignalInfo info;
    EXPECT_EQ(pending.take(0, &info), kSigTerm);
    EXPECT_EQ(info.fields[1], 1u) << "the first one's information stays";
    EXPECT_EQ(pending.take(0, &info), 0);
}

TEST(PendingSignals, RealTimeSignalsQueueInOrder) {
    PendingSignals pending;
    for (std::uint64_t v : {7, 8, 9}) EXPECT_TRUE(pending.add(queued(kSigRtMin + 2, v)).ok());
    EXPECT_TRUE(pending.add(queued(kSigRtMin, 1)).ok());
    EXPECT_EQ(pending.queued(), 4u);
    SignalInfo info;
    EXPECT_EQ(pending.take(0, &info), kSigRtMin) << "lower numbers first";
    for (std::uint64_t v : {7, 8, 9}) {
        EXPECT_EQ(pending.take(0, &info), kSigRtMin + 2);
        EXPECT_EQ(info.fields[1], v);
    }
    EXPECT_EQ(pending.set(), 0u);
    EXPECT_EQ(pending.queued(), 0u);
}

TEST(PendingSignals, BlockedOnesStay) {
    PendingSignals pending;
    (void)pending.add(make_signal(kSigHup, kSiUser));
    (void)pending.add(make_signal(kSigInt, kSiUser));
    SignalInfo info;
    EXPECT_EQ(pending.take(signal_bit(kSigHup), &info), kSigInt);
    EXPECT_EQ(pending.take(signal_bit(kSigHup), &info), 0);
    EXPECT_EQ(pending.set(), signal_bit(kSigHup));
    EXPECT_EQ(pending.take(0, &info), kSigHup);
}

TEST(PendingSignals, FaultsComeFirst) {
    PendingSignals pending;
    (void)pending.add(make_signal(kSigHup, kSiUser));
    (void)pending.add(make_fault_signal(kSigSegv, 1, 0x1234));
    SignalInfo info;
    EXPECT_EQ(pending.take(0, &info), kSigSegv);
    EXPECT_EQ(info.fields[0], 0x1234u);
}

TEST(PendingSignals, WithoutMemoryAStandardSignalArrivesBare) {
    PendingSignals pending;
    mem::inject_allocation_failures(1);
    const bool standard = pending.add(queued(kSigTerm, 5)).ok();
    const auto realtime = pending.add(queued(kSigRtMin, 5));
    mem::inject_allocation_failures(0);
    EXPECT_TRUE(standard);
    EXPECT_EQ(realtime.error(), Errno::kEAGAIN);
    SignalInfo info;
    EXPECT_EQ(pending.take(0, &info), kSigTerm);
    EXPECT_EQ(info.code, kSiUser);
}

TEST(PendingSignals, OwnedEntriesGoBackToTheirOwner) {
    PendingSignals pending;
    static int taken;
    taken = 0;
    QueuedSignal entry;
    entry.info = make_signal(kSigAlrm, kSiTimer);
    entry.taken = [](QueuedSignal&, SignalInfo& info) {
        taken++;
        info.fields[1] = 77;
    };
    pending.add(entry);
    SignalInfo info;
    EXPECT_EQ(pending.take(0, &info), kSigAlrm);
    EXPECT_EQ(info.fields[1], 77u);
    EXPECT_FALSE(entry.node.is_linked());
    pending.add(entry);
    pending.discard(signal_bit(kSigAlrm));
    EXPECT_EQ(taken, 2) << "the owner is told of a discarded one, too";
    pending.add(entry);
    entry.queue->remove(entry);
    EXPECT_EQ(pending.set(), 0u);
    EXPECT_EQ(taken, 2);
}

TEST(PendingSignals, DiscardFreesAndKeepsTheRest) {
    PendingSignals pending;
    for (int i = 0; i < 5; i++) (void)pending.add(queued(kSigRtMin, 0));
    (void)pending.add(queued(kSigTerm, 3));
    pending.discard(signal_bit(kSigRtMin));
    EXPECT_EQ(pending.queued(), 1u);
    EXPECT_EQ(pending.set(), signal_bit(kSigTerm));
}

TEST(DefaultAction, AsSignal7Says) {
    EXPECT_EQ(default_action(kSigTerm), DefaultAction::kTerminate);
    EXPECT_EQ(default_action(kSigSegv), DefaultAction::kCore);
    EXPECT_EQ(default_action(kSigChld), DefaultAction::kIgnore);
    EXPECT_EQ(default_action(kSigTtin), DefaultAction::kStop);
    EXPECT_EQ(default_action(kSigCont), DefaultAction::kContinue);
    EXPECT_EQ(default_action(kSigRtMin + 5), DefaultAction::kTerminate);
}

}  // namespace
}  // namespace kiln::posix
