// FIFOs of the file systems: a pipe that hangs on the inode.
#include <kiln/base/init_call.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/posix/pipe.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {
namespace {

struct FifoPipe final : vfs::InodeAttachment {
    explicit FifoPipe(Ref<Pipe> p) : pipe(std::move(p)) {}
    Ref<Pipe> pipe;
};

Result<Ref<vfs::File>> open_named(const vfs::OpenContext& context) {
    vfs::Inode& inode = *context.path.inode();
    vfs::InodeAttachment* there = inode.attachment();
    if (!there) {
        Owned<FifoPipe> made = TRY(mem::make_owned<FifoPipe>(TRY(Pipe::create())));
        there = inode.attach(made.release());
    }
    // Nothing else is attached to a FIFO.
    return open_fifo(static_cast<FifoPipe*>(there)->pipe, context.flags);
}

void init() { vfs::set_fifo_opener(open_named); }
KILN_INIT_CALL(posix_fifo, InitLevel::kCore, init);

}  // namespace
}  // namespace kiln::posix
