/* Entry to the kernel from exceptions, interrupts and system calls, and the ways back.
 *
 * PRIVILEGE_KERNEL: the application runs in ring 0, so the CPU does not change stacks by itself and the 128 bytes below
 * the interrupted stack pointer may be the application's red zone. Every vector therefore arrives on IST_TRAP with
 * interrupts off; trap_common builds the TrapFrame where the handler shall run (the top of the thread's kernel stack, or
 * below the interrupted kernel stack pointer: the kernel has no red zone) and continues there, so the interrupt stack is free
 * again before anything else can happen. GS is always the kernel's.
 *
 * PRIVILEGE_USER: the CPU changes to TSS.RSP0 when it comes from ring 3; the frame is built where it arrives.
 *
 * NMI, double fault and machine check have stacks of their own and stay on them. */
#include <config/privilege_user.h>
#include <kiln/arch/segments.h>

#include "asm_offsets.h"
#include "vectors.h"

#define RFLAGS_TF_BYTE1 0x01       /* TF is bit 8: bit 0 of the second byte */
#define RFLAGS_IF_BIT 9

/* ---- stubs: kernel.ld puts them at the start of .text ------------------------------------------------------------ */

    .section .text.trap_stubs, "ax"
    .globl trap_stubs, trap_stubs_end
trap_stubs:
    .set vector, 0
    .rept EXCEPTION_COUNT
    .balign EXCEPTION_STUB_BYTES, 0xcc
    /* Vectors with an error code: Intel SDM vol. 3A, table 6-1. */
    .if !(vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) || vector == VECTOR_AC || vector == 21 || vector == 29 || vector == 30)
    pushq $0
    .endif
    pushq $vector
    .if vector == VECTOR_NMI || vector == VECTOR_DF || vector == VECTOR_MC
    jmp own_stack_common
#ifdef CONFIG_PRIVILEGE_USER
    .elseif vector == VECTOR_DB
    jmp debug_common
#endif
    .else
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr
    .rept 256 - EXCEPTION_COUNT
    .balign IRQ_STUB_BYTES, 0xcc
    pushq $(vector - 128)   /* two bytes; irq_common adds the 128 */
    jmp irq_common
    .set vector, vector + 1
    .endr
trap_stubs_end:

    .section .text.entry, "ax"

.macro STORE_REGISTERS_EXCEPT_RAX_RCX base
    movq %rdi, FRAME_RDI\base
    movq %rsi, FRAME_RSI\base
    movq %rdx, FRAME_RDX\base
    movq %r8, FRAME_R8\base
    movq %r9, FRAME_R9\base
    movq %r10, FRAME_R10\base
    movq %r11, FRAME_R11\base
    movq %rbx, FRAME_RBX\base
    movq %rbp, FRAME_RBP\base
    movq %r12, FRAME_R12\base
    movq %r13, FRAME_R13\base
    movq %r14, FRAME_R14\base
    movq %r15, FRAME_R15\base
.endm

.macro PUSH_REGISTERS
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
.endm

.macro POP_REGISTERS
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
.endm

/* Moves what lies on an interrupt stack (vector, error code, rip, cs, rflags, rsp, ss, below them rax and rcx as just
 * pushed) to the new frame that rcx is the end of, adds the other registers, and goes on with the stack there. */
.macro MOVE_FRAME_AND_STACK
    subq $FRAME_SIZE, %rcx
    movq 32(%rsp), %rax
    movq %rax, FRAME_RIP(%rcx)      /* touches the new stack: an overflow faults here, see kernel_page_fault() */
    movq 64(%rsp), %rax
    movq %rax, FRAME_SS(%rcx)
    movq 56(%rsp), %rax
    movq %rax, FRAME_RSP(%rcx)
    movq 48(%rsp), %rax
    movq %rax, FRAME_RFLAGS(%rcx)
    movq 40(%rsp), %rax
    movq %rax, FRAME_CS(%rcx)
    movq 24(%rsp), %rax
    movq %rax, FRAME_ORIG_RAX(%rcx)
    movq 16(%rsp), %rax
    movq %rax, FRAME_VECTOR(%rcx)
    movq 8(%rsp), %rax
    movq %rax, FRAME_RAX(%rcx)
    movq (%rsp), %rax
    movq %rax, FRAME_RCX(%rcx)
    STORE_REGISTERS_EXCEPT_RAX_RCX (%rcx)
    movq %rcx, %rsp
.endm

#ifdef CONFIG_PRIVILEGE_USER
/* A debug exception of the application is a fault like another, but has to arrive on a stack of its own (see idt.S). */
debug_common:
    testb $3, 24(%rsp)
    jz own_stack_common
    swapgs
    pushq %rax
    pushq %rcx
    movq %gs:CPU_KERNEL_STACK, %rcx
    MOVE_FRAME_AND_STACK
    jmp trap_call
#endif

irq_common:
    pushq (%rsp)
    addq $128, (%rsp)
    movq $-1, 8(%rsp)
    /* fall through */

    .globl trap_common
trap_common:
    /* vector, error code, rip, cs, rflags, rsp, ss */
#ifndef CONFIG_PRIVILEGE_USER
    pushq %rax
    pushq %rcx
    cmpq $0, 32(%rsp)
    js 1f
    movq %gs:CPU_KERNEL_STACK, %rcx
    jmp 2f
