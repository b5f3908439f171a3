// NoDestroy<T>: a static object whose destructor never runs, so that it needs no registration at start.
#pragma once

#include <utility>

namespace kiln {

template <typename T>
union NoDestroy {
    template <typename... Args>
    explicit constexpr NoDestroy(Args&&... args) : value(std::forward<Args>(args)...) {}
    NoDestroy(const NoDestroy&) = delete;
    NoDestroy& operator=(const NoDestroy&) = delete;
    constexpr ~NoDestroy() {}

    constexpr T* operator->() { return &value; }
    constexpr T& operator*() { return value; }

    T value;
};

}  // namespace kiln
