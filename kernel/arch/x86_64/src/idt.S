/* The interrupt descriptor table, complete at link time: the stubs lie at a known place (kernel.ld), so that a gate's
 * parts are constants and boot spends no instruction on it. In read-only memory. Gate format: Intel SDM vol. 3A, 6.14.1. */
#include <config/privilege_user.h>
#include <kiln/arch/segments.h>

#include "asm_offsets.h"
#include "vectors.h"

#define GATE_INTERRUPT 0x8e   /* present, DPL 0, 64-bit interrupt gate */
#define GATE_USER 0xee        /* the same, DPL 3: int3 and into are the application's to use */

    .section .rodata.idt, "a"
    .balign 16
    .globl kiln_idt
kiln_idt:
    .set vector, 0
    .rept 256
    .if vector < EXCEPTION_COUNT
    .set stub, TEXT_PHYS + vector * EXCEPTION_STUB_BYTES
    .else
    .set stub, TEXT_PHYS + EXCEPTION_COUNT * EXCEPTION_STUB_BYTES + (vector - EXCEPTION_COUNT) * IRQ_STUB_BYTES
    .endif
    .set ist, DEFAULT_IST
    .if vector == VECTOR_NMI
    .set ist, IST_NMI
    .elseif vector == VECTOR_DF
    .set ist, IST_DF
    .elseif vector == VECTOR_MC
    .set ist, IST_MC
    .endif
    .set type, GATE_INTERRUPT
#ifdef CONFIG_PRIVILEGE_USER
    .if vector == VECTOR_DB
    .set ist, IST_DB
    .elseif vector == VECTOR_BP || vector == VECTOR_OF
    .set type, GATE_USER
    .endif
#endif
    .word stub & 0xffff
    .word KILN_KERNEL_CS
    .byte ist, type
    .word (KERNEL_BASE >> 16 & 0xffff) + (stub >> 16)
    .long 0xffffffff
    .long 0
    .set vector, vector + 1
    .endr

    .section .note.GNU-stack, "", @progbits
