/* Segment selectors and the vectors that stand for no interrupt; for C++ and assembler. The GDT's order is the one
 * that SYSCALL and SYSRET want (Intel SDM vol. 2, SYSRET), and that of Linux, so that an application finds the selectors it
 * would find there. */
#pragma once

#include <config/privilege_user.h>

#define KILN_BOOT_CS32 0x08
#define KILN_KERNEL_CS 0x10
#define KILN_KERNEL_SS 0x18
#define KILN_TSS 0x40

#ifdef CONFIG_PRIVILEGE_USER
#define KILN_USER_CS 0x33
#define KILN_USER_SS 0x2b
#else
#define KILN_USER_CS KILN_KERNEL_CS
#define KILN_USER_SS KILN_KERNEL_SS
#endif

#define KILN_VECTOR_SYSCALL 0x100
#define KILN_VECTOR_REWRITTEN 0x101
