// execve(2) of the running task.
#include <kiln/hal/thread_context.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/posix/timers.hpp>

namespace kiln::posix {
namespace {

constinit std::atomic<ProgramLoader> g_loader{nullptr};

std::string_view base_name(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

/// The errors that need no new address space to be found: they must leave the other threads alive.
Result<void> check_program(Process& process, std::string_view path) {
    const vfs::LookupContext context = process.lookup_context();
    const vfs::Path program = TRY(vfs::lookup(context, path, vfs::kLookupFollow));
    if (!program.inode()) return Errno::kENOENT;
    if (!program.inode()->is_regular()) return Errno::kEACCES;
    constexpr std::uint32_t kExecute = 1;  // X_OK
    TRY(vfs::check_access(program, kExecute, context.credentials));
    // Root may execute only what has some x bit.
    if ((program.inode()->mode() & 0111) == 0) return Errno::kEACCES;
    return {};
}

}  // namespace

void set_program_loader(ProgramLoader loader) { g_loader.store(loader, std::memory_order_release); }

Result<void> execute_program(const ExecArguments& arguments) {
    Task& task = Task::current();
    Process& process = task.process();
    const ProgramLoader loader = g_loader.load(std::memory_order_acquire);
    if (!loader) return Errno::kENOSYS;
    TRY(check_program(process, arguments.path));
    auto fresh = TRY(vm::AddressSpace::create());
    TRY(process.end_other_tasks());

    const Process::Image old_image = process.image();
    Ref<vm::AddressSpace> old = process.exchange_address_space(std::move(fresh));
    auto loaded = loader(process, arguments);
    if (!loaded.ok()) {
        (void)process.exchange_address_space(std::move(old));
        process.image() = old_image;
        return loaded.error();
    }

    // From here on the old program is gone.
    process.files().close_on_exec();
    process.timers().delete_all();
    reset_signals_for_exec(task);
    task.clear_child_tid = 0;
    task.robust_list = 0;
    task.rseq_area = 0;
    task.restart = nullptr;
    task.thread().set_name(base_name(arguments.path));
    process.dumpable = 1;
    process.membarrier_registered = 0;
    hal::fpu_init_state(task.thread().fpu);
    hal::fpu_restore(task.thread().fpu);
    hal::set_user_tls(&task.thread(), 0);
    hal::current_user_frame() = *loaded;
    hal::mark_rewritten(hal::current_user_frame());
    return {};
}

}  // namespace kiln::posix
