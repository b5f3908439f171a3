#include <kiln/boot_protocol/boot_protocol.hpp>

namespace kiln::boot_protocol {

void RangeSet::insert(std::size_t at, std::uint64_t begin, std::uint64_t end) {
    if (count_ == kCapacity) {
        overflowed_ = true;
        if (at == kCapacity) return;
        --count_;
    }
    for (std::size_t i = count_; i > at; --i) ranges_[i] = ranges_[i - 1];
    ranges_[at] = {{begin}, {end}};
    ++count_;
}

void RangeSet::erase(std::size_t at) {
    --count_;
    for (std::size_t i = at; i < count_; ++i) ranges_[i] = ranges_[i + 1];
}

void RangeSet::add(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    std::size_t at = 0;
    while (at < count_ && ranges_[at].end.value < begin) ++at;
    while (at < count_ && ranges_[at].begin.value <= end) {
        if (ranges_[at].begin.value < begin) begin = ranges_[at].begin.value;
        if (ranges_[at].end.value > end) end = ranges_[at].end.value;
        erase(at);
    }
    insert(at, begin, end);
}

void RangeSet::remove(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    for (std::size_t at = 0; at < count_;) {
        const std::uint64_t old_begin = ranges_[at].begin.value;
        const std::uint64_t old_end = ranges_[at].end.value;
        if (old_end <= begin || old_begin >= end) {
            ++at;
            continue;
        }
        erase(at);
        if (end < old_end) insert(at, end, old_end);
        if (old_begin < begin) {
            insert(at, old_begin, begin);
            ++at;
        }
    }
}

bool RangeSet::contains(std::uint64_t begin, std::uint64_t end) const {
    for (const hal::MemoryRange& r : ranges()) {
        if (r.begin.value <= begin && end <= r.end.value) return true;
    }
    return false;
}

}  // namespace kiln::boot_protocol
