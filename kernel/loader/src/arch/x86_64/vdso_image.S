// The finished vDSO (vdso.so) as data, padded to whole pages so that nothing else is mapped with it.
    .section .rodata.vdso, "a"
    .balign 4096
    .globl kiln_vdso_begin, kiln_vdso_end
kiln_vdso_begin:
    .incbin "vdso.so"
    .balign 4096
kiln_vdso_end:
    .section .note.GNU-stack, "", @progbits
