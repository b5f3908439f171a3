// IoBuffer: where the bytes of a read or write come from or go to: one buffer or a vector of them,
// in the application or in the kernel, consumed from the front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <kiln/base/result.hpp>
#include <kiln/mem/user_ptr.hpp>

namespace kiln::mem {

/// Same layout as Linux's struct iovec.
struct IoVec {
    std::uintptr_t base;
    std::size_t length;
};

class IoBuffer {
public:
    /// A single buffer of the application. The range is checked with each copy.
    static IoBuffer user(std::uintptr_t base, std::size_t length) {
        return IoBuffer(base, length, true);
    }
    static IoBuffer kernel(void* base, std::size_t length) {
        return IoBuffer(reinterpret_cast<std::uintptr_t>(base), length, false);
    }
    static IoBuffer kernel(std::span<const std::byte> bytes) {
        return IoBuffer(reinterpret_cast<std::uintptr_t>(bytes.data()), bytes.size(), false);
    }
    /// `vec` stays valid while the IoBuffer lives; `total` is the sum of the lengths.
    static IoBuffer user_vector(std::span<const IoVec> vec, std::size_t total);

    std::size_t remaining() const { return remaining_; }

    /// Copies up to `length` bytes between the buffer's front and kernel memory and moves the
    /// front. Returns the bytes moved; less than min(length, remaining()) only if a page faulted;
    /// EFAULT when not even one byte could be moved (and length > 0).
    Result<std::size_t> copy_out(const void* from, std::size_t length);  ///< kernel → buffer (read)
    Result<std::size_t> copy_in(void* to, std::size_t length);  ///< buffer → kernel (write)
    Result<std::size_t> zero(std::size_t length);  ///< zeroes the front (read of a hole)
    /// Moves the front without copying.
    void skip(std::size_t length);
    /// Puts back `length` bytes that were taken last.
    void revert(std::size_t length);

private:
    IoBuffer(std::uintptr_t base, std::size_t length, bool is_user)
        : single_{base, length}, remaining_(length), is_user_(is_user) {}
    const IoVec& element(std::size_t index) const;
    /// `move(address, bytes done before, length)` returns the bytes not moved.
    template <typename Move>
    Result<std::size_t> transfer(std::size_t length, Move move);

    IoVec single_;
    std::span<const IoVec> vector_;  ///< empty: single_
    std::size_t index_ = 0;          ///< of the current element
    std::size_t offset_ = 0;         ///< inside the current element
    std::size_t remaining_;
    bool is_user_;
};

}  // namespace kiln::mem
