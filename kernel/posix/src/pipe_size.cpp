#include <kiln/posix/pipe_size.hpp>

#include <atomic>

namespace kiln::posix {
namespace {
constinit std::atomic<PipeSizeHook> g_hook{nullptr};
}

void set_pipe_size_hook(PipeSizeHook hook) { g_hook.store(hook, std::memory_order_release); }
PipeSizeHook pipe_size_hook() { return g_hook.load(std::memory_order_acquire); }

}  // namespace kiln::posix
