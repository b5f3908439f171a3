// Vector<T>: a growing array whose growth can fail.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include <kiln/base/panic.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/heap.hpp>

namespace kiln::mem {

/// Owns its elements. Movable; a copy is made by clone(), because it can fail. Not synchronised. Every call that grows
/// answers ENOMEM and leaves the vector as it was when there is no memory.
template <typename T>
class Vector {
    static_assert(alignof(T) <= 16, "the heap aligns to 16");

public:
    constexpr Vector() = default;
    Vector(const Vector&) = delete;
    Vector& operator=(const Vector&) = delete;
    Vector(Vector&& o) noexcept
        : data_(std::exchange(o.data_, nullptr)),
          size_(std::exchange(o.size_, 0)),
          capacity_(std::exchange(o.capacity_, 0)) {}
    Vector& operator=(Vector&& o) noexcept {
        std::swap(data_, o.data_);
        std::swap(size_, o.size_);
        std::swap(capacity_, o.capacity_);
        return *this;
    }
    ~Vector() {
        clear();
        release(data_);
    }

    std::size_t size() const { return size_; }
    std::size_t capacity() const { return capacity_; }
    bool is_empty() const { return size_ == 0; }
    T* data() { return data_; }
    const T* data() const { return data_; }
    T* begin() { return data_; }
    T* end() { return data_ + size_; }
    const T* begin() const { return data_; }
    const T* end() const { return data_ + size_; }
    std::span<T> span() { return {data_, size_}; }
    std::span<const T> span() const { return {data_, size_}; }
    T& operator[](std::size_t i) {
        KILN_ASSERT(i < size_);
        return data_[i];
    }
    const T& operator[](std::size_t i) const {
        KILN_ASSERT(i < size_);
        return data_[i];
    }
    T& front() { return (*this)[0]; }
    T& back() { return (*this)[size_ - 1]; }

    /// Room for `capacity` elements in all.
    Result<void> reserve(std::size_t capacity) {
        if (capacity <= capacity_) return {};
        std::size_t bytes;
        if (!checked_mul(capacity, sizeof(T), &bytes)) return Errno::kENOMEM;
        if constexpr (std::is_trivially_copyable_v<T>) {
            void* grown = reallocate(data_, bytes);
            if (!grown) return Errno::kENOMEM;
            data_ = static_cast<T*>(grown);
        } else {
            T* grown = static_cast<T*>(allocate(bytes));
            if (!grown) return Errno::kENOMEM;
            for (std::size_t i = 0; i < size_; i++) {
                ::new (static_cast<void*>(grown + i)) T(std::move(data_[i]));
                data_[i].~T();
            }
            release(data_);
            data_ = grown;
        }
        capacity_ = capacity;
        return {};
    }
    Result<void> push_back(T value) {
        TRY(make_room());
        ::new (static_cast<void*>(data_ + size_)) T(std::move(value));
        size_++;
        return {};
    }
    template <typename... Args>
    Result<T*> emplace_back(Args&&... args) {
        TRY(make_room());
        T* e = ::new (static_cast<void*>(data_ + size_)) T(std::forward<Args>(args)...);
        size_++;
        return e;
    }
    Result<void> append(std::span<const T> values) requires std::is_trivially_copyable_v<T> {
        std::size_t total;
        if (!checked_add(size_, values.size(), &total)) return Errno::kENOMEM;
        if (total > capacity_) TRY(reserve(total > 2 * capacity_ ? total : 2 * capacity_));
        if (!values.empty()) std::memcpy(data_ + size_, values.data(), values.size_bytes());
        size_ = total;
        return {};
    }
    /// Puts `value` before the element `at` (at <= size()).
    Result<void> insert(std::size_t at, T value) {
        KILN_ASSERT(at <= size_);
        TRY(push_back(std::move(value)));
        for (std::size_t i = size_ - 1; i > at; i--) std::swap(data_[i], data_[i - 1]);
        return {};
    }
    /// New elements are value-initialised.
    Result<void> resize(std::size_t size) {
        if (size > size_) TRY(reserve(size));
        while (size_ > size) pop_back();
        for (; size_ < size; size_++) ::new (static_cast<void*>(data_ + size_)) T();
        return {};
    }
    void pop_back() {
        KILN_ASSERT(size_ > 0);
        data_[--size_].~T();
    }
    /// Removes element `at`, keeping the order.
    void erase(std::size_t at) {
        KILN_ASSERT(at < size_);
        for (std::size_t i = at; i + 1 < size_; i++) data_[i] = std::move(data_[i + 1]);
        pop_back();
    }
    /// Removes element `at` by putting the last one into its place.
    void erase_unordered(std::size_t at) {
        KILN_ASSERT(at < size_);
        if (at + 1 < size_) data_[at] = std::move(data_[size_ - 1]);
        pop_back();
    }
    void clear() {
        while (size_ > 0) pop_back();
    }
    Result<Vector> clone() const {
        Vector copy;
        TRY(copy.reserve(size_));
        for (const T& e : *this) {
            ::new (static_cast<void*>(copy.data_ + copy.size_)) T(e);
            copy.size_++;
        }
        return copy;
    }

private:
    static constexpr std::size_t kFirstCapacity = sizeof(T) >= 64 ? 1 : 64 / sizeof(T);

    Result<void> make_room() {
        if (size_ < capacity_) [[likely]]
            return {};
        return reserve(capacity_ ? 2 * capacity_ : kFirstCapacity);
    }

    T* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace kiln::mem
