/* The guest's numbers, for trap_frame.hpp. */
#include "../../../../x86_64/include/kiln/arch/segments.h"
