// The frame of a signal handler on x86-64, exactly as Linux lays it out: arch/x86/kernel/signal_64.c,
// arch/x86/include/asm/sigframe.h (struct rt_sigframe), arch/x86/include/uapi/asm/sigcontext.h.
#include <cstring>

#include <kiln/abi/linux/signal.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/hal/user_access.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/posix/signal.hpp>

namespace kiln::posix {
namespace {

using mem::UserPtr;

struct SigContext {
    std::uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    std::uint64_t di, si, bp, bx, dx, ax, cx, sp, ip, flags;
    std::uint16_t cs, gs, fs, ss;
    std::uint64_t err, trapno, oldmask, cr2;
    std::uint64_t fpstate;
    std::uint64_t reserved[8];
};
static_assert(sizeof(SigContext) == 256);

struct UContext {
    std::uint64_t uc_flags;
    std::uint64_t uc_link;
    abi::SigAltStack uc_stack;
    SigContext uc_mcontext;
    SignalSet uc_sigmask;
};
static_assert(offsetof(UContext, uc_mcontext) == 40);
static_assert(offsetof(UContext, uc_sigmask) == 296);

struct RtSigFrame {
    std::uint64_t pretcode;
    UContext uc;
    SignalInfo info;
};
static_assert(sizeof(RtSigFrame) == 440);

constexpr std::uint64_t kUcFpXstate = 1;         // UC_FP_XSTATE
constexpr std::uint64_t kUcSigcontextSs = 2;     // UC_SIGCONTEXT_SS
constexpr std::uint64_t kUcStrictRestoreSs = 4;  // UC_STRICT_RESTORE_SS

/// Software bytes of the FXSAVE area: how user code learns that the whole XSAVE area follows.
struct FpxSwBytes {
    std::uint32_t magic1;
    std::uint32_t extended_size;
    std::uint64_t xfeatures;
    std::uint32_t xstate_size;
    std::uint32_t padding[7];
};
static_assert(sizeof(FpxSwBytes) == 48);
constexpr std::size_t kFxsaveSize = 512;
constexpr std::size_t kSwBytesOffset = 464;
constexpr std::size_t kXstateBvOffset = 512;
constexpr std::uint32_t kMagic1 = 0x46505853;  // FP_XSTATE_MAGIC1
constexpr std::uint32_t kMagic2 = 0x46505845;  // FP_XSTATE_MAGIC2, behind the area
constexpr std::size_t kMagic2Size = 4;
constexpr std::uint64_t kXfeaturesFpSse = 3;

constexpr std::uint64_t kRedZone = 128;      // System V ABI AMD64, 3.2.2
constexpr std::uint64_t kFpuAlignment = 64;  // XSAVE
constexpr std::uint64_t kFrameAlignment = 16;
constexpr std::uint64_t kSyscallInstructionSize = 2;
constexpr std::uint64_t kRestartSyscall = 219;

bool has_xsave() { return hal::fpu_state_size() > kFxsaveSize; }

std::uint64_t enabled_xfeatures() {
    std::uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | std::uint64_t{high} << 32;
}

bool on_stack(const AlternateStack& stack, std::uint64_t sp) {
    // Linux: while SS_AUTODISARM is set, the stack is never considered in use.
    if (stack.flags & abi::kSS_AUTODISARM) return false;
    return sp > stack.base && sp - stack.base <= stack.size;
}

std::size_t fpu_frame_size() { return hal::fpu_state_size() + (has_xsave() ? kMagic2Size : 0); }

Result<void> save_fpu(Task& task, std::uintptr_t to) {
    void* area = task.thread().fpu;
    const std::size_t size = hal::fpu_state_size();
    // The registers are the application's: the kernel uses none of them.
    hal::fpu_save(area);
    TRY(UserPtr<std::byte>(to).copy_out(area, size));
    FpxSwBytes sw{};
    if (has_xsave()) {
        sw.magic1 = kMagic1;
        sw.extended_size = static_cast<std::uint32_t>(size + kMagic2Size);
        sw.xfeatures = enabled_xfeatures();
        sw.xstate_size = static_cast<std::uint32_t>(size);
        TRY(UserPtr<std::uint32_t>(to + size).write(kMagic2));
        // Linux: FP and SSE are always valid in a frame, for programs that know the legacy part only.
        std::uint64_t present = TRY(UserPtr<const std::uint64_t>(to + kXstateBvOffset).read());
        TRY(UserPtr<std::uint64_t>(to + kXstateBvOffset).write(present | kXfeaturesFpSse));
    }
    return UserPtr<FpxSwBytes>(to + kSwBytesOffset).write(sw);
}

/// A heap block with the alignment that XSAVE wants.
class FpuBuffer {
public:
    FpuBuffer()
        : data_(static_cast<std::byte*>(
              mem::allocate_aligned(hal::fpu_state_size(), kFpuAlignment))) {}
    ~FpuBuffer() { mem::release(data_); }
    KILN_NON_COPYABLE(FpuBuffer);
    std::byte* data() { return data_; }

private:
    std::byte* data_;
};

/// The frame holds a whole XSAVE area, as save_fpu() wrote it.
bool is_extended(std::uintptr_t from) {
    if (!has_xsave()) return false;
    const std::size_t size = hal::fpu_state_size();
    auto sw = UserPtr<const FpxSwBytes>(from + kSwBytesOffset).read();
    if (!sw.ok() || sw->magic1 != kMagic1 || sw->xstate_size != size) return false;
    auto magic2 = UserPtr<const std::uint32_t>(from + size).read();
    return magic2.ok() && *magic2 == kMagic2;
}

Result<void> restore_fpu(std::uintptr_t from) {
    FpuBuffer buffer;
    if (!buffer.data()) return Errno::kENOMEM;
    const std::size_t size = hal::fpu_state_size();
    hal::fpu_init_state(buffer.data());
    if (from != 0) {
        const bool extended = is_extended(from);
        const std::size_t length = extended ? size : kFxsaveSize;
        TRY(UserPtr<const std::byte>(from).copy_in(buffer.data(), length));
        // What software put there is none of the CPU's business.
        std::memset(buffer.data() + kSwBytesOffset, 0, sizeof(FpxSwBytes));
        if (has_xsave()) {
            std::uint64_t present;
            std::memcpy(&present, buffer.data() + kXstateBvOffset, sizeof(present));
            present = extended ? present & enabled_xfeatures() : present | kXfeaturesFpSse;
            std::memcpy(buffer.data() + kXstateBvOffset, &present, sizeof(present));
        }
        if (!hal::fpu_state_valid({buffer.data(), size})) return Errno::kEFAULT;
    }
    hal::fpu_restore(buffer.data());
    return {};
}

abi::SigAltStack describe(const AlternateStack& stack, std::uint64_t sp) {
    abi::SigAltStack out{};
    out.ss_sp = stack.base;
    out.ss_size = stack.size;
    out.ss_flags = static_cast<std::int32_t>(stack.flags);
    if (stack.size == 0) {
        out.ss_flags = abi::kSS_DISABLE;
    } else if (on_stack(stack, sp)) {
        out.ss_flags |= abi::kSS_ONSTACK;
    }
    return out;
}

}  // namespace

Result<void> push_signal_frame(Task& task, hal::TrapFrame& frame, int signo, const SignalInfo& info,
                               const SignalAction& action, SignalSet mask_to_restore) {
    AlternateStack& alternate = task.signals.alternate_stack;
    const std::uint64_t old_sp = frame.rsp;
    const bool was_on_alternate = on_stack(alternate, old_sp);
    std::uint64_t sp = old_sp - kRedZone;
    bool entering = false;
    if ((action.flags & kSaOnStack) && alternate.size != 0 && !on_stack(alternate, sp)) {
        sp = alternate.base + alternate.size;
        entering = true;
    }
    if (sp > hal::kUserEnd || sp < hal::kUserBegin + fpu_frame_size() + sizeof(RtSigFrame))
        return Errno::kEFAULT;
    const std::uint64_t fpu = align_down(sp - fpu_frame_size(), kFpuAlignment);
    // The handler finds the stack as after a call: 16-byte aligned plus its return address.
    const std::uint64_t at =
        align_down(fpu - sizeof(RtSigFrame), kFrameAlignment) - sizeof(std::uint64_t);
    if ((was_on_alternate || entering) && !on_stack(alternate, at) &&
        (alternate.flags & abi::kSS_AUTODISARM) == 0)
        return Errno::kEFAULT;
    if (entering && at < alternate.base) return Errno::kEFAULT;

    std::uint64_t restorer = action.restorer;
    if ((action.flags & kSaRestorer) == 0) restorer = task.process().image().vdso_sigreturn.value;
    if (restorer == 0) return Errno::kEFAULT;

    RtSigFrame f{};
    f.pretcode = restorer;
    f.uc.uc_flags = kUcSigcontextSs | kUcStrictRestoreSs | (has_xsave() ? kUcFpXstate : 0);
    f.uc.uc_stack = describe(alternate, old_sp);
    f.uc.uc_sigmask = mask_to_restore;
    SigContext& c = f.uc.uc_mcontext;
    c.r8 = frame.r8;
    c.r9 = frame.r9;
    c.r10 = frame.r10;
    c.r11 = frame.r11;
    c.r12 = frame.r12;
    c.r13 = frame.r13;
    c.r14 = frame.r14;
    c.r15 = frame.r15;
    c.di = frame.rdi;
    c.si = frame.rsi;
    c.bp = frame.rbp;
    c.bx = frame.rbx;
    c.dx = frame.rdx;
    c.ax = frame.rax;
    c.cx = frame.rcx;
    c.sp = frame.rsp;
    c.ip = frame.rip;
    c.flags = frame.rflags;
    c.cs = static_cast<std::uint16_t>(frame.cs);
    c.ss = static_cast<std::uint16_t>(frame.ss);
    c.err = task.last_fault.error_code;
    c.trapno = task.last_fault.vector;
    c.cr2 = task.last_fault.address;
    c.oldmask = mask_to_restore;
    c.fpstate = fpu;
    f.info = info;

    TRY(save_fpu(task, fpu));
    TRY(UserPtr<RtSigFrame>(at).write(f));

    if (alternate.flags & abi::kSS_AUTODISARM) alternate = {};
    frame.rdi = static_cast<std::uint64_t>(signo);
    frame.rsi = at + offsetof(RtSigFrame, info);
    frame.rdx = at + offsetof(RtSigFrame, uc);
    frame.rax = 0;
    frame.rip = action.handler;
    frame.rsp = at;
    // System V ABI: DF is clear on entry. A single-stepped program goes on being so after the handler.
    constexpr std::uint64_t kFlagsDirection = 1u << 10;
    frame.rflags &= ~(kFlagsDirection | hal::kFlagsTrap);
    hal::mark_rewritten(frame);
    return {};
}

Result<void> pop_signal_frame(Task& task, hal::TrapFrame& frame) {
    // The handler's return popped pretcode.
    const std::uint64_t at = frame.rsp - sizeof(std::uint64_t);
    const RtSigFrame f = TRY(UserPtr<const RtSigFrame>(at).read());
    const SigContext& c = f.uc.uc_mcontext;
    if (c.ip >= hal::kUserEnd) return Errno::kEFAULT;
    TRY(restore_fpu(c.fpstate));
    set_blocked(task, f.uc.uc_sigmask);

    frame.r8 = c.r8;
    frame.r9 = c.r9;
    frame.r10 = c.r10;
    frame.r11 = c.r11;
    frame.r12 = c.r12;
    frame.r13 = c.r13;
    frame.r14 = c.r14;
    frame.r15 = c.r15;
    frame.rdi = c.di;
    frame.rsi = c.si;
    frame.rbp = c.bp;
    frame.rbx = c.bx;
    frame.rdx = c.dx;
    frame.rax = c.ax;
    frame.rcx = c.cx;
    frame.rsp = c.sp;
    frame.rip = c.ip;
    // cs and ss stay: there is one of each. Of the flags only those that are the application's.
    frame.rflags = (frame.rflags & ~hal::kFlagsUserMask) | (c.flags & hal::kFlagsUserMask);
    hal::mark_rewritten(frame);

    // Linux restores the alternate stack, too; a bad one is ignored.
    AlternateStack& alternate = task.signals.alternate_stack;
    const abi::SigAltStack& stack = f.uc.uc_stack;
    const auto stack_flags = static_cast<std::uint32_t>(stack.ss_flags);
    if (stack_flags & abi::kSS_DISABLE) {
        alternate = {};
    } else if (stack.ss_size >= abi::kMINSIGSTKSZ) {
        alternate = {stack.ss_sp, stack.ss_size, stack_flags & abi::kSS_AUTODISARM};
    }
    return {};
}

Result<void> set_alternate_stack(Task& task, std::uintptr_t sp, const abi::SigAltStack* stack,
                                 abi::SigAltStack* old_stack) {
    AlternateStack& alternate = task.signals.alternate_stack;
    if (old_stack) *old_stack = describe(alternate, sp);
    if (!stack) return {};
    if (on_stack(alternate, sp)) return Errno::kEPERM;
    const auto flags = static_cast<std::uint32_t>(stack->ss_flags);
    const std::uint32_t mode = flags & ~abi::kSS_AUTODISARM;
    if (mode != 0 && mode != abi::kSS_ONSTACK && mode != abi::kSS_DISABLE) return Errno::kEINVAL;
    if (mode == abi::kSS_DISABLE) {
        alternate = {};
        return {};
    }
    if (stack->ss_size < abi::kMINSIGSTKSZ) return Errno::kENOMEM;
    alternate = {stack->ss_sp, stack->ss_size, flags & abi::kSS_AUTODISARM};
    return {};
}

void rewind_system_call(hal::TrapFrame& frame) {
    frame.rax = frame.orig_rax;
    frame.rip -= kSyscallInstructionSize;
    hal::mark_rewritten(frame);
}

void rewind_to_restart_call(hal::TrapFrame& frame) {
    frame.rax = kRestartSyscall;
    frame.rip -= kSyscallInstructionSize;
    hal::mark_rewritten(frame);
}

bool is_system_call(const hal::TrapFrame& frame) { return frame.vector == hal::kVectorSyscall; }

}  // namespace kiln::posix
