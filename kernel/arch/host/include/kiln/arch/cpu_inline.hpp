// Host build: the inline half of hal/cpu.hpp has no inline half; kernel/arch/host/src implements all of it.
#pragma once
