// The kernel's own mapper behind <kiln/mem/kernel_map.hpp>. Guest only: kernel_map_host.cpp stands in on the host.
#include <kiln/mem/kernel_map.hpp>

#include "kernel_mapper.hpp"
#include "page_allocator.hpp"

namespace kiln::mem {
namespace {

// Never destroyed: its Vector's destructor would have to be registered, and the kernel does not exit.
union Storage {
    constexpr Storage() : mapper() {}
    constexpr ~Storage() {}
    KernelMapper mapper;
};
constinit Storage storage;

}  // namespace

Result<void*> allocate_stack(std::size_t size) {
    return reinterpret_cast<void*>(TRY(storage.mapper.allocate_stack(size)));
}
void free_stack(void* base, std::size_t size) {
    storage.mapper.free_stack(reinterpret_cast<std::uintptr_t>(base), size);
}
bool is_stack_guard(std::uintptr_t address) { return storage.mapper.is_stack_guard(address); }
Result<void*> map_device(PhysAddr at, std::size_t size) {
    return reinterpret_cast<void*>(TRY(storage.mapper.map_device(at, size)));
}
void unmap_device(void* address, std::size_t size) {
    storage.mapper.unmap_device(reinterpret_cast<std::uintptr_t>(address), size);
}
std::uint64_t kernel_map_trim() { return storage.mapper.trim(); }

}  // namespace kiln::mem
