/* Entry from the boot loader: PVH and multiboot2 in 32-bit mode, the Linux boot protocol in 64-bit mode; all meet in
 * boot_high with paging on. Runs at its physical address. */
#include <config/boot_linux.h>
#include <config/boot_multiboot2.h>
#include <kiln/arch/boot.h>
#include <kiln/arch/segments.h>

#include "asm_offsets.h"

#define PHYS(symbol) (symbol - KERNEL_BASE)

/* Page table bits; CR0, CR4, EFER (Intel SDM vol. 3A, 2.5, 4.5; vol. 4, IA32_EFER). */
#define PTE_TABLE 0x23             /* present, writable, accessed */
#define PTE_LARGE 0xe3             /* the same, dirty, large */
#define CR0_PAGING 0x80010033      /* PG WP NE ET MP PE */
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_BITS 0x901            /* SCE LME NXE */
#define MSR_GS_BASE 0xc0000101
#define CPUID_1G_PAGES 26          /* CPUID 0x80000001 EDX */
/* Direct map: a table of each level for RAM up to 1 GiB; image: one up to 2 MiB. */
#define KERNEL_TABLE_POOL_PAGES 4
#define EARLY_IMAGE_PAGES 8        /* of 2 MiB; kernel.ld asserts the size of the image */

/* ---- headers ---------------------------------------------------------------------------------------------------- */

/* Xen's ELF note XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h). */
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad boot_pvh

#ifdef CONFIG_BOOT_MULTIBOOT2
/* Multiboot2 specification 2.0, 3.1: header with tags "entry address" (3), "module alignment" (6), end (0). */
    .section .boot.header, "a"
    .balign 8
mb2_header:
    .long 0xe85250d6, 0, mb2_header_end - mb2_header, -(0xe85250d6 + 0 + (mb2_header_end - mb2_header))
    .short 3, 0
    .long 12
    .long boot_multiboot2
    .balign 8
    .short 6, 0
    .long 8
    .short 0, 0
    .long 8
mb2_header_end:
#endif

/* ---- early page tables ------------------------------------------------------------------------------------------
 * Identity and direct map: 4 GiB by 1 GiB pages, or 1 GiB by 2 MiB pages where the CPU has no larger ones; the image: by
 * 2 MiB pages. paging_boot.cpp replaces all of it by what is right. Valid in 32-bit and 64-bit code. Clobbers eax, ebx,
 * ecx, edx. */
.macro BUILD_EARLY_TABLES
    movl $(PHYS(early_pdpt) + PTE_TABLE), PHYS(early_pml4)
    movl $(PHYS(early_pdpt) + PTE_TABLE), PHYS(early_pml4) + 256 * 8
    movl $(PHYS(kernel_pdpt_image) + PTE_TABLE), PHYS(early_pml4) + 511 * 8
    movl $(PHYS(kernel_pd_image) + PTE_TABLE), PHYS(kernel_pdpt_image) + 510 * 8
    .set offset, 0
    .rept EARLY_IMAGE_PAGES
    movl $((offset << 21) + PTE_LARGE), PHYS(kernel_pd_image) + offset * 8
    .set offset, offset + 1
    .endr
    movl $0x80000001, %eax
    cpuid
    btl $CPUID_1G_PAGES, %edx
    jnc 2f
    movl $PTE_LARGE, PHYS(early_pdpt)
    movl $(PTE_LARGE + 0x40000000), PHYS(early_pdpt) + 8
    movl $(PTE_LARGE + 0x80000000), PHYS(early_pdpt) + 16
    movl $(PTE_LARGE + 0xc0000000), PHYS(early_pdpt) + 24
    jmp 3f
2:  movl $(PHYS(early_pd) + PTE_TABLE), PHYS(early_pdpt)
    movl $PTE_LARGE, %eax
    xorl %ecx, %ecx
1:  movl %eax, PHYS(early_pd)(, %ecx, 8)
    addl $0x200000, %eax
    incl %ecx
    cmpl $512, %ecx
    jne 1b
3:
.endm

/* Where the image is cut off by the end of RAM, nothing of it can run: its last word must keep what is written. Valid in
 * 32-bit and 64-bit code. Clobbers eax. */
.macro CHECK_IMAGE_IS_IN_RAM
    movl PHYS(__image_end) - 4, %eax
    notl %eax
    movl %eax, PHYS(__image_end) - 4
    cmpl PHYS(__image_end) - 4, %eax
    jne boot_no_ram
    notl %eax
    movl %eax, PHYS(__image_end) - 4
.endm

