// Address spaces on the real page tables: faults taken by the kernel's copies to and from application memory, TLB
// flushes included. Under QEMU's -icount shift=0 the cycles printed are instructions.
#include <kiln/hal/cpu.hpp>
#include <kiln/hal/user_access.hpp>
#include <kiln/init/application.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/kernel_map.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/vm/address_space.hpp>
#include <kiln/vm/anonymous_object.hpp>

#include "tap.hpp"

namespace kiln {
namespace {

constexpr std::uintptr_t kAt = 0x40000000;
constexpr std::uint32_t kRw = vm::kProtRead | vm::kProtWrite;

vm::MapRequest request(std::uint64_t pages, std::uint32_t prot = kRw) {
    vm::MapRequest r;
    r.address = {kAt};
    r.length = pages * kPageSize;
    r.prot = prot;
    r.placement = vm::Placement::kFixedReplace;
    return r;
}
bool write(std::uintptr_t at, std::uint32_t value) {
    return hal::copy_to_user(at, &value, sizeof(value)) == 0;
}
/// ~0: fault.
std::uint32_t read(std::uintptr_t at) {
    std::uint32_t value;
    return hal::copy_from_user(&value, at, sizeof(value)) == 0 ? value : ~0u;
}

/// Runs `body` in a fresh space; the pages that it used are back afterwards.
template <typename Body>
void in_space(Body body) {
    const std::uint64_t before = mem::page_stats().free;
    {
        auto space = vm::AddressSpace::create();
        EXPECT(space.ok());
        if (!space.ok()) return;
        vm::ScopedAddressSpace scope(*space.value());
        body(*space.value());
    }
    mem::heap_trim();
    EXPECT(mem::page_stats().free + 8 >= before);
}

void memory_is_zero_keeps_values_and_goes() {
    in_space([](vm::AddressSpace& space) {
        EXPECT(space.map(request(32)).ok());
        EXPECT(read(kAt + 100) == 0);
        for (std::uint32_t i = 0; i < 32; i++) EXPECT(write(kAt + i * kPageSize, i + 1));
        for (std::uint32_t i = 0; i < 32; i++) EXPECT(read(kAt + i * kPageSize) == i + 1);
        EXPECT(space.stats().resident_pages == 32);
        EXPECT(space.unmap({kAt}, 4 * kPageSize).ok());
        EXPECT(read(kAt) == ~0u);
        EXPECT(!write(kAt + 3 * kPageSize, 1));
        EXPECT(read(kAt + 4 * kPageSize) == 5);
        EXPECT(space.advise({kAt + 4 * kPageSize}, kPageSize, 4).ok());
        EXPECT(read(kAt + 4 * kPageSize) == 0);
    });
}

void rights_take_effect_at_once() {
    in_space([](vm::AddressSpace& space) {
        EXPECT(space.map(request(4)).ok());
        EXPECT(write(kAt, 7));
        EXPECT(space.protect({kAt}, kPageSize, vm::kProtRead).ok());
        EXPECT(!write(kAt, 8));
        EXPECT(read(kAt) == 7);
        EXPECT(space.protect({kAt}, kPageSize, vm::kProtNone).ok());
        EXPECT(read(kAt) == ~0u);
        EXPECT(space.protect({kAt}, kPageSize, kRw).ok());
        EXPECT(write(kAt, 9));
        EXPECT(read(kAt) == 9);
    });
}

void moved_pages_keep_their_values() {
    in_space([](vm::AddressSpace& space) {
        EXPECT(space.map(request(600)).ok());
        EXPECT(write(kAt + 511 * kPageSize, 1));
        EXPECT(write(kAt + 512 * kPageSize, 2));
        auto moved = space.remap({kAt}, 600 * kPageSize, 600 * kPageSize, 3, {kAt + 0x10000000});
        EXPECT(moved.ok());
        EXPECT(read(kAt + 0x10000000 + 511 * kPageSize) == 1);
        EXPECT(read(kAt + 0x10000000 + 512 * kPageSize) == 2);
        EXPECT(read(kAt + 511 * kPageSize) == ~0u);
    });
}

void shared_objects_are_seen_everywhere() {
    in_space([](vm::AddressSpace& space) {
        auto object = vm::AnonymousObject::create(8 * kPageSize);
        EXPECT(object.ok());
        vm::MapRequest r = request(8);
        r.object = object.value();
        r.sharing = vm::Sharing::kShared;
        EXPECT(space.map(r).ok());
        r.address = {kAt + 0x1000000};
        EXPECT(space.map(r).ok());
        EXPECT(read(kAt) == 0);
        EXPECT(read(kAt + 0x1000000) == 0);
        EXPECT(write(kAt, 5));
        EXPECT(read(kAt + 0x1000000) == 5);
        EXPECT(object.value()->set_size(0).ok());
        EXPECT(read(kAt) == ~0u);
    });
}

void stacks_have_guards() {
    auto stack = mem::allocate_stack();
    EXPECT(stack.ok());
    if (!stack.ok()) return;
    auto* base = static_cast<volatile char*>(stack.value());
    base[0] = 1;
    base[mem::kKernelStackSize - 1] = 1;
    char byte;
    EXPECT(!hal::read_memory_safely(&byte, reinterpret_cast<std::uintptr_t>(stack.value()) - 1, 1));
    EXPECT(mem::is_stack_guard(reinterpret_cast<std::uintptr_t>(stack.value()) - 1));
    mem::free_stack(stack.value());
}

template <typename Body>
std::uint64_t cost(std::uint64_t times, Body body) {
    const std::uint64_t begin = hal::cycle_counter();
    for (std::uint64_t i = 0; i < times; i++) body(i);
    return (hal::cycle_counter() - begin) / times;
}

void costs() {
    in_space([](vm::AddressSpace& space) {
        EXPECT(space.map(request(512)).ok());
        (void)write(kAt, 1);
        const std::uint64_t copy = cost(100, [](std::uint64_t) { (void)write(kAt, 1); });
        tap::print("# write to a mapped page: {}\n", copy);
        tap::print(
            "# fault, anonymous zeroed page: {}\n",
            cost(400, [](std::uint64_t i) { (void)write(kAt + (i + 1) * kPageSize, 1); }) - copy);
        tap::print("# handle_fault of it: {}\n", cost(64, [&](std::uint64_t i) {
                       vm::FaultFailure failure;
                       (void)space.handle_fault({kAt + (i + 420) * kPageSize}, hal::Access::kWrite,
                                                &failure);
                   }));
        tap::print(
            "# unmap of 486 pages, each: {}\n",
            cost(1, [&](std::uint64_t) { (void)space.unmap({kAt}, 512 * kPageSize); }) / 486);
        EXPECT(space.map(request(512)).ok());
        tap::print("# fault, read of the zero page: {}\n",
                   cost(400, [](std::uint64_t i) { (void)read(kAt + i * kPageSize); }) - copy);
        tap::print("# mmap and munmap of a page: {}\n", cost(100, [&](std::uint64_t) {
                       vm::MapRequest r;
                       r.length = kPageSize;
                       r.prot = kRw;
                       auto at = space.map(r);
                       (void)space.unmap(at.value(), kPageSize);
                   }));
        tap::print("# mprotect there and back: {}\n", cost(100, [&](std::uint64_t) {
                       (void)space.protect({kAt}, kPageSize, vm::kProtRead);
                       (void)space.protect({kAt}, kPageSize, kRw);
                   }));
    });
    tap::print("# allocate and free a page: {}\n",
               cost(1000, [](std::uint64_t) { mem::free_pages(mem::allocate_page().value(), 0); }));
    tap::print("# allocate a zeroed page and free it: {}\n", cost(1000, [](std::uint64_t) {
                   mem::free_pages(mem::allocate_page(mem::kPageZeroed).value(), 0);
               }));
    tap::print("# allocate and free 64 bytes: {}\n",
               cost(1000, [](std::uint64_t) { mem::release(mem::allocate(64)); }));
    tap::print("# allocate and free a stack: {}\n",
               cost(100, [](std::uint64_t) { mem::free_stack(mem::allocate_stack().value()); }));
}

}  // namespace
}  // namespace kiln

extern "C" int kiln_application_main() {
    using namespace kiln;
    vm::init();
    tap::run("memory is zero, keeps values and goes", memory_is_zero_keeps_values_and_goes);
    tap::run("rights take effect at once", rights_take_effect_at_once);
    tap::run("moved pages keep their values", moved_pages_keep_their_values);
    tap::run("shared objects are seen everywhere", shared_objects_are_seen_everywhere);
    tap::run("stacks have guards", stacks_have_guards);
    tap::run("costs", costs);
    return tap::finish();
}
