/* What the entry code hands to the platform's kiln_boot(); for C++ and assembler. */
#pragma once

#define KILN_BOOT_PVH 1
#define KILN_BOOT_LINUX 2
#define KILN_BOOT_MULTIBOOT2 3

#define KILN_BOOT_STACK_BYTES 16384
#define KILN_GDT_BYTES 0x50
