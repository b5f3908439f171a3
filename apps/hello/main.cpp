// The smallest Kiln application: C++ on the kernel's own headers, no files, no Linux program.
#include <kiln/hal/platform.hpp>
#include <kiln/init/application.hpp>

int kiln_application_main() {
    kiln::hal::console_write("Hello from Kiln\n");
    return 0;
}
