// Result<T>: a value or an Errno. The kernel's only way to report failure.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include <kiln/abi/linux/errno.hpp>
#include <kiln/base/panic.hpp>

namespace kiln {

/// Where a Result keeps its Errno and its value: trivial where T is, so that a Result of a number or
/// an address travels in registers. (A base class, because clang 14 knows no destructor with `requires`.)
template <typename T, bool kTrivial>
class ResultStorage {
protected:
    explicit ResultStorage(T&& value) : value_(std::move(value)) {}
    explicit ResultStorage(Errno error) : error_(error) {}

    Errno error_ = Errno::kOk;
    union {
        T value_;
    };
};

template <typename T>
class ResultStorage<T, false> {
protected:
    explicit ResultStorage(T&& value) : value_(std::move(value)) {}
    explicit ResultStorage(Errno error) : error_(error) {}
    ResultStorage(ResultStorage&& other) noexcept : error_(other.error_) {
        if (error_ == Errno::kOk) ::new (static_cast<void*>(&value_)) T(std::move(other.value_));
    }
    ResultStorage(const ResultStorage&) = delete;
    ResultStorage& operator=(const ResultStorage&) = delete;
    ResultStorage& operator=(ResultStorage&& other) noexcept {
        if (this != &other) {
            if (error_ == Errno::kOk) value_.~T();
            error_ = other.error_;
            if (error_ == Errno::kOk)
                ::new (static_cast<void*>(&value_)) T(std::move(other.value_));
        }
        return *this;
    }
    ~ResultStorage() {
        if (error_ == Errno::kOk) value_.~T();
    }

    Errno error_ = Errno::kOk;
    union {
        T value_;
    };
};

/// Either a T or an Errno. Must be looked at. `Result<void>` carries success or an Errno.
template <typename T>
class [[nodiscard]] Result : private ResultStorage<T, std::is_trivially_copyable_v<T> &&
                                                          std::is_trivially_destructible_v<T>> {
    using Storage =
        ResultStorage<T, std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>>;

public:
    using ValueType = T;

    // Implicit on purpose: `return value;` and `return Errno::kENOMEM;` read as they should.
    Result(T value) : Storage(std::move(value)) {}
    Result(Errno error) : Storage(error) { KILN_ASSERT(error != Errno::kOk); }
    Result(Result&& other) = default;
    Result& operator=(Result&& other) = default;
    Result(const Result&) = delete;
    Result& operator=(const Result&) = delete;
    ~Result() = default;

    bool ok() const { return this->error_ == Errno::kOk; }
    explicit operator bool() const { return ok(); }
    Errno error() const { return this->error_; }
    T& value() & {
        KILN_ASSERT(ok());
        return this->value_;
    }
    const T& value() const& {
        KILN_ASSERT(ok());
        return this->value_;
    }
    T&& value() && {
        KILN_ASSERT(ok());
        return std::move(this->value_);
    }
    T& operator*() { return value(); }
    const T& operator*() const { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T value_or(T other) && { return ok() ? std::move(this->value_) : std::move(other); }
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
