#include "lib/launch_record.hpp"

#include <cstring>

#include <kiln/abi/formats/launch.hpp>

#include "lib/error.hpp"
#include "lib/text.hpp"

namespace kiln::tool {

std::string encode_launch(const Launch& launch) {
    std::string strings;
    const auto put = [&](const std::string& string, std::string_view what) {
        if (string.size() >= abi::kLaunchMaxString) {
            fail_not_executable("{} is too long: {}, at most {} are possible", what,
                                format_size(string.size()), format_size(abi::kLaunchMaxString));
        }
        if (string.find('\0') != std::string::npos) {
            fail("{} has a NUL byte in it", what);
        }
        strings.append(string.c_str(), string.size() + 1);
    };
    put(launch.path, "the program's path");
    put(launch.working_directory, "the working directory");
    put(launch.hostname, "the name");
    for (const std::string& argument : launch.arguments) {
        put(argument, "an argument");
    }
    for (const std::string& variable : launch.environment) {
        put(variable, "an environment variable");
    }
    abi::LaunchHeader header{};
    const std::size_t total = sizeof(header) + strings.size();
    if (total > abi::kLaunchMaxBytes) {
        fail_not_executable("arguments and environment are too long: {}, at most {} are possible",
                            format_size(total), format_size(abi::kLaunchMaxBytes));
    }
    std::memcpy(header.magic, abi::kLaunchMagic, sizeof(header.magic));
    header.version = abi::kLaunchVersion;
    header.total_bytes = static_cast<std::uint32_t>(total);
    header.argc = static_cast<std::uint32_t>(launch.arguments.size());
    header.envc = static_cast<std::uint32_t>(launch.environment.size());
    header.flags = launch.flags;
    header.uid = launch.uid;
    header.gid = launch.gid;
    header.tty_rows = launch.tty_rows;
    header.tty_columns = launch.tty_columns;
    return std::string{reinterpret_cast<const char*>(&header), sizeof(header)} + strings;
}

}  // namespace kiln::tool
