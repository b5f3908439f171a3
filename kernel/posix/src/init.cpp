#include <kiln/base/init_call.hpp>
#include <kiln/posix/futex.hpp>
#include <kiln/vm/address_space.hpp>

#include "fatal_signal.hpp"

namespace kiln::posix {
namespace {

void init() {
    vm::init();
    install_trap_handlers();
    install_symbolizer();
    futex::init();
}

}  // namespace

KILN_INIT_CALL(posix, InitLevel::kCore, init);

}  // namespace kiln::posix
