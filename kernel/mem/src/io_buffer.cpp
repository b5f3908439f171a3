#include <kiln/mem/io_buffer.hpp>

#include <algorithm>
#include <cstring>

namespace kiln::mem {
namespace {

// Each answers with the number of bytes that could not be moved, as hal's user copies do.
std::size_t fill(std::uintptr_t at, const void* from, std::size_t length, bool is_user) {
    if (!is_user) {
        std::memcpy(reinterpret_cast<void*>(at), from, length);
        return 0;
    }
    return hal::is_user_range(at, length) ? hal::copy_to_user(at, from, length) : length;
}
std::size_t drain(std::uintptr_t at, void* to, std::size_t length, bool is_user) {
    if (!is_user) {
        std::memcpy(to, reinterpret_cast<const void*>(at), length);
        return 0;
    }
    return hal::is_user_range(at, length) ? hal::copy_from_user(to, at, length) : length;
}
std::size_t clear(std::uintptr_t at, std::size_t length, bool is_user) {
    if (!is_user) {
        std::memset(reinterpret_cast<void*>(at), 0, length);
        return 0;
    }
    return hal::is_user_range(at, length) ? hal::zero_user(at, length) : length;
}

}  // namespace

IoBuffer IoBuffer::user_vector(std::span<const IoVec> vec, std::size_t total) {
    IoBuffer buffer(0, 0, true);
    buffer.vector_ = vec;
    buffer.remaining_ = total;
    return buffer;
}

const IoVec& IoBuffer::element(std::size_t index) const {
    return vector_.empty() ? single_ : vector_[index];
}

template <typename Move>
Result<std::size_t> IoBuffer::transfer(std::size_t length, Move move) {
    length = std::min(length, remaining_);
    std::size_t done = 0;
    if (vector_.empty()) [[likely]] {
        // One buffer, as nearly always: no elements to step through.
        if (length == 0) return done;
        done = length - move(single_.base + offset_, 0, length);
        offset_ += done;
        remaining_ -= done;
        if (done == 0) return Errno::kEFAULT;
        return done;
    }
    while (done < length) {
        const IoVec& e = element(index_);
        const std::size_t part = std::min(length - done, e.length - offset_);
        const std::size_t missed = part == 0 ? 0 : move(e.base + offset_, done, part);
        done += part - missed;
        skip(part - missed);
        if (missed != 0) {
            if (done == 0) return Errno::kEFAULT;
            break;
        }
    }
    return done;
}

Result<std::size_t> IoBuffer::copy_out(const void* from, std::size_t length) {
    return transfer(length, [&](std::uintptr_t at, std::size_t done, std::size_t part) {
        return fill(at, static_cast<const std::byte*>(from) + done, part, is_user_);
    });
}

Result<std::size_t> IoBuffer::copy_in(void* to, std::size_t length) {
    return transfer(length, [&](std::uintptr_t at, std::size_t done, std::size_t part) {
        return drain(at, static_cast<std::byte*>(to) + done, part, is_user_);
    });
}

Result<std::size_t> IoBuffer::zero(std::size_t length) {
    return transfer(length, [&](std::uintptr_t at, std::size_t, std::size_t part) {
        return clear(at, part, is_user_);
    });
}

void IoBuffer::skip(std::size_t length) {
    KILN_ASSERT(length <= remaining_);
    remaining_ -= length;
    offset_ += length;
    // At the end of an element stands the start of the next one that has bytes, if there is one.
    while (index_ + 1 < vector_.size() && offset_ >= vector_[index_].length)
        offset_ -= vector_[index_++].length;
}

void IoBuffer::revert(std::size_t length) {
    remaining_ += length;
    while (length > offset_) {
        KILN_ASSERT(index_ > 0);
        length -= offset_;
        offset_ = vector_[--index_].length;
    }
    offset_ -= length;
}

}  // namespace kiln::mem
