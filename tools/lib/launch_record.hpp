// Makes the launch record (kiln/abi/formats/launch.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::tool {

struct Launch {
    std::string path;
    std::string working_directory = "/";
    std::string hostname;
    std::vector<std::string> arguments;  // argv, the program's name first
    std::vector<std::string> environment;
    std::uint32_t flags = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint16_t tty_rows = 0;
    std::uint16_t tty_columns = 0;
};

// Throws Error (126, as E2BIG would) where it exceeds the format's limits, or a string holds a NUL.
std::string encode_launch(const Launch& launch);

}  // namespace kiln::tool
