// Markers for the instruction-counting plugin (../plugin/kiln_count.c): a no-op instruction with a number.
#ifndef KILN_TESTS_BENCH_MARKER_H
#define KILN_TESTS_BENCH_MARKER_H

#define MARKER_ENCODING(n) ".byte 0x0f, 0x1f, 0x84, 0x00, " #n ", 0x4e, 0x4c, 0x4b"
#define MARKER(n) __asm__ volatile(MARKER_ENCODING(n)::: "memory")

#endif
