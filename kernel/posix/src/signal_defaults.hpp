// What a signal does whose action is SIG_DFL: signal(7), Linux include/linux/signal.h.
#pragma once

#include <kiln/posix/signal.hpp>

namespace kiln::posix {

enum class DefaultAction { kTerminate, kCore, kIgnore, kStop, kContinue };

inline constexpr SignalSet kStopSignals =
    signal_bit(kSigStop) | signal_bit(kSigTstp) | signal_bit(kSigTtin) | signal_bit(kSigTtou);

constexpr DefaultAction default_action(int signo) {
    switch (signo) {
        case kSigQuit:
        case kSigIll:
        case kSigTrap:
        case kSigAbrt:
        case kSigBus:
        case kSigFpe:
        case kSigSegv:
        case kSigXcpu:
        case kSigXfsz:
        case kSigSys: return DefaultAction::kCore;
        case kSigChld:
        case kSigUrg:
        case kSigWinch: return DefaultAction::kIgnore;
        case kSigCont: return DefaultAction::kContinue;
        case kSigStop:
        case kSigTstp:
        case kSigTtin:
        case kSigTtou: return DefaultAction::kStop;
        default: return DefaultAction::kTerminate;
    }
}

}  // namespace kiln::posix
