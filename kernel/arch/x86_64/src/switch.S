/* switch_context(prev, next) of hal/thread_context.hpp; interrupts are off. */
#include <config/privilege_user.h>

#include "asm_offsets.h"

#define MSR_FS_BASE 0xc0000100

    .text
    .globl kiln_switch_context
kiln_switch_context:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, CONTEXT_STACK_POINTER(%rdi)
    movq CONTEXT_STACK_POINTER(%rsi), %rsp
    movq %rsi, %gs:CPU_CURRENT
    movq CONTEXT_KERNEL_STACK(%rsi), %rax
    movq %rax, %gs:CPU_KERNEL_STACK
#ifdef CONFIG_PRIVILEGE_USER
    movq %rax, %gs:CPU_TSS_RSP0
#endif

    /* The kernel uses neither vector registers nor FS: only threads with an application have them. */
    movq CONTEXT_FPU(%rdi), %r8
    testq %r8, %r8
    jz 2f
    cmpb $0, kiln_fpu_use_xsave(%rip)
    je 1f
    movl $-1, %eax
    movl %eax, %edx
    cmpb $0, kiln_fpu_use_xsaveopt(%rip)
    je 5f
    xsaveopt64 (%r8)
    jmp 6f
5:  xsave64 (%r8)
    jmp 6f
1:  fxsave64 (%r8)
6:  cmpb $0, kiln_use_fsgsbase(%rip)
    je 1f
    rdfsbase %rax
    jmp 3f
1:  movl $MSR_FS_BASE, %ecx
    rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
3:  movq %rax, CONTEXT_USER_TLS(%rdi)

2:  movq CONTEXT_FPU(%rsi), %r8
    testq %r8, %r8
    jz 2f
    cmpb $0, kiln_fpu_use_xsave(%rip)
    je 1f
    movl $-1, %eax
    movl %eax, %edx
    xrstor64 (%r8)
    jmp 6f
1:  fxrstor64 (%r8)
6:  movq CONTEXT_USER_TLS(%rsi), %rax
    cmpb $0, kiln_use_fsgsbase(%rip)
    je 1f
    wrfsbase %rax
    jmp 2f
1:  movl $MSR_FS_BASE, %ecx
    movq %rax, %rdx
    shrq $32, %rdx
    wrmsr

2:  movq CONTEXT_PAGE_TABLE_ROOT(%rsi), %rax
    testq %rax, %rax
    jz 1f
    cmpq %gs:CPU_LOADED_ROOT, %rax
    je 1f
    movq %rax, %gs:CPU_LOADED_ROOT
    movq %rax, %cr3
1:  movq %rdi, %rax
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

/* Where a context made by init_context() starts: rax is the context before it, r12 the entry, r13 its argument. */
    .globl kiln_context_start
kiln_context_start:
    movq %rax, %rdi
    movq %r13, %rsi
    xorl %ebp, %ebp
    call *%r12
    ud2

    .section .note.GNU-stack, "", @progbits
