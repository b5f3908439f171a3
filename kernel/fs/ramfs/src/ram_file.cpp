#include <algorithm>
#include <cstring>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>

#include "file_pages.hpp"

namespace kiln::fs {

using namespace abi;

namespace {

// Beyond every file, and a multiple of the page size.
constexpr std::uint64_t kLargestRange = std::uint64_t{1} << 63;

}  // namespace

Result<vfs::Attributes> RamFile::attributes() {
    vfs::Attributes a = TRY(RamInode::attributes());
    a.size = pages_->size();
    a.blocks = pages_->page_count() * (kPageSize / 512);
    return a;
}

Result<void> RamFile::set_attributes(const vfs::Attributes& values, std::uint32_t mask) {
    if ((mask & vfs::kSetSize) != 0) {
        resize(values.size);
        touch_modified();
    }
    return RamInode::set_attributes(values, mask & ~vfs::kSetSize);
}

// The size first, so that no page comes back by a fault after it was freed.
void RamFile::resize(std::uint64_t size) {
    const std::uint64_t old_size = pages_->size();
    pages_->set_size(size);
    if (size >= old_size) return;
    const std::uint64_t keep = page_up(size) / kPageSize;
    pages_->remove(keep, UINT64_MAX);
    pages_->unmap_range(keep * kPageSize, kLargestRange - keep * kPageSize,
                        vm::PrivateCopies::kDrop);
    if (!is_aligned(size, kPageSize)) pages_->zero(size / kPageSize, size % kPageSize, kPageSize);
}

Result<std::size_t> RamFile::read(mem::IoBuffer& to, std::uint64_t offset) {
    std::size_t total = 0;
    for (;;) {
        const std::uint64_t size = pages_->size();
        if (offset >= size || to.remaining() == 0) break;
        const std::size_t in_page = offset % kPageSize;
        const std::size_t wanted = static_cast<std::size_t>(
            std::min<std::uint64_t>({kPageSize - in_page, size - offset, to.remaining()}));
        const PhysAddr page = pages_->find(offset / kPageSize);
        Result<std::size_t> moved = Errno::kEFAULT;
        if (page.value != 0) {
            moved =
                to.copy_out(static_cast<const char*>(hal::phys_to_virt(page)) + in_page, wanted);
            mem::unref_page(page);
        } else {
            moved = to.zero(wanted);
        }
        if (!moved.ok()) {
            if (total == 0) return moved.error();
            break;
        }
        total += moved.value();
        offset += moved.value();
        if (moved.value() < wanted) break;
    }
    note_access();
    return total;
}

// The page is not locked while the application's memory is read, which may fault and want the very
// page that is being written.
Result<std::size_t> RamFile::write(mem::IoBuffer& from, std::uint64_t offset) {
    std::size_t total = 0;
    Errno failure = Errno::kOk;
    const std::uint64_t limit = INT64_MAX;
    while (from.remaining() != 0 && offset < limit) {
        const std::size_t in_page = offset % kPageSize;
        const std::size_t wanted = static_cast<std::size_t>(
            std::min<std::uint64_t>({kPageSize - in_page, limit - offset, from.remaining()}));
        const bool whole = wanted == kPageSize;
        bool made = false;
        const Result<PhysAddr> page = pages_->find_or_make(
            offset / kPageSize,
            whole ? FilePages::Contents::kToBeWritten : FilePages::Contents::kZeroed, &made);
        if (!page.ok()) {
            failure = page.error() == Errno::kENOMEM ? Errno::kENOSPC : page.error();
            break;
        }
        char* const bytes = static_cast<char*>(hal::phys_to_virt(page.value()));
        const Result<std::size_t> moved = from.copy_in(bytes + in_page, wanted);
        const std::size_t n = moved.ok() ? moved.value() : 0;
        if (whole && made && n < kPageSize) std::memset(bytes + n, 0, kPageSize - n);
        mem::unref_page(page.value());
        total += n;
        offset += n;
        if (offset > pages_->size()) pages_->set_size(offset);
        if (n < wanted) {
            failure = Errno::kEFAULT;
            break;
        }
    }
    if (total == 0 && failure != Errno::kOk) return failure;
    touch_modified();
    return total;
}

void RamFile::punch(std::uint64_t offset, std::uint64_t length) {
    const std::uint64_t end = offset + length;
    const std::uint64_t first = page_up(offset) / kPageSize;
    const std::uint64_t last = end / kPageSize;  // the page that `end` lies in
    if (first > last) {                          // inside one page
        pages_->zero(last, offset % kPageSize, end % kPageSize);
        return;
    }
    if (!is_aligned(offset, kPageSize))
        pages_->zero(offset / kPageSize, offset % kPageSize, kPageSize);
    if (first < last) {
        pages_->remove(first, last);
        pages_->unmap_range(first * kPageSize, (last - first) * kPageSize,
                            vm::PrivateCopies::kKeep);
    }
    if (!is_aligned(end, kPageSize)) pages_->zero(last, 0, end % kPageSize);
}

// fallocate(2), as Linux's tmpfs does it.
Result<void> RamFile::allocate(int mode, std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return Errno::kEINVAL;
    if ((mode & ~(kFALLOC_FL_KEEP_SIZE | kFALLOC_FL_PUNCH_HOLE)) != 0) return Errno::kEOPNOTSUPP;
    if ((mode & kFALLOC_FL_PUNCH_HOLE) != 0) {
        if ((mode & kFALLOC_FL_KEEP_SIZE) == 0) return Errno::kEOPNOTSUPP;
        punch(offset, length);
        touch_modified();
        return {};
    }
    const std::uint64_t end = offset + length;
    const std::uint64_t begin_page = offset / kPageSize;
    const std::uint64_t end_page = page_up(end) / kPageSize;
    // Before any page is taken: what can't succeed should not fill the memory first.
    if (end_page - begin_page > mem::page_stats().free + pages_->page_count())
        return Errno::kENOSPC;
    for (std::uint64_t i = begin_page; i < end_page; i++) {
        bool made = false;
        const Result<PhysAddr> page = pages_->find_or_make(i, FilePages::Contents::kZeroed, &made);
        if (!page.ok()) {
            // Pages below the size that were holes stay: they read as before.
            const std::uint64_t keep = page_up(pages_->size()) / kPageSize;
            pages_->remove(std::max(begin_page, keep), i);
            return page.error() == Errno::kENOMEM ? Errno::kENOSPC : page.error();
        }
        mem::unref_page(page.value());
    }
    if ((mode & kFALLOC_FL_KEEP_SIZE) == 0 && end > pages_->size()) {
        pages_->set_size(end);
        touch_modified();
    }
    touch_changed();
    return {};
}

Result<std::uint64_t> RamFile::seek_data_or_hole(std::uint64_t offset, bool hole) {
    const std::uint64_t size = pages_->size();
    if (offset >= size) return Errno::kENXIO;
    const std::uint64_t end_page = page_up(size) / kPageSize;
    const std::uint64_t page = pages_->next(offset / kPageSize, end_page, hole);
    if (page >= end_page) {
        if (hole) return size;
        return Errno::kENXIO;
    }
    return std::min(std::max(offset, page * kPageSize), size);
}

}  // namespace kiln::fs
