/* Offsets of struct members for assembler; cpu.cpp asserts each of them. */
#pragma once

/* hal::CpuLocal, at GS:0 */
#define CPU_CURRENT 8
#define CPU_KERNEL_STACK 16
#define CPU_SCRATCH 24
#define CPU_PREEMPT_COUNT 48
#define CPU_NEED_RESCHED 52
/* arch::Cpu, which begins with a hal::CpuLocal */
#define CPU_LOADED_ROOT 56
#define CPU_TSS_RSP0 68

/* hal::ThreadContext */
#define CONTEXT_STACK_POINTER 0
#define CONTEXT_KERNEL_STACK 8
#define CONTEXT_WORK 16
#define CONTEXT_USER_TLS 24
#define CONTEXT_FPU 32
#define CONTEXT_PAGE_TABLE_ROOT 40

/* hal::TrapFrame */
#define FRAME_R15 0
#define FRAME_R14 8
#define FRAME_R13 16
#define FRAME_R12 24
#define FRAME_RBP 32
#define FRAME_RBX 40
#define FRAME_R11 48
#define FRAME_R10 56
#define FRAME_R9 64
#define FRAME_R8 72
#define FRAME_RAX 80
#define FRAME_RCX 88
#define FRAME_RDX 96
#define FRAME_RSI 104
#define FRAME_RDI 112
#define FRAME_VECTOR 120
#define FRAME_ORIG_RAX 128
#define FRAME_RIP 136
#define FRAME_CS 144
#define FRAME_RFLAGS 152
#define FRAME_RSP 160
#define FRAME_SS 168
#define FRAME_SIZE 176

/* Layout, see hal/paging.hpp and kernel.ld */
#define KERNEL_BASE 0xffffffff80000000
#define TEXT_PHYS 0x101000
