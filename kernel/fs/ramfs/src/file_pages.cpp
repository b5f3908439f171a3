#include "file_pages.hpp"

#include <algorithm>
#include <cstring>

#include <kiln/hal/paging.hpp>
#include <kiln/mem/pages.hpp>

namespace kiln::fs {
namespace {

// Pages that files leave to the rest of the kernel: a full file system must not be the end of it.
constexpr std::uint64_t kReservedPages = 32;

}  // namespace

Result<void> RamUsage::take(std::uint64_t pages) {
    const std::uint64_t before = used_.fetch_add(pages, std::memory_order_relaxed);
    if (before + pages > limit_) {
        give_back(pages);
        return Errno::kENOSPC;
    }
    return {};
}

PhysAddr* FilePages::slots(Node node) { return static_cast<PhysAddr*>(hal::phys_to_virt(node)); }

FilePages::~FilePages() {
    if (root_.value != 0) remove_below(root_, levels_, 0, 0, UINT64_MAX);
}

bool FilePages::covers(std::uint64_t index) const {
    const unsigned bits = levels_ * kFanoutShift;
    return bits >= 64 || (index >> bits) == 0;
}

// Where the page's address is kept; null if no node leads there.
PhysAddr* FilePages::slot(std::uint64_t index) {
    if (!covers(index)) return nullptr;
    PhysAddr* at = &root_;
    for (unsigned level = levels_; level != 0; level--) {
        if (at->value == 0) return nullptr;
        at = &slots(*at)[(index >> ((level - 1) * kFanoutShift)) % kFanout];
    }
    return at;
}

Result<PhysAddr*> FilePages::make_slot(std::uint64_t index) {
    while (!covers(index)) {
        if (root_.value != 0) {
            const PhysAddr node = TRY(mem::allocate_page(mem::kPageZeroed));
            slots(node)[0] = root_;
            root_ = node;
        }
        levels_++;
    }
    PhysAddr* at = &root_;
    for (unsigned level = levels_; level != 0; level--) {
        if (at->value == 0) *at = TRY(mem::allocate_page(mem::kPageZeroed));
        at = &slots(*at)[(index >> ((level - 1) * kFanoutShift)) % kFanout];
    }
    return at;
}

PhysAddr FilePages::find(std::uint64_t index) {
    sched::MutexGuard guard(lock_);
    const PhysAddr* at = slot(index);
    if (!at || at->value == 0) return {0};
    mem::ref_page(*at);
    return *at;
}

Result<PhysAddr> FilePages::find_or_make(std::uint64_t index, Contents contents, bool* made) {
    sched::MutexGuard guard(lock_);
    PhysAddr* at = TRY(make_slot(index));
    if (at->value == 0) {
        if (mem::page_stats().free < kReservedPages) return Errno::kENOSPC;
        TRY(usage_->take(1));
        const auto page =
            mem::allocate_page(contents == Contents::kZeroed ? std::uint32_t{mem::kPageZeroed} : 0);
        if (!page.ok()) {
            usage_->give_back(1);
            return page.error();
        }
        *at = page.value();
        pages_.fetch_add(1, std::memory_order_relaxed);
        if (made) *made = true;
    }
    mem::ref_page(*at);
    return *at;
}

Result<vm::ObjectPage> FilePages::get_page(std::uint64_t index, hal::Access access) {
    if (index >= page_up(size()) / kPageSize) return Errno::kENXIO;
    if (access != hal::Access::kWrite) {
        const PhysAddr page = find(index);
        if (page.value != 0) return vm::ObjectPage{page, true};
    }
    const Result<PhysAddr> page = find_or_make(index, Contents::kZeroed, nullptr);
    if (!page.ok()) return page.error() == Errno::kENOSPC ? Errno::kENOMEM : page.error();
    return vm::ObjectPage{page.value(), true};
}

void FilePages::free_page(PhysAddr page) {
    mem::unref_page(page);
    pages_.fetch_sub(1, std::memory_order_relaxed);
    usage_->give_back(1);
}

// Frees what lies in [begin, end) below `node`, whose first page is `first`. True: the node itself is
// gone, too. Depth: at most six levels.
bool FilePages::remove_below(Node node, unsigned level, std::uint64_t first, std::uint64_t begin,
                             std::uint64_t end) {
    if (level == 0) {
        free_page(node);
        return true;
    }
    const unsigned shift = (level - 1) * kFanoutShift;
    const std::uint64_t each = std::uint64_t{1} << shift;
    PhysAddr* const children = slots(node);
    std::uint64_t left = 0;
    for (std::uint64_t i = 0; i < kFanout; i++) {
        if (children[i].value == 0) continue;
        const std::uint64_t child_first = first + i * each;
        const bool touched = child_first < end && child_first + (each - 1) >= begin;
        if (touched && remove_below(children[i], level - 1, child_first, begin, end)) {
            children[i] = {0};
        } else {
            left++;
        }
    }
    if (left != 0) return false;
    mem::unref_page(node);
    return true;
}

void FilePages::remove(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    sched::MutexGuard guard(lock_);
    if (root_.value == 0) return;
    if (levels_ == 0 && begin > 0) return;
    if (remove_below(root_, levels_, 0, begin, end)) {
        root_ = {0};
        levels_ = 0;
    }
}

void FilePages::zero(std::uint64_t index, std::size_t from, std::size_t to) {
    const PhysAddr page = find(index);
    if (page.value == 0) return;
    std::memset(static_cast<char*>(hal::phys_to_virt(page)) + from, 0, to - from);
    mem::unref_page(page);
}

std::uint64_t FilePages::next(std::uint64_t begin, std::uint64_t end, bool hole) {
    sched::MutexGuard guard(lock_);
    std::uint64_t index = begin;
    while (index < end) {
        if (!covers(index)) return hole ? index : end;
        // Skips a whole missing node at a time.
        PhysAddr at = root_;
        unsigned level = levels_;
        while (level != 0 && at.value != 0) {
            level--;
            at = slots(at)[(index >> (level * kFanoutShift)) % kFanout];
        }
        if (at.value == 0) {
            if (hole) return index;
            const std::uint64_t step = std::uint64_t{1} << (level * kFanoutShift);
            index = (index & ~(step - 1)) + step;
        } else {
            if (!hole) return index;
            index++;
        }
    }
    return end;
}

}  // namespace kiln::fs
