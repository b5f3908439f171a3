# Ring-0 code takes interrupts on its own stack (no red zone), lives in the top 2 GiB (code model kernel) and leaves the
# vector registers to the application. Objects are aligned as their type says and no further (-malign-data=abi), so that the
# elements of a registry's section are an array.
set(KILN_ARCH_FLAGS -m64 -mno-red-zone -mcmodel=kernel -mgeneral-regs-only -fcf-protection=none -malign-data=abi)
set(KILN_ARCH_LINK_FLAGS -m64)
set(KILN_LINKER_SCRIPT ${CMAKE_SOURCE_DIR}/kernel/arch/x86_64/kernel.ld)
