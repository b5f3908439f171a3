/* Copies between kernel and application. A fault that cannot be served ends them early (exception table); they return the
 * number of bytes not copied. Unrolled moves of 8 bytes; `rep movs` for what is long, where real CPUs are
 * faster with it. */
#include <config/privilege_user.h>

#define REP_MIN_BYTES 1024

/* Each entry: where the fault happens, where to go on; both relative to themselves. */
.macro FIXUP from, to
    .pushsection __ex_table, "a"
    .balign 4
    .long \from - ., \to - .
    .popsection
.endm

.macro ALLOW_USER_ACCESS
#ifdef CONFIG_PRIVILEGE_USER
    testb $1, kiln_use_smap(%rip)
    jz 99f
    stac
99:
#endif
.endm
.macro FORBID_USER_ACCESS
#ifdef CONFIG_PRIVILEGE_USER
    testb $1, kiln_use_smap(%rip)
    jz 98f
    clac
98:
#endif
.endm

    .text
/* size_t kiln_user_copy(void* to, const void* from, size_t length) */
    .globl kiln_user_copy
kiln_user_copy:
    ALLOW_USER_ACCESS
    cmpq $REP_MIN_BYTES, %rdx
    jae 5f
    subq $32, %rdx
    jb 2f
1:
10: movq (%rsi), %rax
11: movq 8(%rsi), %rcx
12: movq 16(%rsi), %r8
13: movq 24(%rsi), %r9
14: movq %rax, (%rdi)
15: movq %rcx, 8(%rdi)
16: movq %r8, 16(%rdi)
17: movq %r9, 24(%rdi)
    addq $32, %rsi
    addq $32, %rdi
    subq $32, %rdx
    jae 1b
2:  addq $32, %rdx
    subq $8, %rdx
    jb 3f
1:
20: movq (%rsi), %rax
21: movq %rax, (%rdi)
    addq $8, %rsi
    addq $8, %rdi
    subq $8, %rdx
    jae 1b
3:  addq $8, %rdx
    jz 4f
1:
30: movb (%rsi), %al
31: movb %al, (%rdi)
    incq %rsi
    incq %rdi
    decq %rdx
    jnz 1b
4:  FORBID_USER_ACCESS
    movq %rdx, %rax
    ret

5:  movq %rdx, %rcx
    shrq $3, %rcx
    andl $7, %edx
40: rep movsq
    testl %edx, %edx
    jnz 30b
    jmp 4b

/* After a fault: rdx is wrong by what the loop has taken off in advance. Bytes before the fault are copied again one by one, so that
 * the count is exact. */
60: addq $32, %rdx
    jmp 30b
61: addq $8, %rdx
    jmp 30b
62: leaq (%rdx, %rcx, 8), %rdx
    jmp 30b
    FIXUP 10b, 60b
    FIXUP 11b, 60b
    FIXUP 12b, 60b
    FIXUP 13b, 60b
    FIXUP 14b, 60b
    FIXUP 15b, 60b
    FIXUP 16b, 60b
    FIXUP 17b, 60b
    FIXUP 20b, 61b
    FIXUP 21b, 61b
    FIXUP 30b, 4b
    FIXUP 31b, 4b
    FIXUP 40b, 62b

/* size_t kiln_user_zero(void* to, size_t length) */
    .globl kiln_user_zero
kiln_user_zero:
    ALLOW_USER_ACCESS
    xorl %eax, %eax
    subq $32, %rsi
    jb 2f
1:
10: movq %rax, (%rdi)
11: movq %rax, 8(%rdi)
12: movq %rax, 16(%rdi)
13: movq %rax, 24(%rdi)
    addq $32, %rdi
    subq $32, %rsi
    jae 1b
2:  addq $32, %rsi
    jz 4f
1:
30: movb %al, (%rdi)
    incq %rdi
    decq %rsi
    jnz 1b
4:  FORBID_USER_ACCESS
    movq %rsi, %rax
    ret
60: addq $32, %rsi
    jmp 30b
    FIXUP 10b, 60b
    FIXUP 11b, 60b
    FIXUP 12b, 60b
    FIXUP 13b, 60b
    FIXUP 30b, 4b

/* ptrdiff_t kiln_user_strnlen(const char* from, size_t limit): -1 on a fault. Eight bytes at a time where they lie in one
 * word, so that it never reads beyond the page of the NUL. */
    .globl kiln_user_strnlen
kiln_user_strnlen:
    ALLOW_USER_ACCESS
    movq %rdi, %r8
    addq %rdi, %rsi                 /* end; the caller checked that it does not wrap */
    movabsq $0x0101010101010101, %r9
    movabsq $0x8080808080808080, %r10
1:  cmpq %rsi, %rdi
    jae 4f
    testb $7, %dil
    jz 2f
10: cmpb $0, (%rdi)
    je 4f
    incq %rdi
    jmp 1b
2:
11: movq (%rdi), %rax
    movq %rax, %rcx
    subq %r9, %rcx
    notq %rax
    andq %rax, %rcx
    andq %r10, %rcx
    jnz 3f
    addq $8, %rdi
    cmpq %rsi, %rdi
    jb 2b
    movq %rsi, %rdi
    jmp 4f
3:  bsfq %rcx, %rcx
    shrl $3, %ecx
    addq %rcx, %rdi
    cmpq %rsi, %rdi
    cmovaq %rsi, %rdi
4:  FORBID_USER_ACCESS
    movq %rdi, %rax
    subq %r8, %rax
    ret
5:  FORBID_USER_ACCESS
    movq $-1, %rax
    ret
    FIXUP 10b, 5b
    FIXUP 11b, 5b

/* bool kiln_user_load_u32(const uint32_t* from, uint32_t* value) */
    .globl kiln_user_load_u32
kiln_user_load_u32:
    ALLOW_USER_ACCESS
10: movl (%rdi), %ecx
    FORBID_USER_ACCESS
    movl %ecx, (%rsi)
    movl $1, %eax
    ret
    FIXUP 10b, user_access_failed

/* bool kiln_user_cmpxchg_u32(uint32_t* at, uint32_t* expected, uint32_t desired) */
    .globl kiln_user_cmpxchg_u32
kiln_user_cmpxchg_u32:
    movl (%rsi), %eax
    ALLOW_USER_ACCESS
10: lock cmpxchgl %edx, (%rdi)
    FORBID_USER_ACCESS
    movl %eax, (%rsi)
    movl $1, %eax
    ret
    FIXUP 10b, user_access_failed

user_access_failed:
    FORBID_USER_ACCESS
    xorl %eax, %eax
    ret

/* bool kiln_probe_u64(const uint64_t* from, uint64_t* value): memory of any kind, for debugging. */
    .globl kiln_probe_u64
kiln_probe_u64:
    ALLOW_USER_ACCESS
10: movq (%rdi), %rcx
    FORBID_USER_ACCESS
    movq %rcx, (%rsi)
    movl $1, %eax
    ret
    FIXUP 10b, user_access_failed

    .section .note.GNU-stack, "", @progbits
