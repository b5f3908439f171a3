#include <kiln/vm/vma.hpp>

#include <kiln/hal/paging.hpp>

namespace kiln::vm {

RemovedVmas::~RemovedVmas() {
    while (Vma* vma = first_) {
        first_ = vma->next_removed;
        delete vma;
    }
}

VmaSet::~VmaSet() {
    RemovedVmas removed;
    while (Vma* vma = tree_.root()) remove(*vma, removed);
}

// ---- look-up --------------------------------------------------------------------------------------------------

Vma* VmaSet::first_ending_above(std::uintptr_t address) const {
    Vma* vma = tree_.last_not_above(address);
    if (!vma) return tree_.first();
    return address < vma->end ? vma : Tree::next(*vma);
}

bool VmaSet::is_free(std::uintptr_t begin, std::uintptr_t end) const {
    const Vma* vma = first_ending_above(begin);
    return !vma || vma->begin >= end;
}

bool VmaSet::is_available(std::uintptr_t begin, std::uintptr_t end) const {
    const Vma* vma = first_ending_above(begin);
    if (!vma) return true;
    return vma->begin >= end && (!vma->is_stack || vma->begin - end >= kStackGuardGap);
}

std::uint64_t VmaSet::gap_below(Vma& vma) {
    const Vma* below = Tree::prev(vma);
    const std::uintptr_t low = below ? below->end : hal::kUserBegin;
    std::uint64_t gap = vma.begin > low ? vma.begin - low : 0;
    if (vma.is_stack) gap = gap > kStackGuardGap ? gap - kStackGuardGap : 0;
    return gap;
}

// The rightmost of the subtree with a gap of `length`; there is one.
Vma* VmaSet::highest_with_gap(Vma* at, std::uint64_t length) {
    for (;;) {
        Vma* right = Tree::right(*at);
        if (right && right->largest_gap >= length) {
            at = right;
        } else if (at->gap >= length) {
            return at;
        } else {
            at = Tree::left(*at);
        }
    }
}

std::uintptr_t VmaSet::find_gap(std::uint64_t length, std::uintptr_t low,
                                std::uintptr_t high) const {
    if (high < low || high - low < length) return 0;
    // The space right below `high` first: it may be cut off by `high` itself.
    Vma* at = tree_.last_not_above(high - 1);
    if (!at || at->end < high) {
        const std::uintptr_t floor = at && at->end > low ? at->end : low;
        Vma* above = at ? Tree::next(*at) : tree_.first();
        std::uintptr_t top = high;
        if (above && above->is_stack)
            top = above->begin - floor > kStackGuardGap
                      ? std::min(top, above->begin - kStackGuardGap)
                      : floor;
        if (top > floor && top - floor >= length) return top - length;
    }
    // Then the spaces below `at`, going down.
    while (at) {
        Vma* found = nullptr;
        Vma* left = Tree::left(*at);
        if (at->gap >= length) {
            found = at;
        } else if (left && left->largest_gap >= length) {
            found = highest_with_gap(left, length);
        }
        if (found) {
            const std::uintptr_t top =
                found->is_stack ? found->begin - kStackGuardGap : found->begin;
            // Spaces further down are lower still.
            return top >= low && top - low >= length ? top - length : 0;
        }
        Vma* child;
        do {
            child = at;
            at = Tree::parent(*at);
        } while (at && Tree::left(*at) == child);
    }
    return 0;
}

// ---- change ---------------------------------------------------------------------------------------------------

void VmaSet::link_object(Vma& vma) {
    if (!vma.object) return;
    {
        sync::SpinGuard guard(vma.object->mappings_lock_);
        vma.object->mappings_.push_back(vma);
    }
    if (vma.is_writable_share()) vma.object->writable_mapping_added();
}

void VmaSet::unlink_object(Vma& vma) {
    if (!vma.object) return;
    {
        sync::SpinGuard guard(vma.object->mappings_lock_);
        vma.object->mappings_.remove(vma);
    }
    if (vma.is_writable_share()) vma.object->writable_mapping_removed();
}

void VmaSet::update_gap(Vma* vma) {
    if (!vma) return;
    const std::uint64_t gap = gap_below(*vma);
    if (gap == vma->gap) return;
    vma->gap = gap;
    tree_.update(*vma);
}

void VmaSet::insert(Vma& vma) {
    tree_.insert(vma);
    count_++;
    mapped_bytes_ += vma.length();
    vma.gap = ~std::uint64_t{0};  // differs from any real one
    update_gap(&vma);
    update_gap(Tree::next(vma));
    link_object(vma);
}

void VmaSet::remove(Vma& vma, RemovedVmas& removed) {
    unlink_object(vma);
    Vma* above = Tree::next(vma);
    tree_.remove(vma);
    count_--;
    mapped_bytes_ -= vma.length();
    update_gap(above);
    removed.add(&vma);
}

void VmaSet::set_begin(Vma& vma, std::uintptr_t begin) {
    const auto change = [&] {
        mapped_bytes_ += vma.begin - begin;
        vma.offset += begin - vma.begin;
        vma.begin = begin;
    };
    if (vma.object) {
        sync::SpinGuard guard(vma.object->mappings_lock_);
        change();
    } else {
        change();
        vma.offset = 0;
    }
    update_gap(&vma);
}

void VmaSet::set_end(Vma& vma, std::uintptr_t end) {
    const auto change = [&] {
        mapped_bytes_ += end - vma.end;
        vma.end = end;
    };
    if (vma.object) {
        sync::SpinGuard guard(vma.object->mappings_lock_);
        change();
    } else {
        change();
    }
    update_gap(Tree::next(vma));
}

void VmaSet::split(Vma& vma, std::uintptr_t at, Vma& upper) {
    KILN_ASSERT(at > vma.begin && at < vma.end);
    upper.begin = at;
    upper.end = vma.end;
    upper.prot = vma.prot;
    upper.max_prot = vma.max_prot;
    upper.sharing = vma.sharing;
    upper.is_dont_fork = vma.is_dont_fork;
    upper.is_wipe_on_fork = vma.is_wipe_on_fork;
    upper.is_contiguous = vma.is_contiguous;
    upper.object_base = vma.object_base;
    upper.object = vma.object;
    upper.offset = vma.object ? vma.offset_of(at) : 0;
    upper.label = vma.label;
    upper.space = vma.space;
    // Only the lowest part goes on growing.
    upper.is_stack = false;
    set_end(vma, at);
    insert(upper);
}

bool VmaSet::can_merge(const Vma& lower, const Vma& upper) {
    return lower.end == upper.begin && lower.prot == upper.prot &&
           lower.max_prot == upper.max_prot && lower.sharing == upper.sharing && !upper.is_stack &&
           lower.is_dont_fork == upper.is_dont_fork &&
           lower.is_wipe_on_fork == upper.is_wipe_on_fork && lower.label == upper.label &&
           lower.object == upper.object &&
           (!lower.object || lower.offset_of(lower.end) == upper.offset);
}

Vma& VmaSet::merge(Vma& vma, RemovedVmas& removed) {
    Vma* result = &vma;
    if (Vma* above = Tree::next(vma); above && can_merge(vma, *above)) {
        const std::uintptr_t end = above->end;
        remove(*above, removed);
        set_end(vma, end);
    }
    if (Vma* below = Tree::prev(vma); below && can_merge(*below, vma)) {
        const std::uintptr_t end = vma.end;
        remove(vma, removed);
        set_end(*below, end);
        result = below;
    }
    return *result;
}

}  // namespace kiln::vm
