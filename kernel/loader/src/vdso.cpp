#include "vdso.hpp"

#include <atomic>

#include <kiln/hal/paging.hpp>
#include <kiln/hal/smp.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/sync/spinlock.hpp>
#include <kiln/time/clock.hpp>

#include "vvar.hpp"

extern "C" {
extern const char
    kiln_vdso_begin[];  // page-aligned, padded to whole pages; arch/<cpu>/vdso_image.S
extern const char kiln_vdso_end[];
}

namespace kiln::loader {
namespace {

struct alignas(kPageSize) VvarPage {
    Vvar data;
    char padding[kPageSize - sizeof(Vvar)];
};
// Zero at first: sequence 0, multiplier 0; filled before the first program can see it.
constinit VvarPage vvar_page{};

PhysAddr image_address(const void* p) {
    return {reinterpret_cast<std::uintptr_t>(p) - hal::kKernelImageBase};
}

/// A run of the kernel's own image, mapped in place.
class ImageObject final : public vm::MemoryObject {
public:
    ImageObject(const void* begin, std::uint64_t size) : base_(image_address(begin)), size_(size) {}
    Result<vm::ObjectPage> get_page(std::uint64_t index, hal::Access access) override {
        if (index * kPageSize >= size_) return Errno::kENXIO;
        if (access == hal::Access::kWrite) return Errno::kEACCES;
        return vm::ObjectPage{base_ + index * kPageSize, false};
    }
    std::uint64_t size() const override { return size_; }
    bool contiguous(PhysAddr* base) const override {
        *base = base_;
        return true;
    }

private:
    PhysAddr base_;
    std::uint64_t size_;
};

void update_vvar(const time::ClockData& clock) {
    Vvar& v = vvar_page.data;
    std::atomic_ref<std::uint32_t> sequence(v.sequence);
    sequence.fetch_add(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    v.cpu_count = hal::cpu_count();
    v.base_cycles = clock.base_cycles;
    v.monotonic_base_ns = clock.monotonic_base_ns;
    v.realtime_offset_ns = clock.realtime_offset_ns;
    v.mult = clock.mult;
    v.shift = clock.shift;
    sequence.fetch_add(1, std::memory_order_release);
}

Result<VirtAddr> map_image(vm::AddressSpace& space, VirtAddr at, const void* begin,
                           std::uint64_t size, std::uint32_t prot, const char* label) {
    auto object = TRY(mem::make_ref<ImageObject>(begin, size));
    vm::MapRequest request;
    request.address = at;
    request.length = size;
    request.prot = prot;
    request.max_prot = prot;
    request.placement = vm::Placement::kFixedReplace;
    request.object = std::move(object);
    request.label = label;
    request.populate = false;
    return space.map(request);
}

}  // namespace

Result<VirtAddr> map_vdso(vm::AddressSpace& space) {
    if (vvar_page.data.mult == 0) {
        update_vvar(time::clock_data());
        time::set_clock_listener(update_vvar);
    }
    const auto size = static_cast<std::uint64_t>(kiln_vdso_end - kiln_vdso_begin);
    vm::MapRequest hole;
    hole.length = kPageSize + size;
    const VirtAddr base = TRY(space.map(hole));
    TRY(map_image(space, base, &vvar_page, kPageSize, vm::kProtRead, "[vvar]"));
    return map_image(space, base + kPageSize, kiln_vdso_begin, size, vm::kProtRead | vm::kProtExec,
                     "[vdso]");
}

}  // namespace kiln::loader
