// A QEMU TCG plugin that counts executed guest instructions between markers.
//
// A marker is either
//   * the 8-byte no-op `nopl 0x4b4c4eNN(%rax,%rax,1)` (bytes 0f 1f 84 00 NN 4e 4c 4b): NN is the marker's
//     number. It works in any program, at any address, in any privilege mode, and costs one instruction;
//   * an address, given as at=HEX:N. Only its first execution counts (an entry point, `main`).
// At each marker the plugin writes one line to `out`: marker number, instructions executed in the lower
// and in the upper half of the address space (bit 63 of the program counter). System emulation counts
// upper-half instructions as the kernel's.
//
// Options: out=FILE           where the records go (required)
//          at=HEX:N           address marker, may be repeated
//          pages=N            from marker N on, also collect the distinct 4 KiB physical pages that are
//                             executed, read or written; written as `page HEX` lines at exit
//          profile=A:B        between the first A and the next B, count executions by block; written as
//                             `block HEX INSTRUCTIONS` lines (HEX = start of the block)
//          limit=N            no more than N marker records (default 100000)
//
// Only one virtual CPU is supported: the counters are plain variables.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin_v1.h"

KILN_PLUGIN_EXPORT int qemu_plugin_version = 1;

enum { kMaxAddressMarkers = 16, kPageShift = 12, kMaxPages = 1 << 20 };

struct address_marker {
  uint64_t address;
  unsigned number;
  bool seen;
};

struct block {
  struct block *next;
  uint64_t address;
  uint64_t instructions;
};

static FILE *out;
static uint64_t count_low;
static uint64_t count_high;
static struct address_marker address_markers[kMaxAddressMarkers];
static size_t address_marker_count;
static uint64_t records;
static uint64_t record_limit = 100000;
static int pages_from = -1;
static bool pages_active;
static unsigned char *page_bits;
static int profile_from = -1;
static int profile_to = -1;
static enum { kBefore, kDuring, kAfter } profile_state;
static struct block *blocks;

static void record_marker(unsigned number) {
  if (records++ < record_limit) {
    fprintf(out, "marker %u %" PRIu64 " %" PRIu64 "\n", number, count_low, count_high);
    fflush(out);
  }
  if ((int)number == pages_from) {
    pages_active = true;
  }
  if (profile_state == kBefore && (int)number == profile_from) {
    for (struct block *b = blocks; b != NULL; b = b->next) {
      b->instructions = 0;
    }
    profile_state = kDuring;
  } else if (profile_state == kDuring && (int)number == profile_to) {
    for (struct block *b = blocks; b != NULL; b = b->next) {
      if (b->instructions != 0) {
        fprintf(out, "block %" PRIx64 " %" PRIu64 "\n", b->address, b->instructions);
      }
    }
    profile_state = kAfter;
  }
}

static void on_nop_marker(unsigned int cpu, void *userdata) {
  (void)cpu;
  record_marker((unsigned)(uintptr_t)userdata);
}

static void on_address_marker(unsigned int cpu, void *userdata) {
  struct address_marker *m = userdata;
  (void)cpu;
  if (!m->seen) {
    m->seen = true;
    record_marker(m->number);
  }
}

static void touch_page(uint64_t physical) {
  uint64_t page = physical >> kPageShift;
  if (page < kMaxPages) {
    page_bits[page / 8] |= (unsigned char)(1u << (page % 8));
  }
}

static void on_memory(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *userdata) {
  (void)cpu;
  (void)userdata;
  if (!pages_active) {
    return;
  }
  struct qemu_plugin_hwaddr *hw = qemu_plugin_get_hwaddr(info, vaddr);
  if (hw != NULL && !qemu_plugin_hwaddr_is_io(hw)) {
    touch_page(qemu_plugin_hwaddr_phys_addr(hw));
  }
}

