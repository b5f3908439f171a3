#include "lib/platform.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lib/error.hpp"
#include "lib/file.hpp"

namespace kiln::tool {
namespace {

// QEMU's translator runs some hundred million guest instructions a second; hardware runs billions.
// Below this, KVM is emulation.
constexpr double kLeastUsefulPerS = 50e6;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kMemory = 16 * kPage;
constexpr double kProbeLimit_s = 0.1;

double now_s() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string gave(const char* what) { return fmt::format("{} gave: {}", what, errno_text(errno)); }

class Mapping {
public:
    Mapping(std::size_t bytes, int fd) : bytes_{bytes} {
        address_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() {
        if (address_ != MAP_FAILED) {
            ::munmap(address_, bytes_);
        }
    }
    explicit operator bool() const { return address_ != MAP_FAILED; }
    unsigned char* bytes() const { return static_cast<unsigned char*>(address_); }

private:
    void* address_;
    std::size_t bytes_;
};

// KVM_RUN has to be left when the guest takes too long: a timer's signal does that, with a handler
// that does nothing.
class Alarm {
public:
    Alarm() {
        struct sigaction action {};
        action.sa_handler = [](int) {};
        ::sigaction(SIGALRM, &action, &old_);
        // Repeated, for the case that the first one comes just before KVM_RUN.
        const itimerval timer{{0, 20'000}, {0, static_cast<suseconds_t>(kProbeLimit_s * 1e6)}};
        ::setitimer(ITIMER_REAL, &timer, nullptr);
    }
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;
    ~Alarm() {
        const itimerval off{};
        ::setitimer(ITIMER_REAL, &off, nullptr);
        ::sigaction(SIGALRM, &old_, nullptr);
    }

private:
    struct sigaction old_ {};
};

void set_flat_segment(kvm_segment& segment, std::uint8_t type, std::uint16_t selector) {
    segment = {};
    segment.limit = 0xffffffff;
    segment.selector = selector;
    segment.present = 1;
    segment.type = type;
    segment.s = 1;
    segment.db = 1;
    segment.g = 1;
}

// A guest in 32-bit protected mode, ring 0, without paging, that counts `ecx` down and halts. The
// time it takes, or how far it came.
void measure(KvmProbe& probe, int kvm) {
    const UniqueFd machine{::ioctl(kvm, KVM_CREATE_VM, 0)};
    if (!machine) {
        probe.reason = gave("KVM_CREATE_VM");
        return;
    }
    const Mapping memory{kMemory, -1};
    if (!memory) {
        probe.reason = gave("mmap");
        return;
    }
    // dec ecx; jnz -3; hlt
    constexpr unsigned char kCode[] = {0x49, 0x75, 0xfd, 0xf4};
    std::memcpy(memory.bytes() + kPage, kCode, sizeof(kCode));
    kvm_userspace_memory_region region{};
    region.memory_size = kMemory;
    region.userspace_addr = reinterpret_cast<std::uint64_t>(memory.bytes());
    if (::ioctl(machine.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0) {
        probe.reason = gave("KVM_SET_USER_MEMORY_REGION");
        return;
    }
    const UniqueFd cpu{::ioctl(machine.get(), KVM_CREATE_VCPU, 0)};
    const int run_bytes = ::ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (!cpu || run_bytes < static_cast<int>(sizeof(kvm_run))) {
        probe.reason = gave("KVM_CREATE_VCPU");
        return;
    }
    const Mapping shared{static_cast<std::size_t>(run_bytes), cpu.get()};
    kvm_sregs special{};
    if (!shared || ::ioctl(cpu.get(), KVM_GET_SREGS, &special) != 0) {
        probe.reason = gave("KVM_GET_SREGS");
        return;
    }
    const auto* const run = reinterpret_cast<const kvm_run*>(shared.bytes());
    set_flat_segment(special.cs, 0xb, 0x8);  // execute, read, accessed
    for (kvm_segment* segment : {&special.ds, &special.es, &special.fs, &special.gs, &special.ss}) {
        set_flat_segment(*segment, 0x3, 0x10);  // read, write, accessed
    }
    special.cr0 |= 1;  // CR0.PE
    if (::ioctl(cpu.get(), KVM_SET_SREGS, &special) != 0) {
        probe.reason = gave("KVM_SET_SREGS");
        return;
    }

    const auto count_down = [&](std::uint32_t loops, double& seconds) -> bool {
        kvm_regs registers{};
        registers.rip = kPage;
        registers.rcx = loops;
        registers.rflags = 2;
        if (::ioctl(cpu.get(), KVM_SET_REGS, &registers) != 0) {
            probe.reason = gave("KVM_SET_REGS");
            return false;
        }
        const double start = now_s();
        const Alarm alarm;
        const int status = ::ioctl(cpu.get(), KVM_RUN, 0);
        seconds = now_s() - start;
        if (status != 0 && errno != EINTR) {
            probe.reason = gave("KVM_RUN");
            return false;
        }
        if (status == 0 && run->exit_reason != KVM_EXIT_HLT && run->exit_reason != KVM_EXIT_INTR) {
            probe.reason = fmt::format("its guest ended with exit reason {}", run->exit_reason);
            return false;
        }
        if (::ioctl(cpu.get(), KVM_GET_REGS, &registers) != 0) {
            probe.reason = gave("KVM_GET_REGS");
            return false;
        }
        const double done = 2.0 * (loops - static_cast<std::uint32_t>(registers.rcx));
        probe.ring0_per_s = seconds > 0 ? done / seconds : 0;
        return true;
    };
    // A short loop first: emulation shows itself at once, and hardware needs a longer one for its
    // start not to count.
    double seconds = 0;
    if (!count_down(1000, seconds)) {
        return;
    }
    if (seconds < 0.01 && !count_down(20'000'000, seconds)) {
        return;
    }
    probe.works = true;
}

std::string boot_id() { return read_text("/proc/sys/kernel/random/boot_id").value_or(""); }

// What a cached result belongs to: this boot, this device, this user.
std::string probe_key() {
    struct stat status {};
    const bool present = ::stat("/dev/kvm", &status) == 0;
    return fmt::format("{} {} {} {} {}", boot_id(), present, status.st_rdev, status.st_mode,
                       ::geteuid());
}

}  // namespace

bool KvmProbe::usable() const { return works && ring0_per_s >= kLeastUsefulPerS; }

KvmProbe probe_kvm() {
    KvmProbe probe;
    struct stat status {};
    if (::stat("/dev/kvm", &status) != 0) {
        probe.reason = "there is no /dev/kvm";
        return probe;
    }
    probe.present = true;
    const UniqueFd kvm{::open("/dev/kvm", O_RDWR | O_CLOEXEC)};
    if (!kvm) {
        probe.reason = fmt::format("/dev/kvm cannot be opened: {}{}", errno_text(errno),
                                   errno == EACCES ? "; being in the group kvm helps" : "");
        return probe;
    }
    probe.opens = true;
    if (const int version = ::ioctl(kvm.get(), KVM_GET_API_VERSION, 0);
        version != KVM_API_VERSION) {
        probe.reason = fmt::format("/dev/kvm speaks version {}, not {}", version, KVM_API_VERSION);
        return probe;
    }
    measure(probe, kvm.get());
    if (probe.works) {
        probe.reason =
            probe.usable()
                ? fmt::format("kernel code runs at {:.0f} million instructions/s",
                              probe.ring0_per_s / 1e6)
                : fmt::format(
                      "present but unusably slow: kernel code is emulated at {:.2f} million "
                      "instructions/s ({:.1f} µs each)",
                      probe.ring0_per_s / 1e6, 1e6 / std::max(probe.ring0_per_s, 1.0));
    }
    return probe;
}

KvmProbe probe_kvm_cached(const std::filesystem::path& cache) {
    const std::string key = probe_key();
    if (const auto text = read_text(cache)) {
        const auto json = nlohmann::json::parse(*text, nullptr, false);
        if (json.is_object() && json.value("key", "") == key) {
            KvmProbe probe;
            probe.present = json.value("present", false);
            probe.opens = json.value("opens", false);
            probe.works = json.value("works", false);
            probe.ring0_per_s = json.value("ring0_per_s", 0.0);
            probe.reason = json.value("reason", "");
            return probe;
        }
    }
    const KvmProbe probe = probe_kvm();
    const nlohmann::json json = {
        {"key", key},           {"present", probe.present},         {"opens", probe.opens},
        {"works", probe.works}, {"ring0_per_s", probe.ring0_per_s}, {"reason", probe.reason}};
    // Only a cache: where it cannot be written, the next call probes again.
    std::error_code error;
    std::filesystem::create_directories(cache.parent_path(), error);
    const std::string partial = fmt::format("{}.{}", cache.string(), ::getpid());
    if (const UniqueFd fd{
            ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)}) {
        const std::string text = json.dump() + "\n";
        if (::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
            std::filesystem::rename(partial, cache, error);
        } else {
            std::filesystem::remove(partial, error);
        }
    }
    return probe;
}

std::filesystem::path state_dir() {
    if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/') {
        return std::filesystem::path{state} / "kiln";
    }
    if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
        return std::filesystem::path{home} / ".local/state/kiln";
    }
    return fmt::format("/tmp/kiln-{}", ::getuid());
}

Accelerator choose_accelerator(const std::string& platform) {
    if (platform == "qemu") {
        return Accelerator::kTcg;
    }
    const KvmProbe probe = probe_kvm_cached(state_dir() / "kvm.json");
    if (platform == "auto") {
        return probe.usable() ? Accelerator::kKvm : Accelerator::kTcg;
    }
    if (!probe.works) {
        fail("--plat kvm: {}; --plat qemu works without it", probe.reason);
    }
    return Accelerator::kKvm;
}

}  // namespace kiln::tool
