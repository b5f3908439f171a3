// What virtual machines can run on here. A /dev/kvm that opens may still run kernel code thousands
// of times slower than the processor does (a software KVM inside another virtual machine): so it is
// measured, not trusted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "lib/machine.hpp"

namespace kiln::tool {

struct KvmProbe {
    bool present = false;    // /dev/kvm exists
    bool opens = false;      // and may be opened by this user
    bool works = false;      // a tiny guest ran
    double ring0_per_s = 0;  // instructions per second of a loop in the guest's ring 0
    std::string reason;      // in words, why it is or is not usable

    bool usable() const;
};

// Runs a tiny guest through KVM's ioctls for at most about a tenth of a second.
KvmProbe probe_kvm();

// The same, from `cache` where it holds a result for this boot and this /dev/kvm; else probed and
// stored.
KvmProbe probe_kvm_cached(const std::filesystem::path& cache);

// $XDG_STATE_HOME/kiln, else ~/.local/state/kiln.
std::filesystem::path state_dir();

// "auto", "qemu" or "kvm". Throws Error (125) where kvm is asked for and does not work; slow is no
// error then.
Accelerator choose_accelerator(const std::string& platform);

}  // namespace kiln::tool
