#include <kiln/mem/user_ptr.hpp>

#include <algorithm>

namespace kiln::mem {

Result<std::size_t> copy_string_from_user(UserPtr<const char> from, std::span<char> buffer) {
    KILN_ASSERT(!buffer.empty());
    const std::uintptr_t address = from.address();
    if (!hal::is_user_range(address, 1)) return Errno::kEFAULT;
    // A string may end before the end of the application's half though the buffer's length reaches beyond.
    std::size_t limit = buffer.size();
    if (!hal::is_user_range(address, limit)) limit = hal::kUserEnd - address;
    const std::ptrdiff_t length = hal::strnlen_user(address, limit);
    if (length < 0) return Errno::kEFAULT;
    const auto n = static_cast<std::size_t>(length);
    if (n == limit) return limit < buffer.size() ? Errno::kEFAULT : Errno::kENAMETOOLONG;
    if (hal::copy_from_user(buffer.data(), address, n) != 0) return Errno::kEFAULT;
    buffer[n] = '\0';
    // Another thread may have put a NUL there meanwhile: what counts is the copy.
    return static_cast<std::size_t>(std::find(buffer.begin(), buffer.begin() + length, '\0') -
                                    buffer.begin());
}

}  // namespace kiln::mem
