// A boot loader of the 64-bit Linux boot protocol (Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol"),
// as small as Firecracker's: QEMU starts it by PVH, with the kernel's segments already at their places; it fills
// boot_params from the PVH start info, turns on long mode with the first 4 GiB mapped one to one, and jumps to the
// kernel's entry with rsi = boot_params. make_linux64() in ../../lib/boot.py assembles and joins it.
//
// Assembled to a flat binary at LOAD; ENTRY is the kernel's 64-bit entry; both come from the command line.
        .set BOOT_PARAMS, LOAD + 0x1000
        .set COMMAND_LINE, LOAD + 0x2000
        .set PML4, LOAD + 0x3000
        .set PDPT, LOAD + 0x4000
        .set PD, LOAD + 0x5000                  // four pages
        .set STACK, LOAD + 0xa000

        // struct hvm_start_info (Xen public/arch-x86/hvm/start_info.h)
        .set HVM_NR_MODULES, 12
        .set HVM_MODLIST, 16
        .set HVM_CMDLINE, 24
        .set HVM_MEMMAP, 40
        .set HVM_MEMMAP_ENTRIES, 48
        // struct boot_params
        .set BP_E820_ENTRIES, 0x1e8
        .set BP_BOOT_FLAG, 0x1fe
        .set BP_HEADER, 0x202
        .set BP_VERSION, 0x206
        .set BP_LOADER, 0x210
        .set BP_LOADFLAGS, 0x211
        .set BP_RAMDISK, 0x218
        .set BP_RAMDISK_SIZE, 0x21c
        .set BP_CMDLINE, 0x228
        .set BP_CMDLINE_SIZE, 0x238
        .set BP_E820, 0x2d0

        .text
        .code32
        .globl _start
_start: cli
        cld
        movl    $STACK, %esp
        movl    %ebx, %ebp                      // start info
        // all zero: boot_params to the last page directory
        movl    $BOOT_PARAMS, %edi
        movl    $(STACK - BOOT_PARAMS) / 4, %ecx
        xorl    %eax, %eax
        rep stosl

        movw    $0xaa55, BOOT_PARAMS + BP_BOOT_FLAG
        movl    $0x53726448, BOOT_PARAMS + BP_HEADER    // "HdrS"
        movw    $0x020f, BOOT_PARAMS + BP_VERSION
        movb    $0xff, BOOT_PARAMS + BP_LOADER
        movb    $1, BOOT_PARAMS + BP_LOADFLAGS

        // command line
        movl    HVM_CMDLINE(%ebp), %esi
        testl   %esi, %esi
        jz      2f
        movl    $COMMAND_LINE, %edi
        movl    $4095, %ecx
1:      lodsb
        stosb
        testb   %al, %al
        loopnz  1b
        movl    $COMMAND_LINE, BOOT_PARAMS + BP_CMDLINE
        movl    $4095, BOOT_PARAMS + BP_CMDLINE_SIZE
2:
        // initrd: the first module
        cmpl    $0, HVM_NR_MODULES(%ebp)
        je      3f
        movl    HVM_MODLIST(%ebp), %esi
        movl    (%esi), %eax
        movl    %eax, BOOT_PARAMS + BP_RAMDISK
        movl    8(%esi), %eax
        movl    %eax, BOOT_PARAMS + BP_RAMDISK_SIZE
3:
        // memory map: PVH's entries are 24 bytes, e820's 20: the same fields without the last
        movl    HVM_MEMMAP_ENTRIES(%ebp), %edx
        cmpl    $128, %edx
        jbe     4f
        movl    $128, %edx
4:      movb    %dl, BOOT_PARAMS + BP_E820_ENTRIES
        movl    HVM_MEMMAP(%ebp), %esi
        movl    $BOOT_PARAMS + BP_E820, %edi
5:      testl   %edx, %edx
        jz      6f
        movl    $5, %ecx
        rep movsl
        addl    $4, %esi
        decl    %edx
        jmp     5b
6:
        // page tables: 4 GiB in 2 MiB pages, one to one
        movl    $PDPT + 3, PML4
        movl    $PDPT, %edi
        movl    $PD + 3, %eax
        movl    $4, %ecx
7:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $0x1000, %eax
        loop    7b
        movl    $PD, %edi
        movl    $0x83, %eax
        movl    $2048, %ecx
8:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $0x200000, %eax
        loop    8b

        movl    %cr4, %eax
        orl     $0x20, %eax                     // PAE
        movl    %eax, %cr4
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx               // EFER
        rdmsr
        orl     $0x100, %eax                    // LME
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000001, %eax               // PG, PE
        movl    %eax, %cr0
        lgdt    gdt_pointer
        ljmp    $0x10, $long_mode

        .code64
long_mode:
        movl    $0x18, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        movl    $BOOT_PARAMS, %esi
        movl    $STACK, %esp
        xorl    %ebp, %ebp
        xorl    %edi, %edi
        movq    $ENTRY, %rax
        jmp     *%rax

        .balign 8
gdt:    .quad   0, 0
        .quad   0x00af9b000000ffff              // 0x10: 64-bit code (__BOOT_CS)
        .quad   0x00cf93000000ffff              // 0x18: data (__BOOT_DS)
gdt_pointer:
        .word   31
        .long   gdt
