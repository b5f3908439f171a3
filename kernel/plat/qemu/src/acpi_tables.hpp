#pragma once

#include <kiln/acpi/tables.hpp>

namespace kiln::plat {

/// What the machine's ACPI tables say; read when first asked for. Without tables: the defaults of a PC.
const acpi::Facts& acpi();

}  // namespace kiln::plat
