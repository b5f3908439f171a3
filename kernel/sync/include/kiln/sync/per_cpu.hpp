// PerCpu<T>: one T for each CPU that there may be. The storage is zero in the image and takes no room there; a CPU's T
// is made when that CPU starts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include <kiln/base/types.hpp>
#include <kiln/hal/cpu.hpp>

#include <config/nr_cpus.hpp>

namespace kiln::sync {

template <typename T>
class PerCpu {
public:
    constexpr PerCpu() = default;
    KILN_NON_COPYABLE(PerCpu);

    /// Once for each CPU, before its other uses. Never destroyed.
    T& construct(std::uint32_t cpu) { return *::new (static_cast<void*>(storage_[cpu])) T; }
    /// That of a CPU that was started.
    T& operator[](std::uint32_t cpu) { return *reinterpret_cast<T*>(storage_[cpu]); }
    /// This CPU's; preemption is off.
    T& here() { return (*this)[hal::cpu_id()]; }

private:
    alignas(T) std::byte storage_[config::nr_cpus][sizeof(T)]{};
};

}  // namespace kiln::sync
