/* memcpy, memmove, memset, memcmp, strlen and the like: general registers only, since vector registers are the
 * application's. Small and middle sizes by unrolled moves of 8 bytes; what is long by `rep`, which real CPUs are
 * faster with. An emulator counts each iteration of rep as an instruction, so that both cost about the same there. */

#define REP_MIN_BYTES 2048

    .text
    .balign 16
    .globl memmove
memmove:
    movq %rdi, %rax
    subq %rsi, %rax
    cmpq %rdx, %rax
    jb copy_backward
    /* fall through */

    .globl memcpy
memcpy:
    movq %rdi, %rax
    cmpq $8, %rdx
    jb 3f
    cmpq $REP_MIN_BYTES, %rdx
    jae 5f
    /* The last 8 bytes are loaded first: they may overlap what the loop has stored by then. */
    movq -8(%rsi, %rdx), %r10
    leaq -8(%rdi, %rdx), %r11
    subq $32, %rdx
    jb 2f
1:  movq (%rsi), %rcx
    movq 8(%rsi), %r8
    movq 16(%rsi), %r9
    movq %rcx, (%rdi)
    movq 24(%rsi), %rcx
    movq %r8, 8(%rdi)
    movq %r9, 16(%rdi)
    movq %rcx, 24(%rdi)
    addq $32, %rsi
    addq $32, %rdi
    subq $32, %rdx
    jae 1b
2:  addq $32, %rdx
    subq $8, %rdx
    jbe 4f
1:  movq (%rsi), %rcx
    movq %rcx, (%rdi)
    addq $8, %rsi
    addq $8, %rdi
    subq $8, %rdx
    ja 1b
4:  movq %r10, (%r11)
    ret
3:  testl %edx, %edx
    jz 6f
1:  movb (%rsi), %cl
    movb %cl, (%rdi)
    incq %rsi
    incq %rdi
    decl %edx
    jnz 1b
6:  ret
5:  movq %rdx, %rcx
    shrq $3, %rcx
    andl $7, %edx
    rep movsq
    movl %edx, %ecx
    rep movsb
    ret

/* to lies inside [from, from + length): from the end. */
copy_backward:
    movq %rdi, %rax
    testq %rdx, %rdx
    jz 3f
1:  cmpq $8, %rdx
    jb 2f
    movq -8(%rsi, %rdx), %rcx
    movq %rcx, -8(%rdi, %rdx)
    subq $8, %rdx
    jmp 1b
2:  testl %edx, %edx
    jz 3f
    movb -1(%rsi, %rdx), %cl
    movb %cl, -1(%rdi, %rdx)
    decl %edx
    jmp 2b
3:  ret

    .balign 16
    .globl memset
memset:
    movq %rdi, %r8
    movzbl %sil, %eax
    cmpq $8, %rdx
    jb 3f
    movabsq $0x0101010101010101, %rcx
    imulq %rcx, %rax
    movq %rax, -8(%rdi, %rdx)
    cmpq $REP_MIN_BYTES, %rdx
    jae 5f
    subq $64, %rdx
    jb 2f
1:  movq %rax, (%rdi)
    movq %rax, 8(%rdi)
    movq %rax, 16(%rdi)
    movq %rax, 24(%rdi)
    movq %rax, 32(%rdi)
    movq %rax, 40(%rdi)
    movq %rax, 48(%rdi)
    movq %rax, 56(%rdi)
    addq $64, %rdi
    subq $64, %rdx
    jae 1b
2:  addq $64, %rdx
    subq $8, %rdx
    jb 4f
1:  movq %rax, (%rdi)
    addq $8, %rdi
    subq $8, %rdx
    jae 1b
4:  movq %r8, %rax
    ret
3:  testl %edx, %edx
    jz 4b
1:  movb %al, (%rdi)
    incq %rdi
    decl %edx
    jnz 1b
    jmp 4b
5:  movq %rdx, %rcx
    shrq $3, %rcx
    rep stosq
    jmp 4b

    .balign 16
    .globl memcmp, bcmp
memcmp:
bcmp:
    subq $8, %rdx
    jb 2f
1:  movq (%rdi), %rax
    movq (%rsi), %rcx
    cmpq %rcx, %rax
    jne 4f
    addq $8, %rdi
    addq $8, %rsi
    subq $8, %rdx
    jae 1b
2:  addq $8, %rdx
    jz 3f
1:  movzbl (%rdi), %eax
    movzbl (%rsi), %ecx
    subl %ecx, %eax
    jne 5f
    incq %rdi
    incq %rsi
    decl %edx
    jnz 1b
3:  xorl %eax, %eax
5:  ret
4:  bswapq %rax             /* the first byte decides */
    bswapq %rcx
    cmpq %rcx, %rax
    sbbl %eax, %eax
    orl $1, %eax
    ret

    .balign 16
    .globl strlen
strlen:
    movq %rdi, %rax
1:  testb $7, %al
    jz 2f
    cmpb $0, (%rax)
    je 4f
    incq %rax
    jmp 1b
2:  movabsq $0x0101010101010101, %r8
    movabsq $0x8080808080808080, %r9
3:  movq (%rax), %rcx       /* aligned: never reads into another page */
    movq %rcx, %rdx
    subq %r8, %rcx
    notq %rdx
    andq %rdx, %rcx
    andq %r9, %rcx
    jnz 5f
    addq $8, %rax
    jmp 3b
5:  bsfq %rcx, %rcx
    shrl $3, %ecx
    addq %rcx, %rax
4:  subq %rdi, %rax
    ret

    .balign 16
    .globl memchr
memchr:
    movzbl %sil, %esi
1:  testq %rdx, %rdx
    jz 2f
    movzbl (%rdi), %eax
    cmpl %esi, %eax
    je 3f
    incq %rdi
    decq %rdx
    jmp 1b
2:  xorl %eax, %eax
    ret
3:  movq %rdi, %rax
    ret

    .section .note.GNU-stack, "", @progbits
