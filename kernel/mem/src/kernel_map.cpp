// The kernel's own mapper behind <kiln/mem/kernel_map.hpp>. Guest only: kernel_map_host.cpp stands in on the host.
#include <kiln/mem/kernel_map.hpp>

#include <kiln/base/no_destroy.hpp>

#include "kernel_mapper.hpp"
#include "page_allocator.hpp"

namespace kiln::mem {
namespace {

constinit NoDestroy<KernelMapper> mapper;

}  // namespace

Result<void*> allocate_stack(std::size_t size) {
    return reinterpret_cast<void*>(TRY(mapper->allocate_stack(size)));
}
void free_stack(void* base, std::size_t size) {
    mapper->free_stack(reinterpret_cast<std::uintptr_t>(base), size);
}
bool is_stack_guard(std::uintptr_t address) { return mapper->is_stack_guard(address); }
Result<void*> map_device(PhysAddr at, std::size_t size) {
    return reinterpret_cast<void*>(TRY(mapper->map_device(at, size)));
}
void unmap_device(void* address, std::size_t size) {
    mapper->unmap_device(reinterpret_cast<std::uintptr_t>(address), size);
}
std::uint64_t kernel_map_trim() { return mapper->trim(); }

}  // namespace kiln::mem
