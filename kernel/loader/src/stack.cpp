#include "stack.hpp"

#include <kiln/mem/user_ptr.hpp>
#include <kiln/random/random.hpp>

namespace kiln::loader {
namespace {

constexpr std::uint64_t kMaxStringBytes =
    128 * 1024;                             // MAX_ARG_STRLEN, include/uapi/linux/binfmts.h
constexpr std::uint64_t kClockTicks = 100;  // USER_HZ

/// Fills application memory downwards.
class Pusher {
public:
    explicit Pusher(std::uint64_t top) : at_(top) {}

    Result<std::uint64_t> push(const void* bytes, std::size_t length) {
        at_ -= length;
        TRY(mem::UserPtr<std::byte>(at_).copy_out(bytes, length));
        return at_;
    }
    /// With a NUL behind it.
    Result<std::uint64_t> push(std::string_view s) {
        TRY(push("", 1));
        return push(s.data(), s.size());
    }
    void align(std::uint64_t alignment) { at_ = align_down(at_, alignment); }
    std::uint64_t at() const { return at_; }

private:
    std::uint64_t at_;
};

Result<std::uint64_t> strings_size(std::span<const std::string_view> strings) {
    std::uint64_t total = 0;
    for (std::string_view s : strings) {
        if (s.size() >= kMaxStringBytes) return Errno::kE2BIG;
        total += s.size() + 1 + sizeof(std::uint64_t);
    }
    return total;
}

/// Pushes the strings so that the first has the lowest address (as /proc/PID/cmdline reads them) and
/// notes their addresses.
Result<void> push_strings(Pusher& stack, std::span<const std::string_view> strings,
                          std::uint64_t* addresses) {
    for (std::size_t i = strings.size(); i-- > 0;) addresses[i] = TRY(stack.push(strings[i]));
    addresses[strings.size()] = 0;
    return {};
}

}  // namespace

Result<std::uint64_t> build_stack(std::uint64_t top, std::uint64_t limit,
                                  const ProgramArguments& arguments, const AuxFacts& facts,
                                  posix::Process::Image& image) {
    const std::size_t argc = arguments.argv.size();
    const std::size_t envc = arguments.envp.size();
    // execve(2): the whole may take a quarter of the stack, at least 128 KiB.
    const std::uint64_t allowed = limit / 4 > kMaxStringBytes ? limit / 4 : kMaxStringBytes;
    if (TRY(strings_size(arguments.argv)) + TRY(strings_size(arguments.envp)) > allowed)
        return Errno::kE2BIG;

    const CpuFacts cpu = cpu_facts();
    Pusher stack(top - sizeof(std::uint64_t));
    const std::uint64_t exec_fn = TRY(stack.push(arguments.path));

    // argc, argv…, NULL, envp…, NULL, auxv: one block, written at once.
    constexpr std::size_t kAuxWords = 2 * 24;
    mem::Vector<std::uint64_t> words;
    TRY(words.resize(1 + argc + 1 + envc + 1 + kAuxWords));
    words[0] = argc;
    image.env_end = VirtAddr{stack.at()};
    TRY(push_strings(stack, arguments.envp, &words[1 + argc + 1]));
    image.env_begin = VirtAddr{stack.at()};
    image.arg_end = VirtAddr{stack.at()};
    TRY(push_strings(stack, arguments.argv, &words[1]));
    image.arg_begin = VirtAddr{stack.at()};

    const std::uint64_t platform = TRY(stack.push(cpu.platform));
    std::byte seed[16];
    random::fill(seed);
    stack.align(16);
    const std::uint64_t random_bytes = TRY(stack.push(seed, sizeof(seed)));

    std::size_t at = 1 + argc + 1 + envc + 1;
    const std::size_t aux_begin = at;
    auto aux = [&](std::uint64_t type, std::uint64_t value) {
        KILN_ASSERT(at + 2 <= words.size());
        words[at++] = type;
        words[at++] = value;
    };
    if (facts.vdso != 0) aux(kAuxSysinfoEhdr, facts.vdso);
    aux(kAuxMinSignalStack, cpu.min_signal_stack);
    aux(kAuxHwcap, cpu.hwcap);
    aux(kAuxPageSize, kPageSize);
    aux(kAuxClockTicks, kClockTicks);
    aux(kAuxProgramHeaders, facts.program_headers);
    aux(kAuxProgramHeaderSize, 56);
    aux(kAuxProgramHeaderCount, facts.program_header_count);
    aux(kAuxBase, facts.interpreter_base);
    aux(kAuxFlags, 0);
    aux(kAuxEntry, facts.entry);
    aux(kAuxUid, facts.uid);
    aux(kAuxEuid, facts.uid);
    aux(kAuxGid, facts.gid);
    aux(kAuxEgid, facts.gid);
    aux(kAuxSecure, 0);
    aux(kAuxRandom, random_bytes);
    aux(kAuxHwcap2, cpu.hwcap2);
    aux(kAuxExecFn, exec_fn);
    aux(kAuxPlatform, platform);
    aux(kAuxNull, 0);

    // The stack pointer is 16-byte aligned at entry and points at argc.
    const std::size_t bytes = at * sizeof(std::uint64_t);
    const std::uint64_t sp = align_down(stack.at() - bytes, 16);
    TRY(mem::UserPtr<std::byte>(sp).copy_out(words.data(), bytes));
    image.auxv_begin = VirtAddr{sp + aux_begin * sizeof(std::uint64_t)};
    image.auxv_end = VirtAddr{sp + bytes};
    image.stack_begin = VirtAddr{sp};
    return sp;
}

}  // namespace kiln::loader