// The interface gives no physical address for code. Kernel images are linked at
// 0xffffffff80000000 + physical, and before paging addresses are physical.
static void on_code(unsigned int cpu, void *userdata) {
  uint64_t vaddr = (uint64_t)(uintptr_t)userdata;
  (void)cpu;
  if (pages_active) {
    touch_page(vaddr & 0x7fffffff);
  }
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  static const unsigned char kNop[4] = {0x0f, 0x1f, 0x84, 0x00};
  static const unsigned char kMagic[3] = {0x4e, 0x4c, 0x4b};
  size_t n = qemu_plugin_tb_n_insns(tb);
  struct block *block = NULL;
  (void)id;

  if (profile_from >= 0 && profile_state != kAfter && n > 0) {
    block = calloc(1, sizeof *block);
    if (block == NULL) {
      abort();
    }
    block->address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    block->next = blocks;
    blocks = block;
  }

  for (size_t i = 0; i < n; ++i) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    uint64_t vaddr = qemu_plugin_insn_vaddr(insn);
    const unsigned char *bytes = qemu_plugin_insn_data(insn);

    qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                               (vaddr >> 63) ? &count_high : &count_low, 1);
    if (block != NULL) {
      qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                 &block->instructions, 1);
    }
    if (qemu_plugin_insn_size(insn) == 8 && memcmp(bytes, kNop, sizeof kNop) == 0 &&
        memcmp(bytes + 5, kMagic, sizeof kMagic) == 0) {
      qemu_plugin_register_vcpu_insn_exec_cb(insn, on_nop_marker, QEMU_PLUGIN_CB_NO_REGS,
                                             (void *)(uintptr_t)bytes[4]);
    }
    for (size_t m = 0; m < address_marker_count; ++m) {
      if (address_markers[m].address == vaddr && !address_markers[m].seen) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_address_marker, QEMU_PLUGIN_CB_NO_REGS,
                                               &address_markers[m]);
      }
    }
    if (pages_from >= 0) {
      qemu_plugin_register_vcpu_mem_cb(insn, on_memory, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                       NULL);
      qemu_plugin_register_vcpu_insn_exec_cb(insn, on_code, QEMU_PLUGIN_CB_NO_REGS,
                                             (void *)(uintptr_t)vaddr);
    }
  }
}

static void write_totals(qemu_plugin_id_t id, void *userdata) {
  (void)id;
  (void)userdata;
  if (page_bits != NULL) {
    for (uint64_t page = 0; page < kMaxPages; ++page) {
      if (page_bits[page / 8] & (1u << (page % 8))) {
        fprintf(out, "page %" PRIx64 "\n", page << kPageShift);
      }
    }
  }
  fprintf(out, "end 0 %" PRIu64 " %" PRIu64 "\n", count_low, count_high);
  fclose(out);
}

static int usage(const char *option) {
  fprintf(stderr, "kiln_count: bad option '%s'\n", option);
  return -1;
}

KILN_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv) {
  if (info->system_emulation && info->system.max_vcpus > 1) {
    fprintf(stderr, "kiln_count: one virtual CPU only\n");
    return -1;
  }
  for (int i = 0; i < argc; ++i) {
    const char *arg = argv[i];
    unsigned number = 0;
    unsigned second = 0;
    uint64_t address = 0;
    if (strncmp(arg, "out=", 4) == 0) {
      out = fopen(arg + 4, "we");
      if (out == NULL) {
        perror(arg + 4);
        return -1;
      }
    } else if (sscanf(arg, "at=%" SCNx64 ":%u", &address, &number) == 2) {
      if (address_marker_count == kMaxAddressMarkers) {
        return usage(arg);
      }
      address_markers[address_marker_count++] = (struct address_marker){address, number, false};
    } else if (sscanf(arg, "pages=%u", &number) == 1) {
      pages_from = (int)number;
      page_bits = calloc(kMaxPages / 8, 1);
      if (page_bits == NULL) {
        return usage(arg);
      }
    } else if (sscanf(arg, "profile=%u:%u", &number, &second) == 2) {
      profile_from = (int)number;
      profile_to = (int)second;
    } else if (strncmp(arg, "limit=", 6) == 0) {
      record_limit = strtoull(arg + 6, NULL, 10);
    } else {
      return usage(arg);
    }
  }
  if (out == NULL) {
    return usage("out= is missing");
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_atexit_cb(id, write_totals, NULL);
  return 0;
}
