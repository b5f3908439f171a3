// String: bytes of text whose growth can fail. Always NUL-terminated after them; may hold NULs.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include <kiln/base/format.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/heap.hpp>

namespace kiln::mem {

/// Movable; copies are made by create(), because they can fail. Calls that grow answer ENOMEM and then change nothing.
class String {
public:
    constexpr String() = default;
    String(const String&) = delete;
    String& operator=(const String&) = delete;
    String(String&& o) noexcept
        : data_(std::exchange(o.data_, nullptr)),
          size_(std::exchange(o.size_, 0)),
          capacity_(std::exchange(o.capacity_, 0)) {}
    String& operator=(String&& o) noexcept {
        std::swap(data_, o.data_);
        std::swap(size_, o.size_);
        std::swap(capacity_, o.capacity_);
        return *this;
    }
    ~String() { release(data_); }

    static Result<String> create(std::string_view text) {
        String s;
        TRY(s.append(text));
        return s;
    }
    /// As base's format_to().
    template <typename... Args>
    static Result<String> format(std::string_view format_text, const Args&... args) {
        String s;
        TRY(s.append_format(format_text, args...));
        return s;
    }

    std::string_view view() const { return {c_str(), size_}; }
    operator std::string_view() const { return view(); }
    /// Valid until the next change.
    const char* c_str() const { return data_ ? data_ : ""; }
    /// Null while nothing was ever stored.
    char* data() { return data_; }
    std::size_t size() const { return size_; }
    bool is_empty() const { return size_ == 0; }
    friend bool operator==(const String& a, std::string_view b) { return a.view() == b; }

    /// Room for `size` bytes without the NUL.
    Result<void> reserve(std::size_t size) {
        if (size < capacity_) return {};
        std::size_t bytes;
        if (!checked_add(size, std::size_t{1}, &bytes)) return Errno::kENOMEM;
        if (bytes < 2 * capacity_) bytes = 2 * capacity_;
        if (bytes < 16) bytes = 16;
        char* grown = static_cast<char*>(reallocate(data_, bytes));
        if (!grown) return Errno::kENOMEM;
        data_ = grown;
        capacity_ = bytes;
        data_[size_] = '\0';
        return {};
    }
    /// `text` may not point into this string.
    Result<void> append(std::string_view text) {
        std::size_t total;
        if (!checked_add(size_, text.size(), &total)) return Errno::kENOMEM;
        TRY(reserve(total));
        if (!text.empty()) std::memcpy(data_ + size_, text.data(), text.size());
        size_ = total;
        data_[size_] = '\0';
        return {};
    }
    Result<void> push_back(char c) { return append({&c, 1}); }
    Result<void> assign(std::string_view text) {
        TRY(reserve(text.size()));
        size_ = 0;
        return append(text);
    }
    template <typename... Args>
    Result<void> append_format(std::string_view format_text, const Args&... args) {
        if constexpr (sizeof...(Args) == 0) {
            return vappend_format(format_text, {});
        } else {
            const FormatArg list[] = {FormatArg::of(args)...};
            return vappend_format(format_text, list);
        }
    }
    Result<void> vappend_format(std::string_view format_text, std::span<const FormatArg> args);
    /// Shortens to `size` bytes (size <= size()).
    void truncate(std::size_t size) {
        KILN_ASSERT(size <= size_);
        size_ = size;
        if (data_) data_[size_] = '\0';
    }
    void clear() { truncate(0); }

private:
    char* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;  ///< with the NUL; 0: nothing allocated
};

}  // namespace kiln::mem
