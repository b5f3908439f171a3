// kiln check: what a program will want that the kernel's configuration lacks.
#include "cli/command.hpp"
namespace kiln::cli {
void add_check(CLI::App&, Action&) {}
}  // namespace kiln::cli
