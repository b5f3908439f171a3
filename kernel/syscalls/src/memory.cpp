// mmap(2), mprotect(2), brk(2) and the rest of the address space.
#include <kiln/mem/pages.hpp>
#include <kiln/posix/memfd.hpp>
#include <kiln/vm/anonymous_object.hpp>

#include "support.hpp"

namespace kiln::syscalls {
namespace {

using namespace abi;

vm::AddressSpace& this_space() { return this_process().address_space(); }

constexpr u32 kProtMask = vm::kProtRead | vm::kProtWrite | vm::kProtExec;

/// What old programs still say and Linux ignores, and what has no effect where nothing is ever swapped or reserved.
constexpr u32 kIgnoredMapFlags =
    kMAP_DENYWRITE | kMAP_EXECUTABLE | kMAP_NORESERVE | kMAP_STACK | kMAP_NONBLOCK;
constexpr u32 kKnownMapFlags = kMAP_TYPE | kMAP_FIXED | kMAP_ANONYMOUS | kMAP_32BIT |
                               kMAP_GROWSDOWN | kMAP_LOCKED | kMAP_POPULATE | kMAP_HUGETLB |
                               kMAP_SYNC | kMAP_FIXED_NOREPLACE | kIgnoredMapFlags;

/// Fills in what a file mapping needs. The order of errors is that of Linux's do_mmap.
Result<void> map_file(vm::MapRequest& request, vfs::File& file, u32 flags) {
    switch (flags & kMAP_TYPE) {
        case kMAP_SHARED_VALIDATE:
            if (flags & (~kKnownMapFlags | kMAP_SYNC)) {
                posix::report_unsupported("mmap MAP_SHARED_VALIDATE flags", flags);
                return Errno::kEOPNOTSUPP;
            }
            [[fallthrough]];
        case kMAP_SHARED:
            if ((request.prot & vm::kProtWrite) && !file.is_writable()) return Errno::kEACCES;
            request.sharing = vm::Sharing::kShared;
            if (!file.is_writable()) request.max_prot &= ~u32{vm::kProtWrite};
            [[fallthrough]];
        case kMAP_PRIVATE:
            if (!file.is_readable()) return Errno::kEACCES;
            break;
        default: return Errno::kEINVAL;
    }
    if (request.sharing == vm::Sharing::kShared) TRY(posix::check_shared_mapping(file, &request));
    request.object = TRY(file.memory_object());
    return {};
}

Result<void> map_anonymous(vm::MapRequest& request, u32 flags) {
    switch (flags & kMAP_TYPE) {
        case kMAP_PRIVATE: return {};
        case kMAP_SHARED:
            request.sharing = vm::Sharing::kShared;
            request.object = TRY(vm::AnonymousObject::create(page_up(request.length)));
            request.offset = 0;
            return {};
        default: return Errno::kEINVAL;
    }
}

/// One pass of populate: what mlock(2) needs, as nothing is ever paged out.
Result<void> make_resident(u64 address, u64 length) {
    const u64 begin = page_down(address);
    u64 end;
    if (!checked_add(address, length, &end) || page_up(end) < end) return Errno::kEINVAL;
    end = page_up(end);
    // mlock(2), ENOMEM: part of the range is not mapped.
    for (u64 at = begin; at < end;) {
        vm::MappingInfo mapping;
        if (!this_space().find_mapping(VirtAddr{at}, &mapping)) return Errno::kENOMEM;
        at = mapping.end.value;
    }
    constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ
    const auto populated = this_space().advise(VirtAddr{begin}, end - begin, kPopulateRead);
    // Ranges without access are locked without being touched.
    if (!populated.ok() && populated.error() == Errno::kENOMEM) return Errno::kEAGAIN;
    return {};
}

/// MAP_32BIT: the lowest gap in the second GiB (Linux arch/x86/kernel/sys_x86_64.c, find_start_end).
Status map_low(vm::MapRequest& request) {
    constexpr u64 kLowBegin = 0x40000000, kLowEnd = 0x80000000;
    request.placement = vm::Placement::kFixedNoReplace;
    const u64 length = page_up(request.length);
    for (u64 at = kLowBegin; length <= kLowEnd - at;) {
        request.address = VirtAddr{at};
        const auto mapped = this_space().map(request);
        if (mapped.ok()) return static_cast<i64>(mapped.value().value);
        if (mapped.error() != Errno::kEEXIST) return mapped.error();
        // What is in the way begins at `at` or behind it; step over it.
        vm::MappingInfo mapping;
        at = this_space().find_mapping(VirtAddr{at}, &mapping) ? mapping.end.value : at + kPageSize;
        if (at >= kLowEnd) break;
    }
    return Errno::kENOMEM;
}

Status lock_range(u64 address, u64 length) {
    const u64 limit = this_process().limit(posix::kLimitLockedMemory).soft;
    constexpr unsigned kCapIpcLock = 14;
    if (!this_process().credentials().has(kCapIpcLock)) {
        if (limit == 0) return Errno::kEPERM;
        if (length > limit) return Errno::kENOMEM;
    }
    TRY(make_resident(address, length));
    return 0;
}

/// The node mask of a memory policy: node 0 is the only one. True: it holds node 0.
Result<bool> read_nodes(UserPtr<const u64> nodes, u64 max_node) {
    // set_mempolicy(2): max_node counts bits, one more than Linux looks at.
    constexpr u64 kMostNodes = kPageSize * 8;
    if (max_node > kMostNodes) return Errno::kEINVAL;
    if (!nodes || max_node <= 1) return false;
    const u64 bits = max_node - 1;
    bool first = false;
    for (u64 i = 0; i * 64 < bits; i++) {
        u64 word = TRY((nodes + i).read());
        if (bits - i * 64 < 64) word &= (u64{1} << (bits - i * 64)) - 1;
        if (i == 0) {
            first = (word & 1) != 0;
            word &= ~u64{1};
        }
        if (word != 0) return Errno::kEINVAL;  // a node that does not exist
    }
    return first;
}

Result<void> check_policy(int mode, UserPtr<const u64> nodes, u64 max_node) {
    const bool has_node = TRY(read_nodes(nodes, max_node));
    switch (mode & ~kMPOL_MODE_FLAGS) {
        case kMPOL_DEFAULT:
        case kMPOL_LOCAL:
            if (has_node) return Errno::kEINVAL;
            return {};
        case kMPOL_PREFERRED: return {};
        case kMPOL_BIND:
        case kMPOL_INTERLEAVE:
        case kMPOL_PREFERRED_MANY:
            if (!has_node) return Errno::kEINVAL;
            return {};
        default: return Errno::kEINVAL;
    }
}

}  // namespace

Status sys_mmap(u64 address, u64 length, u32 prot, u32 flags, int fd, u64 offset) {
    if (!is_aligned(offset, kPageSize)) return Errno::kEINVAL;
    Ref<vfs::File> file;
    if ((flags & kMAP_ANONYMOUS) == 0) file = TRY(io_file_at(fd));
    if (flags & kMAP_HUGETLB) {
        posix::report_unsupported("mmap MAP_HUGETLB", flags);
        return file ? Errno::kEINVAL : Errno::kENOMEM;
    }
    if (length == 0) return Errno::kEINVAL;
    if (length > hal::kUserEnd) return Errno::kENOMEM;
    u64 file_end;
    if (file && !checked_add(offset, length, &file_end)) return Errno::kEOVERFLOW;

    vm::MapRequest request;
    request.address = VirtAddr{address};
    request.length = length;
    request.prot = prot & kProtMask;
    request.offset = offset;
    request.populate = (flags & (kMAP_POPULATE | kMAP_LOCKED)) != 0 && (flags & kMAP_NONBLOCK) == 0;
    request.stack = (flags & kMAP_GROWSDOWN) != 0;
    if (flags & (kMAP_FIXED | kMAP_FIXED_NOREPLACE)) {
        if (!is_aligned(address, kPageSize)) return Errno::kEINVAL;
        request.placement = flags & kMAP_FIXED_NOREPLACE ? vm::Placement::kFixedNoReplace
                                                         : vm::Placement::kFixedReplace;
    } else {
        request.address = VirtAddr{page_down(address)};
    }
    if (file) {
        TRY(map_file(request, *file, flags));
    } else {
        TRY(map_anonymous(request, flags));
    }
    if ((flags & kMAP_32BIT) && request.placement == vm::Placement::kHint) return map_low(request);
    return static_cast<i64>(TRY(this_space().map(request)).value);
}

Status sys_munmap(u64 address, u64 length) {
    TRY(this_space().unmap(VirtAddr{address}, length));
    return 0;
}

Status sys_mprotect(u64 address, u64 length, u32 prot) {
    constexpr u32 kGrows = kPROT_GROWSDOWN | kPROT_GROWSUP;
    if ((prot & kGrows) == kGrows) return Errno::kEINVAL;
    if (prot & ~(kProtMask | kPROT_SEM | kGrows)) return Errno::kEINVAL;
    TRY(this_space().protect(VirtAddr{address}, length, prot & (kProtMask | kGrows)));
    return 0;
}

Status sys_mremap(u64 old_address, u64 old_length, u64 new_length, u32 flags, u64 new_address) {
    return static_cast<i64>(TRY(this_space().remap(VirtAddr{old_address}, old_length, new_length,
                                                   flags, VirtAddr{new_address}))
                                .value);
}

Status sys_madvise(u64 address, u64 length, int advice) {
    TRY(this_space().advise(VirtAddr{address}, length, advice));
    return 0;
}

Status sys_mincore(u64 address, u64 length, UserPtr<std::uint8_t> vec) {
    if (!is_aligned(address, kPageSize)) return Errno::kEINVAL;
    if (!hal::is_user_range(address, length)) return Errno::kENOMEM;
    u64 pages = page_up(length) / kPageSize;
    if (!hal::is_user_range(vec.address(), pages)) return Errno::kEFAULT;
    std::uint8_t chunk[256];
    while (pages != 0) {
        const u64 n = pages < sizeof(chunk) ? pages : sizeof(chunk);
        TRY(this_space().resident(VirtAddr{address}, n * kPageSize, chunk));
        TRY(vec.write_array({chunk, n}));
        address += n * kPageSize;
        vec = vec + n;
        pages -= n;
    }
    return 0;
}

Status sys_msync(u64 address, u64 length, u32 flags) {
    if (flags & ~(kMS_ASYNC | kMS_INVALIDATE | kMS_SYNC)) return Errno::kEINVAL;
    if (!is_aligned(address, kPageSize)) return Errno::kEINVAL;
    if ((flags & kMS_ASYNC) && (flags & kMS_SYNC)) return Errno::kEINVAL;
    TRY(this_space().sync(VirtAddr{address}, length, static_cast<int>(flags)));
    return 0;
}

Status sys_brk(u64 end) { return static_cast<i64>(this_space().set_break(VirtAddr{end}).value); }

Status sys_mlock(u64 address, u64 length) { return lock_range(address, length); }

Status sys_mlock2(u64 address, u64 length, u32 flags) {
    if (flags & ~kMLOCK_ONFAULT) return Errno::kEINVAL;
    if (flags & kMLOCK_ONFAULT) return 0;  // a page stays once it is there: always so here
    return lock_range(address, length);
}

Status sys_munlock(u64 address, u64 length) {
    u64 end;
    if (!checked_add(address, length, &end)) return Errno::kEINVAL;
    return 0;
}

Status sys_mlockall(u32 flags) {
    if (flags == 0 || (flags & ~(kMCL_CURRENT | kMCL_FUTURE | kMCL_ONFAULT)) ||
        flags == kMCL_ONFAULT)
        return Errno::kEINVAL;
    return 0;
}

Status sys_munlockall() { return 0; }

// A CPU without protection keys as Linux shows it: key 0 alone exists (arch/x86/include/asm/pkeys.h).
Status sys_pkey_mprotect(u64 address, u64 length, u32 prot, int key) {
    if (key != -1) return Errno::kEINVAL;
    return sys_mprotect(address, length, prot);
}
Status sys_pkey_alloc(u64 flags, u64 rights) {
    constexpr u64 kAccessMask = 3;  // PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE
    if (flags != 0 || (rights & ~kAccessMask)) return Errno::kEINVAL;
    return Errno::kENOSPC;
}
Status sys_pkey_free(int) { return Errno::kEINVAL; }

Status sys_mbind(u64 address, u64 length, int mode, UserPtr<const u64> nodes, u64 max_node,
                 u32 flags) {
    if (!is_aligned(address, kPageSize)) return Errno::kEINVAL;
    if (flags & ~(kMPOL_MF_STRICT | kMPOL_MF_MOVE | kMPOL_MF_MOVE_ALL)) return Errno::kEINVAL;
    if (!hal::is_user_range(address, length)) return Errno::kEFAULT;
    TRY(check_policy(mode, nodes, max_node));
    return 0;
}

Status sys_set_mempolicy(int mode, UserPtr<const u64> nodes, u64 max_node) {
    TRY(check_policy(mode, nodes, max_node));
    this_process().memory_policy = mode;
    return 0;
}

Status sys_get_mempolicy(UserPtr<i32> mode, UserPtr<u64> nodes, u64 max_node, u64 address,
                         u64 flags) {
    if (flags & ~u64{kMPOL_F_NODE | kMPOL_F_ADDR | kMPOL_F_MEMS_ALLOWED}) return Errno::kEINVAL;
    if (nodes && max_node < 1) return Errno::kEINVAL;
    if (flags & kMPOL_F_MEMS_ALLOWED) {
        if (flags & (kMPOL_F_NODE | kMPOL_F_ADDR)) return Errno::kEINVAL;
    } else if ((flags & kMPOL_F_ADDR) == 0 && address != 0) {
        return Errno::kEINVAL;
    }
    vm::MappingInfo mapping;
    if ((flags & kMPOL_F_ADDR) && !this_space().find_mapping(VirtAddr{address}, &mapping))
        return Errno::kEFAULT;
    // MPOL_F_NODE: a node number, 0, stands in the place of the mode.
    const int policy =
        flags & (kMPOL_F_NODE | kMPOL_F_MEMS_ALLOWED) ? 0 : this_process().memory_policy.load();
    if (mode) TRY(mode.write(policy));
    if (nodes) {
        const u64 words = (max_node + 63) / 64;
        const bool shows_node = (flags & kMPOL_F_MEMS_ALLOWED) != 0 ||
                                (policy & ~kMPOL_MODE_FLAGS) == kMPOL_BIND ||
                                (policy & ~kMPOL_MODE_FLAGS) == kMPOL_INTERLEAVE;
        if (words > kPageSize) return Errno::kEINVAL;
        for (u64 i = 0; i < words; i++) TRY((nodes + i).write(i == 0 && shows_node ? 1 : 0));
    }
    return 0;
}

}  // namespace kiln::syscalls
