#include <kiln/vm/anonymous_object.hpp>

#include <algorithm>
#include <cstring>

#include <kiln/hal/paging.hpp>
#include <kiln/mem/pages.hpp>

#include "zero_page.hpp"

namespace kiln::vm {
namespace {

constexpr std::uint64_t kOffsetMask = kPageSize - 1;

std::byte* bytes_of(PhysAddr page) { return static_cast<std::byte*>(hal::phys_to_virt(page)); }

}  // namespace

Result<Ref<AnonymousObject>> AnonymousObject::create(std::uint64_t size) {
    if (size > kMaxSize) return Errno::kEFBIG;
    return mem::make_ref<AnonymousObject>(size);
}

AnonymousObject::~AnonymousObject() { drop_pages(0, UINT64_MAX, &root_, height_, 0); }

// ---- the tree -------------------------------------------------------------------------------------------------

bool AnonymousObject::covers(std::uint64_t index) const {
    return index >> (kNodeBits * height_) == 0;
}

PhysAddr AnonymousObject::lookup(std::uint64_t index) const {
    if (!covers(index)) return {};
    std::uint64_t entry = root_;
    for (unsigned level = height_; level > 0 && entry != 0; level--)
        entry =
            reinterpret_cast<const Node*>(entry)->slots[index >> (kNodeBits * (level - 1)) & 63];
    return {entry};
}

Result<std::uint64_t*> AnonymousObject::make_slot(std::uint64_t index) {
    const auto new_node = []() -> Result<Node*> {
        if (mem::allocation_failure_due()) return Errno::kENOMEM;
        Node* node = new (std::nothrow) Node{};
        if (!node) return Errno::kENOMEM;
        return node;
    };
    while (!covers(index)) {
        if (root_ != 0) {
            Node* node = TRY(new_node());
            node->slots[0] = root_;
            root_ = reinterpret_cast<std::uintptr_t>(node);
        }
        height_++;
    }
    std::uint64_t* entry = &root_;
    for (unsigned level = height_; level > 0; level--) {
        if (*entry == 0) *entry = reinterpret_cast<std::uintptr_t>(TRY(new_node()));
        entry = &reinterpret_cast<Node*>(*entry)->slots[index >> (kNodeBits * (level - 1)) & 63];
    }
    return entry;
}

// Removes the pages first … last from the subtree at `*entry`, whose first page is `base`.
void AnonymousObject::drop_pages(std::uint64_t first, std::uint64_t last, std::uint64_t* entry,
                                 unsigned height, std::uint64_t base) {
    if (*entry == 0) return;
    if (height == 0) {
        if (base < first || base > last) return;
        mem::unref_page({*entry});
        page_count_.fetch_sub(1, std::memory_order_relaxed);
        *entry = 0;
        return;
    }
    auto* node = reinterpret_cast<Node*>(*entry);
    const std::uint64_t step = std::uint64_t{1} << (kNodeBits * (height - 1));
    bool is_empty = true;
    for (std::uint64_t i = 0; i < 64; i++) {
        const std::uint64_t begin = base + i * step;
        if (begin <= last && begin + (step - 1) >= first)
            drop_pages(first, last, &node->slots[i], height - 1, begin);
        is_empty = is_empty && node->slots[i] == 0;
    }
    if (is_empty) {
        delete node;
        *entry = 0;
    }
}

// The first page >= `from` that exists in the subtree.
bool AnonymousObject::find(std::uint64_t entry, unsigned height, std::uint64_t base,
                           std::uint64_t from, std::uint64_t* found) const {
    if (entry == 0) return false;
    if (height == 0) {
        *found = base;
        return base >= from;
    }
    const std::uint64_t step = std::uint64_t{1} << (kNodeBits * (height - 1));
    for (std::uint64_t i = 0; i < 64; i++) {
        const std::uint64_t begin = base + i * step;
        if (begin + (step - 1) < from) continue;
        if (find(reinterpret_cast<const Node*>(entry)->slots[i], height - 1, begin, from, found))
            return true;
    }
    return false;
}

// ---- pages ----------------------------------------------------------------------------------------------------

// The page at `index`, made if it does not exist, with a reference for the caller.
Result<PhysAddr> AnonymousObject::make_page(std::uint64_t index) {
    {
        sync::SpinGuard guard(lock_);
        const PhysAddr page = lookup(index);
        if (page.value != 0) {
            mem::ref_page(page);
            return page;
        }
    }
    // Allocated and zeroed without the lock; another thread may be faster.
    const PhysAddr fresh = TRY(mem::allocate_page(mem::kPageZeroed));
    Result<PhysAddr> result = fresh;
    bool is_new = false;
    {
        sync::SpinGuard guard(lock_);
        Result<std::uint64_t*> slot = make_slot(index);
        if (!slot.ok()) {
            result = slot.error();
        } else if (*slot.value() != 0) {
            mem::ref_page({*slot.value()});
            result = PhysAddr{*slot.value()};
        } else {
            *slot.value() = fresh.value;
            mem::ref_page(fresh);
            page_count_.fetch_add(1, std::memory_order_relaxed);
            is_new = true;
        }
    }
    if (is_new) {
        // Mappings that only read the hole show the zero page there.
        unmap_range(index << kPageShift, kPageSize, PrivateCopies::kKeep);
    } else {
        mem::unref_page(fresh);
    }
    return result;
}

Result<ObjectPage> AnonymousObject::get_page(std::uint64_t index, hal::Access access) {
    const auto is_beyond_end = [this, index] { return index >= page_up(size()) >> kPageShift; };
    if (is_beyond_end()) return Errno::kENXIO;
    if (access != hal::Access::kWrite) {
        sync::SpinGuard guard(lock_);
        const PhysAddr page = lookup(index);
        if (page.value == 0) return ObjectPage{.page = zero_page(), .writable = false};
        mem::ref_page(page);
        return ObjectPage{.page = page, .writable = true};
    }
    const PhysAddr page = TRY(make_page(index));
    {
        sync::SpinGuard guard(lock_);
        if (!is_beyond_end()) return ObjectPage{.page = page, .writable = true};
        // Cut short meanwhile: the page made just now would show its contents after an extension.
        drop_pages(index, index, &root_, height_, 0);
    }
    mem::unref_page(page);
    return Errno::kENXIO;
}

// Zeroes bytes within one page, if it exists. Under lock_.
void AnonymousObject::zero_part(std::uint64_t offset, std::uint64_t length) {
    const PhysAddr page = lookup(offset >> kPageShift);
    if (page.value != 0 && length != 0)
        std::memset(bytes_of(page) + (offset & kOffsetMask), 0, length);
}

Result<void> AnonymousObject::set_size(std::uint64_t new_size) {
    if (new_size > kMaxSize) return Errno::kEFBIG;
    {
        sync::SpinGuard guard(lock_);
        const std::uint64_t old_size = size_.exchange(new_size, std::memory_order_acq_rel);
        // A mapping may have written to the last page beyond the old end: that never becomes part of the contents.
        const std::uint64_t end = std::min(old_size, new_size);
        zero_part(end, page_up(end) - end);
        if (new_size >= old_size) return {};
        // Mappings keep references of their own until they are told below.
        drop_pages(page_up(new_size) >> kPageShift, UINT64_MAX, &root_, height_, 0);
    }
    unmap_range(page_up(new_size), UINT64_MAX - kOffsetMask - page_up(new_size),
                PrivateCopies::kDrop);
    return {};
}

Result<void> AnonymousObject::punch_hole(std::uint64_t offset, std::uint64_t length) {
    std::uint64_t end;
    if (!checked_add(offset, length, &end) || end > kMaxSize) return Errno::kEFBIG;
    const std::uint64_t whole_begin = page_up(offset);
    const std::uint64_t whole_end = page_down(end);
    {
        sync::SpinGuard guard(lock_);
        if (whole_begin > whole_end) {
            zero_part(offset, length);
            return {};
        }
        zero_part(offset, whole_begin - offset);
        zero_part(whole_end, end - whole_end);
        if (whole_begin == whole_end) return {};
        drop_pages(whole_begin >> kPageShift, (whole_end >> kPageShift) - 1, &root_, height_, 0);
    }
    unmap_range(whole_begin, whole_end - whole_begin, PrivateCopies::kKeep);
    return {};
}

Result<void> AnonymousObject::reserve(std::uint64_t offset, std::uint64_t length) {
    std::uint64_t end;
    if (!checked_add(offset, length, &end) || end > kMaxSize) return Errno::kEFBIG;
    for (std::uint64_t index = offset >> kPageShift; index < page_up(end) >> kPageShift; index++)
        mem::unref_page(TRY(make_page(index)));
    return {};
}

// ---- reading and writing --------------------------------------------------------------------------------------

// Copies to and from an application may fault, so they hold a reference on the page, no lock.
Result<std::size_t> AnonymousObject::read(mem::IoBuffer& to, std::uint64_t offset) {
    std::size_t done = 0;
    while (to.remaining() > 0) {
        const std::uint64_t end = size();
        if (offset >= end) break;
        const std::size_t part =
            std::min({kPageSize - (offset & kOffsetMask), to.remaining(), end - offset});
        PhysAddr page;
        {
            sync::SpinGuard guard(lock_);
            page = lookup(offset >> kPageShift);
            if (page.value != 0) mem::ref_page(page);
        }
        Result<std::size_t> moved = page.value != 0
                                        ? to.copy_out(bytes_of(page) + (offset & kOffsetMask), part)
                                        : to.zero(part);
        if (page.value != 0) mem::unref_page(page);
        if (!moved.ok()) {
            if (done > 0) break;
            return moved.error();
        }
        done += moved.value();
        offset += moved.value();
        if (moved.value() < part) break;
    }
    return done;
}

Result<std::size_t> AnonymousObject::write(mem::IoBuffer& from, std::uint64_t offset) {
    if (from.remaining() == 0) return std::size_t{0};
    if (offset >= kMaxSize) return Errno::kEFBIG;
    {
        // As in set_size(): what a mapping left behind the old end does not come to light.
        sync::SpinGuard guard(lock_);
        const std::uint64_t end = size_.load(std::memory_order_relaxed);
        if (offset > end) zero_part(end, page_up(end) - end);
    }
    std::size_t done = 0;
    while (from.remaining() > 0 && offset < kMaxSize) {
        const std::size_t part = std::min(kPageSize - (offset & kOffsetMask), from.remaining());
        Result<PhysAddr> page = make_page(offset >> kPageShift);
        if (!page.ok()) {
            if (done > 0) break;
            return page.error();
        }
        Result<std::size_t> moved =
            from.copy_in(bytes_of(page.value()) + (offset & kOffsetMask), part);
        mem::unref_page(page.value());
        if (!moved.ok()) {
            if (done > 0) break;
            return moved.error();
        }
        done += moved.value();
        offset += moved.value();
        {
            sync::SpinGuard guard(lock_);
            if (offset > size_.load(std::memory_order_relaxed))
                size_.store(offset, std::memory_order_release);
        }
        if (moved.value() < part) break;
    }
    return done;
}

Result<std::uint64_t> AnonymousObject::seek_data(std::uint64_t offset) const {
    sync::SpinGuard guard(lock_);
    const std::uint64_t end = size_.load(std::memory_order_relaxed);
    std::uint64_t index;
    if (offset >= end || !find(root_, height_, 0, offset >> kPageShift, &index))
        return Errno::kENXIO;
    const std::uint64_t at = std::max(offset, index << kPageShift);
    if (at >= end) return Errno::kENXIO;
    return at;
}

Result<std::uint64_t> AnonymousObject::seek_hole(std::uint64_t offset) const {
    sync::SpinGuard guard(lock_);
    const std::uint64_t end = size_.load(std::memory_order_relaxed);
    if (offset >= end) return Errno::kENXIO;
    while (offset < end && lookup(offset >> kPageShift).value != 0)
        offset = page_down(offset) + kPageSize;
    return std::min(offset, end);
}

}  // namespace kiln::vm
