// Vectors above the devices' (hal::kLastDeviceVector), which the platform keeps to itself.
#pragma once

#include <cstdint>

namespace kiln::plat {

inline constexpr std::uint32_t kVectorTimer = 224;
inline constexpr std::uint32_t kVectorConsole = 225;
inline constexpr std::uint32_t kVectorSpurious = 255;

}  // namespace kiln::plat
