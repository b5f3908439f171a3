// Traps, system calls, contexts and user access on the real (emulated) CPU, in both privilege modes. Prints TAP.
#include <cstring>

#include <config/privilege_user.hpp>
#include <kiln/base/format.hpp>
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/hal/user_access.hpp>
#include <kiln/init/application.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/time/timer.hpp>

extern "C" {
extern const char user_code[], user_code_end[];
extern const char user_registers[], user_interrupts[], user_faults[], user_null_jump[],
    user_rewrite[], user_vectors[], user_count[];
}

namespace kiln {
namespace {

constexpr std::uintptr_t kCode = 0x400000;
constexpr std::uintptr_t kData = 0x500000;
constexpr std::uintptr_t kStacks = 0x600000;
constexpr std::uintptr_t kStackBytes = 0x4000;
constexpr std::uintptr_t kDemand = 0x700000;
constexpr std::uint32_t kUserData = hal::kMapRead | hal::kMapWrite | hal::kMapUser;
constexpr std::uint32_t kUserCode = hal::kMapRead | hal::kMapExecute | hal::kMapUser;

PhysAddr root{};
std::uint64_t* data = nullptr;  // the page at kData, as the kernel sees it
int number = 0;
bool failed = false;
std::atomic<int> running{0};
std::uint32_t faults_of_kind[16];
int user_work_calls = 0;

template <typename... Args>
void say(std::string_view format, const Args&... args) {
    char text[200];
    hal::console_write({text, format_to(text, format, args...)});
}
void report(bool ok, std::string_view name) {
    failed |= !ok;
    say("{} {} - {}\n", ok ? "ok" : "not ok", ++number, name);
}

std::uintptr_t at(const char* symbol) {
    return kCode + static_cast<std::uintptr_t>(symbol - user_code);
}

PhysAddr map_new_page(std::uintptr_t va, std::uint32_t flags) {
    const PhysAddr page = mem::allocate_page(mem::kPageZeroed).value();
    KILN_ASSERT(hal::map_page(root, {va}, page, flags).ok());
    return page;
}

void syscall(hal::TrapFrame& frame) {
    switch (hal::syscall_number(frame)) {
        case 100: hal::set_syscall_result(frame, 42); break;
        case 101: --running; sched::exit_thread();
        case 102:
            hal::set_syscall_result(frame, 0);
            sched::yield();
            break;
        case 103:
            frame.rbx = frame.rcx = frame.r11 = 0x77;
            hal::set_syscall_result(frame, 1);
            hal::mark_rewritten(frame);
            break;
        default: hal::set_syscall_result(frame, -38);
    }
}

bool page_fault(const hal::Fault& fault, hal::TrapFrame&) {
    if (fault.address < kDemand || fault.address >= kDemand + kPageSize) return false;
    map_new_page(kDemand, kUserData);
    return true;
}

void user_fault(const hal::Fault& fault, hal::TrapFrame& frame) {
    ++faults_of_kind[static_cast<unsigned>(fault.kind)];
    if (frame.rip == 0) {
        hal::set_instruction_pointer(frame, frame.rbx);
        return;
    }
    std::size_t length = 2;  // ud2, div
    if (fault.kind == hal::FaultKind::kBreakpoint || fault.kind == hal::FaultKind::kDebug)
        length = 0;  // traps: behind it
    if (fault.kind == hal::FaultKind::kPage) length = fault.address == 0x10 ? 8 : 3;
    if (fault.kind == hal::FaultKind::kDebug) frame.rflags &= ~hal::kFlagsTrap;
    hal::set_instruction_pointer(frame, frame.rip + length);
}

struct Start {
    std::uintptr_t entry;
    std::uintptr_t stack;
    std::uint64_t argument;
    std::uintptr_t result;
};

void run_user(void* cookie) {
    const Start start = *static_cast<Start*>(cookie);
    sched::Thread& self = sched::Thread::current();
    KILN_ASSERT(self.make_user(root.value).ok());
    if (start.argument != 0) hal::set_user_tls(&self, start.result + 8);
    hal::TrapFrame frame = hal::new_user_frame(start.entry, start.stack);
    frame.rdi = start.argument;
    frame.rsi = start.result;
    hal::enter_user(frame);
}

void start_user(Start* start, std::string_view name) {
    ++running;
    auto thread = sched::Thread::create(name, run_user, start);
    KILN_ASSERT(thread.ok());
    thread.value()->start();
}

void wait_for_all() {
    while (running != 0) sched::yield();
}

/// Runs one test of arch_user_code.S in a thread of its own.
std::uint64_t run(const char* test) {
    data[1] = kData + 16;
    data[2] = ~0ull;
    Start start{.entry = at(test), .stack = kStacks + kStackBytes, .argument = 0, .result = 0};
    start_user(&start, "test");
    wait_for_all();
    return data[2];
}

void check(const char* test, std::string_view name) {
    const std::uint64_t result = run(test);
    if (result != 0) say("# check {} failed\n", result);
    report(result == 0, name);
}

void tick(time::Timer& timer, void*) {
    ++data[0];
    timer.start(time::deadline_after(20'000));
}

void test_interrupts() {
    time::Timer timer(tick, nullptr);
    data[0] = 0;
    timer.start(time::deadline_after(20'000));
    check(user_interrupts, "interrupts preserve registers and the red zone");
    timer.cancel();
}

void test_faults() {
    std::memset(faults_of_kind, 0, sizeof(faults_of_kind));
    check(user_faults, "faults are served or skipped");
    const auto count = [](hal::FaultKind kind) {
        return faults_of_kind[static_cast<unsigned>(kind)];
    };
    report(count(hal::FaultKind::kInvalidOpcode) == 1, "ud2 is an invalid opcode");
    report(count(hal::FaultKind::kBreakpoint) == 1, "int3 is a breakpoint");
    report(count(hal::FaultKind::kDebug) == 1, "a single step is a debug exception");
    report(count(hal::FaultKind::kDivide) == 1, "division by zero is a divide error");
    // In ring 0 the read of the kernel's memory succeeds.
    report(count(hal::FaultKind::kPage) == (config::privilege_user ? 2 : 1),
           "wild reads are page faults");
    std::memset(faults_of_kind, 0, sizeof(faults_of_kind));
    check(user_null_jump, "a null jump can be handled");
    report(count(hal::FaultKind::kPage) == 1, "a null jump is one page fault");
}

void test_vectors() {
    Start starts[3];
    for (std::uint64_t i = 0; i < 3; ++i) {
        starts[i] = {.entry = at(user_vectors),
                     .stack = kStacks + (i + 1) * kStackBytes,
                     .argument = 0x1234567800 + i + 1,
                     .result = kData + 256 + 16 * i};
        data[32 + 2 * i] = ~0ull;
        data[33 + 2 * i] = starts[i].argument;  // what FS:0 shows
        start_user(&starts[i], "vectors");
    }
    wait_for_all();
    for (std::uint64_t i = 0; i < 3; ++i) {
        if (data[32 + 2 * i] != 0) say("# thread {}: check {} failed\n", i, data[32 + 2 * i]);
        report(data[32 + 2 * i] == 0, "vector registers, x87 and TLS belong to their thread");
    }
}

void test_work() {
    user_work_calls = 0;
    hal::set_return_to_user_handler([](hal::TrapFrame&) {
        ++user_work_calls;
        hal::current_context()->work.store(0);
    });
    // The bit is set while the thread is in its system calls or interrupted.
    struct Pending {
        static void set(time::Timer&, void*) {
            hal::current_context()->work.fetch_or(hal::kWorkSignal);
        }
    };
    time::Timer timer(Pending::set, nullptr);
    timer.start(time::deadline_after(10'000));
    check(user_count, "system calls in a loop");
    timer.cancel();
    const std::uint64_t cycles = data[8];
    say("# null system call with its loop: {} cycles\n", (cycles + 500) / 1000);
    hal::current_context()->work.store(0);
}

void test_kernel_access() {
    hal::load_page_table_root(root);
    std::uint64_t word = 7;
    report(hal::copy_to_user(kData + 512, &word, 8) == 0 && data[64] == 7, "copy to user memory");
    char buffer[8192];
    report(hal::copy_from_user(buffer, kData + kPageSize - 100, 200) == 100,
           "a copy stops at the unmapped page");
    report(hal::copy_from_user(buffer, kData + kPageSize - 5, 5) == 0,
           "a copy up to the unmapped page");
    report(hal::copy_from_user(buffer, kData + kPageSize - 2000, 8000) == 6000,
           "a long copy stops at the unmapped page");
    report(hal::copy_to_user(kCode, &word, 8) == 8, "read-only user memory is not written to");
    report(hal::zero_user(kData + kPageSize - 64, 100) == 36, "zeroing stops at the unmapped page");
    std::memcpy(&data[100], "hello", 6);
    report(hal::strnlen_user(kData + 800, 100) == 5 && hal::strnlen_user(kData + 800, 3) == 3,
           "string length");
    std::memset(reinterpret_cast<char*>(data) + kPageSize - 16, 'x', 16);
    report(hal::strnlen_user(kData + kPageSize - 16, 100) == -1, "a string that runs off its page");
    report(hal::strnlen_user(kData + kPageSize - 16, 16) == 16, "a string limited to its page");
    std::uint32_t old = 0;
    report(!hal::load_user_u32(0x10000, &old), "load from nowhere");
    data[120] = 5;
    std::uint32_t expected = 5;
    report(hal::cmpxchg_user_u32(kData + 960, &expected, 9) && data[120] == 9,
           "compare and exchange");
    expected = 5;
    report(hal::cmpxchg_user_u32(kData + 960, &expected, 1) && expected == 9 && data[120] == 9,
           "compare and no exchange");
    report(!hal::read_memory_safely(buffer, 0x8000000000000000, 8),
           "a non-canonical address is no address");
    report(hal::read_memory_safely(buffer, reinterpret_cast<std::uintptr_t>(user_code), 64),
           "kernel memory is readable");
    hal::load_page_table_root(hal::kernel_page_table_root());
}

void test_strings() {
    static unsigned char a[700];
    static unsigned char b[700];
    bool copies = true;
    bool moves = true;
    bool sets = true;
    bool compares = true;
    for (std::size_t n = 0; n < 300; ++n) {
        for (std::size_t i = 0; i < sizeof(a); ++i)
            a[i] = b[i] = static_cast<unsigned char>(i * 7 + 1);
        std::memcpy(b + 3, a + 300, n);
        for (std::size_t i = 0; i < n; ++i) copies &= b[3 + i] == a[300 + i];
        copies &= b[2] == a[2] && b[3 + n] == a[3 + n];
        compares &= std::memcmp(b + 3, a + 300, n) == 0;
        for (const int shift : {-9, -1, 1, 9}) {
            for (std::size_t i = 0; i < sizeof(b); ++i) b[i] = a[i];
            std::memmove(b + 20 + shift, b + 20, n);
            for (std::size_t i = 0; i < n; ++i)
                moves &= b[20 + shift + static_cast<long>(i)] == a[20 + i];
        }
        for (std::size_t i = 0; i < sizeof(b); ++i) b[i] = 0x11;
        std::memset(b + 5, 0xee, n);
        for (std::size_t i = 0; i < n; ++i) sets &= b[5 + i] == 0xee;
        sets &= b[4] == 0x11 && b[5 + n] == 0x11;
        if (n > 0) {
            std::memcpy(b, a, n);
            b[n - 1] = static_cast<unsigned char>(a[n - 1] + 1);
            const bool wraps = a[n - 1] == 0xff;
            compares &= (std::memcmp(a, b, n) < 0) != wraps;
        }
    }
    report(copies, "memcpy");
    report(moves, "memmove");
    report(sets, "memset");
    report(compares, "memcmp");
    report(std::strlen("") == 0 && std::strlen("abcdefghijk") == 11, "strlen");
}

}  // namespace
}  // namespace kiln

int kiln_application_main() {
    using namespace kiln;
    hal::set_syscall_handler(syscall);
    hal::set_page_fault_handler(page_fault);
    hal::set_user_fault_handler(user_fault);
    hal::set_return_to_user_handler(nullptr);
    root = hal::create_page_table_root().value();
    const PhysAddr code{reinterpret_cast<std::uintptr_t>(user_code) - hal::kKernelImageBase};
    KILN_ASSERT(hal::map_range(root, {kCode}, code,
                               page_up(static_cast<std::size_t>(user_code_end - user_code)),
                               kUserCode)
                    .ok());
    data = static_cast<std::uint64_t*>(hal::phys_to_virt(map_new_page(kData, kUserData)));
    for (std::uintptr_t offset = 0; offset < 3 * kStackBytes; offset += kPageSize)
        map_new_page(kStacks + offset, kUserData);

    test_strings();
    test_kernel_access();
    check(user_registers, "a system call preserves registers, flags, stack and red zone");
    test_interrupts();
    test_faults();
    check(user_rewrite, "a rewritten frame is loaded as a whole");
    test_vectors();
    test_work();
    say("1..{}\n", number);
    return failed ? 1 : 0;
}