1:  movq 56(%rsp), %rcx
    andq $-16, %rcx
2:  MOVE_FRAME_AND_STACK
#else
    testb $3, 24(%rsp)
    jz 1f
    swapgs
1:  PUSH_REGISTERS
#endif
trap_call:
    cld
    movq %rsp, %rdi
    call kiln_trap
    /* fall through: interrupts are off */

    .globl trap_return
trap_return:
#ifdef CONFIG_PRIVILEGE_USER
    testb $3, FRAME_CS(%rsp)
    jz restore_kernel
#else
    cmpq $0, FRAME_RIP(%rsp)
    js restore_frame
#endif
    .globl return_to_user
return_to_user:
    movq %gs:CPU_CURRENT, %rax
    cmpl $0, CONTEXT_WORK(%rax)
    jne user_work
#ifdef CONFIG_PRIVILEGE_USER
    swapgs
restore_kernel:
#endif
restore_frame:
    POP_REGISTERS
    addq $16, %rsp
    .globl trap_iret
trap_iret:
    iretq

user_work:
    movq %rsp, %rdi
    call kiln_user_work             /* enables interrupts meanwhile */
    jmp return_to_user

/* ---- vectors that stay on their own stack ------------------------------------------------------------------------ */
own_stack_common:
    PUSH_REGISTERS
    cld
    movq %rsp, %rdi
#ifdef CONFIG_PRIVILEGE_USER
    /* They can arrive between the entry to the kernel and its swapgs: the sign of the base tells whose GS it is. */
    movl $0xc0000101, %ecx
    rdmsr
    xorl %ebx, %ebx
    testl %edx, %edx
    js 1f
    swapgs
    incl %ebx
1:  call kiln_trap_own_stack
    testl %ebx, %ebx
    jz 2f
    swapgs
2:
#else
    call kiln_trap_own_stack
#endif
    jmp restore_frame

/* ---- system calls ------------------------------------------------------------------------------------------------
 * rcx: return address, r11: flags (Intel SDM vol. 2, SYSCALL); interrupts are off by SFMASK. The frame is at the top of the
 * kernel stack. Registers that the handler preserves are in the frame but not loaded from it, unless somebody
 * rewrote the frame. */
    .globl syscall_entry
syscall_entry:
#ifdef CONFIG_PRIVILEGE_USER
    swapgs
#endif
    movq %rsp, %gs:CPU_SCRATCH
    movq %gs:CPU_KERNEL_STACK, %rsp
    pushq $KILN_USER_SS
    pushq %gs:CPU_SCRATCH
    pushq %r11
    pushq $KILN_USER_CS
    pushq %rcx
    pushq %rax
    pushq $KILN_VECTOR_SYSCALL
    PUSH_REGISTERS
    movq %rsp, %rdi
    sti
    call *kiln_syscall_handler(%rip)
    cli
    movq %gs:CPU_CURRENT, %rax
    cmpl $0, CONTEXT_WORK(%rax)
    jne user_work
    cmpl $KILN_VECTOR_SYSCALL, FRAME_VECTOR(%rsp)
    jne 1f
    testb $RFLAGS_TF_BYTE1, FRAME_RFLAGS + 1(%rsp)
    jnz 1f
    movq FRAME_RIP(%rsp), %rcx
#ifdef CONFIG_PRIVILEGE_USER
    /* SYSRET with a return address that is not canonical faults in ring 0 on the user's stack (CVE-2012-0217). */
    movq %rcx, %rax
    shrq $47, %rax
    jnz 1f
    movq FRAME_R11(%rsp), %r11
#endif
    movq FRAME_R10(%rsp), %r10
    movq FRAME_R9(%rsp), %r9
    movq FRAME_R8(%rsp), %r8
    movq FRAME_RAX(%rsp), %rax
    movq FRAME_RDX(%rsp), %rdx
    movq FRAME_RSI(%rsp), %rsi
    movq FRAME_RDI(%rsp), %rdi
#ifdef CONFIG_PRIVILEGE_USER
    movq FRAME_RSP(%rsp), %rsp
    swapgs
    sysretq
#else
    /* Interrupts go on only when nothing is left to do on the application's stack but to leave: the instruction after sti is
     * not interrupted. */
    btrl $RFLAGS_IF_BIT, FRAME_RFLAGS(%rsp)
    leaq FRAME_RFLAGS(%rsp), %rsp
    popfq
    popq %rsp
    sti
    jmp *%rcx
#endif
1:  jmp return_to_user

/* enter_user(frame): the frame moves to the top of the kernel stack, over whatever calls brought us here: nobody returns
 * to them. It may overlap its place there: the copy goes backwards, and the frame is never above its place. */
    .globl enter_user_frame
enter_user_frame:
    cli
    movq %rdi, %rdx
    movq %gs:CPU_KERNEL_STACK, %rax
    leaq -8(%rax), %rdi
    leaq FRAME_SIZE-8(%rdx), %rsi
    movl $FRAME_SIZE/8, %ecx
    std
    rep movsq
    cld
    leaq -FRAME_SIZE(%rax), %rsp
    jmp return_to_user

    .section .note.GNU-stack, "", @progbits
