// Reference counting: RefCounted<T> as a base class, Ref<T> as the pointer.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <kiln/base/panic.hpp>
#include <kiln/base/types.hpp>

namespace kiln {

/// Base of objects shared by reference count. A new object starts with one reference, which
/// `adopt_ref` takes over. When the last goes, T::last_reference_dropped() runs if T has it, else
/// the object is deleted.
template <typename T>
class RefCounted {
public:
    KILN_NON_COPYABLE(RefCounted);
    void ref() const { count_.fetch_add(1, std::memory_order_relaxed); }
    /// Takes a reference unless the last one is already gone (for look-ups in caches).
    [[nodiscard]] bool try_ref() const {
        std::uint32_t n = count_.load(std::memory_order_relaxed);
        while (n != 0) {
            if (count_.compare_exchange_weak(n, n + 1, std::memory_order_acquire)) return true;
        }
        return false;
    }
    void unref() const {
        if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            auto* self = const_cast<T*>(static_cast<const T*>(this));
            if constexpr (requires { self->last_reference_dropped(); }) {
                self->last_reference_dropped();
            } else {
                delete self;
            }
        }
    }
    /// Drops a reference and says whether it was the last: the caller then destroys the object. For
    /// chains of objects that would otherwise destroy each other recursively.
    [[nodiscard]] bool drop_ref() const {
        return count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }
    std::uint32_t ref_count() const { return count_.load(std::memory_order_relaxed); }

protected:
    RefCounted() = default;
    ~RefCounted() = default;

private:
    mutable std::atomic<std::uint32_t> count_{1};
};

/// An owning pointer to a RefCounted object; may be null.
template <typename T>
class Ref {
public:
    constexpr Ref() = default;
    constexpr Ref(std::nullptr_t) {}
    /// Adds a reference.
    explicit Ref(T* p) : p_(p) {
        if (p_) p_->ref();
    }
    Ref(const Ref& o) : Ref(o.p_) {}
    Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
    template <typename U>
    requires std::is_convertible_v<U*, T*> Ref(const Ref<U>& o) : Ref(static_cast<T*>(o.get())) {}
    template <typename U>
    requires std::is_convertible_v<U*, T*> Ref(Ref<U>&& o)
    noexcept : p_(o.release()) {}
    Ref& operator=(Ref o) noexcept {
        std::swap(p_, o.p_);
        return *this;
    }
    ~Ref() {
        if (p_) p_->unref();
    }

    T* get() const { return p_; }
    T& operator*() const { return *p_; }
    T* operator->() const { return p_; }
    explicit operator bool() const { return p_ != nullptr; }
    friend bool operator==(const Ref& a, const Ref& b) { return a.p_ == b.p_; }
    /// Gives the reference away without dropping it.
    [[nodiscard]] T* release() { return std::exchange(p_, nullptr); }
    /// Takes over a reference that somebody holds already.
    static Ref adopt(T* p) {
        Ref r;
        r.p_ = p;
        return r;
    }

private:
    T* p_ = nullptr;
};

/// Takes over the first reference of a new object.
template <typename T>
Ref<T> adopt_ref(T* p) {
    return Ref<T>::adopt(p);
}

/// The single owner of a heap object; may be null.
template <typename T>
class Owned {
public:
    constexpr Owned() = default;
    constexpr Owned(std::nullptr_t) {}
    explicit Owned(T* p) : p_(p) {}
    Owned(Owned&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
    template <typename U>
    requires std::is_convertible_v<U*, T*> Owned(Owned<U>&& o)
    noexcept : p_(o.release()) {}
    Owned& operator=(Owned o) noexcept {
        std::swap(p_, o.p_);
        return *this;
    }
    ~Owned() { delete p_; }
    T* get() const { return p_; }
    T& operator*() const { return *p_; }
    T* operator->() const { return p_; }
    explicit operator bool() const { return p_ != nullptr; }
    [[nodiscard]] T* release() { return std::exchange(p_, nullptr); }

private:
    T* p_ = nullptr;
};

}  // namespace kiln