/* ---- 32-bit entries --------------------------------------------------------------------------------------------- */

    .section .boot.text, "ax"
    .code32
#ifdef CONFIG_BOOT_MULTIBOOT2
    .globl boot_multiboot2
boot_multiboot2:
    movl $KILN_BOOT_MULTIBOOT2, %edi
    jmp boot32
#endif

/* Flat 32-bit segments, paging off, ebx: struct hvm_start_info (Xen docs/misc/pvh). */
    .globl boot_pvh
boot_pvh:
    movl $KILN_BOOT_PVH, %edi
boot32:
    cld
    CHECK_IMAGE_IS_IN_RAM
    movl %ebx, %esi
    BUILD_EARLY_TABLES
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $PHYS(early_pml4), %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    movl $EFER_BITS, %eax
    xorl %edx, %edx
    wrmsr
    movl $CR0_PAGING, %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $KILN_KERNEL_CS, $boot64

/* Says so on the debug port and the serial line and ends the machine. Instructions that mean the same in both modes. */
boot_no_ram:
    movl $boot_no_ram_text, %esi
1:  lodsb
    testb %al, %al
    jz 2f
    movl $0xe9, %edx
    outb %al, %dx
    movl $0x3f8, %edx
    outb %al, %dx
    jmp 1b
2:  movl $0xf4, %edx
    movl $125, %eax
    outl %eax, %dx
    lidt boot_no_idt
    int3
boot_no_idt:
    .fill 10, 1, 0
boot_no_ram_text:
    .asciz "kiln-end error=125 out of memory: the kernel's image does not fit into the machine's memory\n"

#ifdef CONFIG_BOOT_LINUX
/* ---- 64-bit Linux boot protocol --------------------------------------------------------------------------------
 * Long mode, identity-mapped, rsi: struct boot_params (Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"). */
    .code64
    .globl boot_linux64
boot_linux64:
    cli
    cld
    movl $KILN_BOOT_LINUX, %edi
    CHECK_IMAGE_IS_IN_RAM
    BUILD_EARLY_TABLES
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_BITS, %eax
    wrmsr
    movl $CR4_PAE, %eax
    movq %rax, %cr4
    movl $PHYS(early_pml4), %eax
    movq %rax, %cr3
    movl $CR0_PAGING, %eax
    movq %rax, %cr0
    lgdt boot_gdt_pointer
    movq $boot_high, %rax
    movl $PHYS(boot_stack_top), %esp
    pushq $KILN_KERNEL_CS
    pushq %rax
    lretq
    .set boot_elf_entry, boot_linux64
#else
    .set boot_elf_entry, boot_pvh
#endif
    .globl boot_elf_entry

    .code64
boot64:
    movq $boot_high, %rax
    jmp *%rax

    .section .boot.data, "a"
    .balign 8
boot_gdt_pointer:
    .word KILN_GDT_BYTES - 1
    .quad PHYS(kiln_gdt)

/* ---- in the upper half ------------------------------------------------------------------------------------------
 * edi: protocol, esi: its information's physical address. */
    .section .text.entry, "ax"
boot_high:
    movl $KILN_KERNEL_SS, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq $boot_stack_top, %rsp
    movl %esi, %esi
    movl $MSR_GS_BASE, %ecx
    movq $kiln_boot_cpu, %rax
    movl $(KERNEL_BASE >> 32), %edx
    wrmsr
    xorl %ebp, %ebp
    call kiln_boot
    ud2

    .section .bss.boot_stack, "aw", @nobits
    .balign 4096
    .globl boot_stack_bottom, boot_stack_top
boot_stack_bottom:
    .skip KILN_BOOT_STACK_BYTES
boot_stack_top:

/* The kernel's root and the tables of the image's half. */
    .section .bss_pages, "aw", @nobits
    .balign 4096
    .globl kernel_pml4, kernel_pdpt_image, kernel_pd_image
kernel_pml4:
    .skip 4096
kernel_pdpt_image:
    .skip 4096
kernel_pd_image:
    .skip 4096

/* The first pages for further tables: zero without an instruction. */
    .globl kernel_table_pool, kernel_table_pool_end
kernel_table_pool:
    .skip 4096 * KERNEL_TABLE_POOL_PAGES
kernel_table_pool_end:

/* Free memory again once the kernel's own tables are in use. */
    .section .bss_early, "aw", @nobits
    .balign 4096
    .globl early_pml4, early_pdpt, early_pd
early_pml4:
    .skip 4096
early_pdpt:
    .skip 4096
early_pd:
    .skip 4096

    .section .note.GNU-stack, "", @progbits
