/* Vectors of the CPU (Intel SDM vol. 3A, table 6-1), the stubs' geometry and the use of interrupt stacks. */
#pragma once

#define VECTOR_DE 0
#define VECTOR_DB 1
#define VECTOR_NMI 2
#define VECTOR_BP 3
#define VECTOR_OF 4
#define VECTOR_UD 6
#define VECTOR_DF 8
#define VECTOR_TS 10
#define VECTOR_NP 11
#define VECTOR_SS 12
#define VECTOR_GP 13
#define VECTOR_PF 14
#define VECTOR_MF 16
#define VECTOR_AC 17
#define VECTOR_MC 18
#define VECTOR_XM 19

#define EXCEPTION_COUNT 32
#define EXCEPTION_STUB_BYTES 16
#define IRQ_STUB_BYTES 8

#define IST_TRAP 1
#define IST_NMI 2
#define IST_DF 3
#define IST_MC 4
#define IST_DB 5

/* In ring 0 the application's red zone lies below the interrupted stack pointer: everything arrives on a stack of its own. */
#ifdef CONFIG_PRIVILEGE_USER
#define DEFAULT_IST 0
#else
#define DEFAULT_IST IST_TRAP
#endif
