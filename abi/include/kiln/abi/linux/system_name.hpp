// What the kernel says it is (uname(2), /proc/sys/kernel, /proc/version): programs look for a Linux of
// at least some version.
#pragma once

#include <string_view>

namespace kiln::abi {

inline constexpr std::string_view kSystemName = "Linux";
inline constexpr std::string_view kSystemRelease = "6.1.0-kiln";
inline constexpr std::string_view kSystemVersion = "#1 SMP PREEMPT Kiln";

}  // namespace kiln::abi
