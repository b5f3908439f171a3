// An application linked straight to the kernel.
#pragma once

/// Defined by the application; runs in a thread of the kernel's once everything is up. Its return
/// value is the machine's exit status (0…255). When it is defined, no Linux program is started.
extern "C" int kiln_application_main();
