// What differs between the architectures' ABIs in names and numbers.
#pragma once

#include <cstdint>
#include <string_view>

namespace kiln::abi {

#if defined(__x86_64__)
inline constexpr std::string_view kMachineName = "x86_64";  // uname(2)
inline constexpr std::uint16_t kElfMachine = 62;            // EM_X86_64
/// struct epoll_event is packed on x86-64 only (include/uapi/linux/eventpoll.h).
#define KILN_EPOLL_PACKED __attribute__((packed))
#elif defined(__aarch64__)
inline constexpr std::string_view kMachineName = "aarch64";
inline constexpr std::uint16_t kElfMachine = 183;  // EM_AARCH64
#define KILN_EPOLL_PACKED
#endif

}  // namespace kiln::abi
