// UserPtr<T>: a pointer from an application. The only way to touch application memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>
#include <kiln/hal/user_access.hpp>

namespace kiln::mem {

/// Not dereferenceable; every access checks and can answer EFAULT. T is a plain ABI struct (or
/// void).
template <typename T>
class UserPtr {
public:
    constexpr UserPtr() = default;
    constexpr explicit UserPtr(std::uintptr_t address) : address_(address) {}

    std::uintptr_t address() const { return address_; }
    explicit operator bool() const { return address_ != 0; }
    UserPtr operator+(std::size_t n) const requires(!std::is_void_v<T>) {
        return UserPtr(address_ + n * sizeof(T));
    }
    template <typename U>
    UserPtr<U> cast() const {
        return UserPtr<U>(address_);
    }

    Result<std::remove_const_t<T>> read() const requires(!std::is_void_v<T>) {
        static_assert(std::is_trivially_copyable_v<T>);
        std::remove_const_t<T> value;
        if (!hal::is_user_range(address_, sizeof(T)) ||
            hal::copy_from_user(&value, address_, sizeof(T)) != 0)
            return Errno::kEFAULT;
        return value;
    }
    Result<void> write(const T& value) const requires(!std::is_const_v<T>) {
        static_assert(std::is_trivially_copyable_v<T>);
        if (!hal::is_user_range(address_, sizeof(T)) ||
            hal::copy_to_user(address_, &value, sizeof(T)) != 0)
            return Errno::kEFAULT;
        return {};
    }
    Result<void> read_array(std::span<std::remove_const_t<T>> out) const
        requires(!std::is_void_v<T>) {
        return copy_in(out.data(), out.size_bytes());
    }
    Result<void> write_array(std::span<const T> in) const requires(!std::is_const_v<T>) {
        return copy_out(in.data(), in.size_bytes());
    }
    Result<void> copy_in(void* to, std::size_t length) const {
        if (!hal::is_user_range(address_, length) || hal::copy_from_user(to, address_, length) != 0)
            return Errno::kEFAULT;
        return {};
    }
    Result<void> copy_out(const void* from, std::size_t length) const {
        if (!hal::is_user_range(address_, length) || hal::copy_to_user(address_, from, length) != 0)
            return Errno::kEFAULT;
        return {};
    }

private:
    std::uintptr_t address_ = 0;
};

template <>
class UserPtr<void> : public UserPtr<std::byte> {
public:
    using UserPtr<std::byte>::UserPtr;
};

/// Copies a NUL-terminated string into `buffer`; returns its length without the NUL. EFAULT, or
/// ENAMETOOLONG when there is no NUL within the buffer.
Result<std::size_t> copy_string_from_user(UserPtr<const char> from, std::span<char> buffer);

}  // namespace kiln::mem
