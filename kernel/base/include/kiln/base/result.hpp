// Result<T>: a value or an Errno. The kernel's only way to report failure.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include <kiln/abi/linux/errno.hpp>
#include <kiln/base/panic.hpp>

namespace kiln {

/// Either a T or an Errno. Must be looked at. `Result<void>` carries success or an Errno.
template <typename T>
class [[nodiscard]] Result {
    static constexpr bool kIsTrivial =
        std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>;

public:
    using ValueType = T;

    // Implicit on purpose: `return value;` and `return Errno::kENOMEM;` read as they should.
    Result(T value) : error_(Errno::kOk) {
        ::new (static_cast<void*>(&value_)) T(std::move(value));
    }
    Result(Errno error) : error_(error) { KILN_ASSERT(error != Errno::kOk); }
    // Trivial where T is, so that a Result of a number or an address travels in registers.
    Result(Result&& other) requires(kIsTrivial) = default;
    Result(Result&& other) noexcept requires(!kIsTrivial) : error_(other.error_) {
        if (ok()) ::new (static_cast<void*>(&value_)) T(std::move(other.value_));
    }
    Result(const Result&) = delete;
    Result& operator=(const Result&) = delete;
    Result& operator=(Result&& other) requires(kIsTrivial) = default;
    Result& operator=(Result&& other) noexcept requires(!kIsTrivial) {
        if (this != &other) {
            if (ok()) value_.~T();
            error_ = other.error_;
            if (ok()) ::new (static_cast<void*>(&value_)) T(std::move(other.value_));
        }
        return *this;
    }
    ~Result() requires(kIsTrivial) = default;
    ~Result() requires(!kIsTrivial) {
        if (ok()) value_.~T();
    }

    bool ok() const { return error_ == Errno::kOk; }
    explicit operator bool() const { return ok(); }
    Errno error() const { return error_; }
    T& value() & {
        KILN_ASSERT(ok());
        return value_;
    }
    const T& value() const& {
        KILN_ASSERT(ok());
        return value_;
    }
    T&& value() && {
        KILN_ASSERT(ok());
        return std::move(value_);
    }
    T& operator*() { return value(); }
    const T& operator*() const { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T value_or(T other) && { return ok() ? std::move(value_) : std::move(other); }

private:
    Errno error_;
    union {
        T value_;
    };
};

template <>
class [[nodiscard]] Result<void> {
public:
    using ValueType = void;

    Result() = default;
    Result(Errno error) : error_(error) {}

    bool ok() const { return error_ == Errno::kOk; }
    explicit operator bool() const { return ok(); }
    Errno error() const { return error_; }
    void value() const { KILN_ASSERT(ok()); }

private:
    Errno error_ = Errno::kOk;
};

}  // namespace kiln

/// Evaluates a Result; on failure returns its Errno from the enclosing function, else yields the
/// value. May be nested: each use has a temporary of its own name.
#define TRY(expr) KILN_TRY_NAMED(expr, __COUNTER__)
#define KILN_TRY_NAMED(expr, id) KILN_TRY_NUMBERED(expr, id)
#define KILN_TRY_NUMBERED(expr, id) KILN_TRY_RESULT(expr, kiln_try_result_##id)
#define KILN_TRY_RESULT(expr, result)  \
    ({                                 \
        auto result = (expr);          \
        if (!result.ok()) [[unlikely]] \
            return result.error();     \
        std::move(result).value();     \
    })
