/* The application's side of arch_guest_test.cpp. Position independent, mapped at kCode; talks by system calls:
 *   100            nothing; gives 42
 *   101            ends the thread
 *   102            lets other threads run
 *   103            the handler rewrites registers: rbx = rcx = r11 = 0x77, result 1
 * and by words in the page at kData. Each test leaves 0 in rax, or the number of the check that failed. */

#define DATA 0x500000
#define DEMAND 0x700000
#define SYS_NULL 100
#define SYS_END 101
#define SYS_YIELD 102
#define SYS_REWRITE 103

.macro CHECK register, value, number
    movabsq $\value, %rax
    cmpq %rax, \register
    movl $\number, %eax
    jne finish
.endm

    .section .rodata.user_code, "a"
    .balign 4096
    .globl user_code, user_code_end
user_code:

/* The test's end: rax into the word that DATA + 8 points at, then no return. */
finish:
    movq DATA + 8, %rcx
    movq %rax, (%rcx)
    movl $SYS_END, %eax
    syscall
    ud2

/* Registers, flags and the stack pointer survive a system call. */
    .globl user_registers
user_registers:
    movabsq $0x1111111111111111, %rbx
    movabsq $0x2222222222222222, %rbp
    movabsq $0x3333333333333333, %r12
    movabsq $0x4444444444444444, %r13
    movabsq $0x5555555555555555, %r14
    movabsq $0x6666666666666666, %r15
    movabsq $0x7777777777777777, %rdi
    movabsq $0x0888888888888888, %rsi
    movabsq $0x0999999999999999, %rdx
    movabsq $0x0aaaaaaaaaaaaaaa, %r8
    movabsq $0x0bbbbbbbbbbbbbbb, %r9
    movabsq $0x0ccccccccccccccc, %r10
    movq $0x1234, -8(%rsp)
    movq $0x5678, -128(%rsp)
    movq %rsp, DATA + 64
    stc
    movl $SYS_NULL, %eax
    syscall
    movl $1, %ecx
    movq %rax, DATA + 72
    movl %ecx, %eax
    jnc finish
    CHECK %rbx, 0x1111111111111111, 2
    CHECK %rbp, 0x2222222222222222, 3
    CHECK %r12, 0x3333333333333333, 4
    CHECK %r13, 0x4444444444444444, 5
    CHECK %r14, 0x5555555555555555, 6
    CHECK %r15, 0x6666666666666666, 7
    CHECK %rdi, 0x7777777777777777, 8
    CHECK %rsi, 0x0888888888888888, 9
    CHECK %rdx, 0x0999999999999999, 10
    CHECK %r8, 0x0aaaaaaaaaaaaaaa, 11
    CHECK %r9, 0x0bbbbbbbbbbbbbbb, 12
    CHECK %r10, 0x0ccccccccccccccc, 13
    movl $14, %eax
    cmpq %rsp, DATA + 64
    jne finish
    movl $15, %eax
    cmpq $42, DATA + 72
    jne finish
    movl $16, %eax
    cmpq $0x1234, -8(%rsp)
    jne finish
    movl $17, %eax
    cmpq $0x5678, -128(%rsp)
    jne finish
    pushfq
    popq %rcx
    movl $18, %eax
    testl $0x200, %ecx
    jz finish
    xorl %eax, %eax
    jmp finish

/* Interrupts change nothing: registers and the red zone, over the ticks that DATA counts. */
    .globl user_interrupts
user_interrupts:
    movabsq $0x1111111111111111, %rbx
    movabsq $0x2222222222222222, %rcx
    movabsq $0x3333333333333333, %r11
    movabsq $0x4444444444444444, %r15
    movabsq $0x5555555555555555, %rdi
    movq $0x1234, -8(%rsp)
    movq $0x4321, -64(%rsp)
    movq $0x5678, -128(%rsp)
1:  movq DATA, %rdx
    cmpq $50, %rdx
    jb 1b
    CHECK %rbx, 0x1111111111111111, 1
    CHECK %rcx, 0x2222222222222222, 2
    CHECK %r11, 0x3333333333333333, 3
    CHECK %r15, 0x4444444444444444, 4
    CHECK %rdi, 0x5555555555555555, 5
    movl $6, %eax
    cmpq $0x1234, -8(%rsp)
    jne finish
    movl $7, %eax
    cmpq $0x4321, -64(%rsp)
    jne finish
    movl $8, %eax
    cmpq $0x5678, -128(%rsp)
    jne finish
    xorl %eax, %eax
    jmp finish

/* Faults: a page that the handler maps; others that it skips, and counts by kind in DATA + 128. */
    .globl user_faults
user_faults:
    movq $5, DEMAND
    movl $1, %eax
    cmpq $5, DEMAND
    jne finish
    ud2
    int3
    pushfq
    orl $0x100, (%rsp)              /* TF: a debug exception after the next instruction */
    popfq
    nop
    xorl %edx, %edx
    xorl %ecx, %ecx
    movl $1, %eax
    .globl user_divide
user_divide:
    divl %ecx
    .globl user_wild
user_wild:
    movq 0x10, %rax                 /* 8 bytes long; the handler skips it */
    movabsq $0xffff800000100000, %rcx
    .globl user_kernel_read
user_kernel_read:
    movq (%rcx), %rcx               /* 3 bytes; the kernel is readable in ring 0 only */
    xorl %eax, %eax
    jmp finish

/* A null jump ends in the fault handler, which returns to where rbx tells. */
    .globl user_null_jump
user_null_jump:
    leaq 1f(%rip), %rbx
    xorl %eax, %eax
    jmp *%rax
1:  xorl %eax, %eax
    jmp finish

/* A system call whose handler rewrites the frame. */
    .globl user_rewrite
user_rewrite:
    movl $SYS_REWRITE, %eax
    syscall
    movq %rax, %rdx
    CHECK %rbx, 0x77, 1
    CHECK %rcx, 0x77, 2
    CHECK %r11, 0x77, 3
    CHECK %rdx, 1, 4
    xorl %eax, %eax
    jmp finish

/* Vector registers and TLS of two threads that take turns. rdi: the thread's value, rsi: where the result goes. */
    .globl user_vectors
user_vectors:
    movq %rsi, %r14
    movq %rdi, %xmm0
    movq %rdi, %xmm15
    punpcklqdq %xmm15, %xmm15
    fninit
    pushq %rdi
    fildq (%rsp)
    movl $500, %ebx
1:  movl $SYS_YIELD, %eax
    syscall
    movq %xmm0, %rax
    cmpq %rdi, %rax
    movl $1, %eax
    jne 2f
    movhlps %xmm15, %xmm1
    movq %xmm1, %rax
    cmpq %rdi, %rax
    movl $2, %eax
    jne 2f
    cmpq %rdi, %fs:0
    movl $3, %eax
    jne 2f
    decl %ebx
    jnz 1b
    fistpq (%rsp)
    popq %rcx
    cmpq %rdi, %rcx
    movl $4, %eax
    jne 2f
    xorl %eax, %eax
2:  movq %rax, (%r14)
    movl $SYS_END, %eax
    syscall

/* 1000 system calls; the cycles go to DATA + 64. */
    .globl user_count
user_count:
    movl $1000, %ebx
    rdtsc
    movl %eax, %r12d
1:  movl $SYS_NULL, %eax
    syscall
    decl %ebx
    jnz 1b
    rdtsc
    subl %r12d, %eax
    movq %rax, DATA + 64
    xorl %eax, %eax
    jmp finish
user_code_end:

    .section .note.GNU-stack, "", @progbits
