// Short-lived helper programs of the host.
#pragma once

#include <string>
#include <vector>

namespace kiln::tool {

struct ProcessOutput {
    int status = 0;          // exit status, or 128 + signal
    bool not_found = false;  // there is no such program
    std::string output;      // what it wrote to stdout and stderr
};

// Runs a program found in PATH (or in /usr/sbin and /sbin, which a user's PATH may lack), without
// input, to its end.
ProcessOutput run_process(const std::vector<std::string>& command);

// Where `name` would be found; empty where it is not. A name with a slash is taken as it is.
std::string find_program(const std::string& name);

}  // namespace kiln::tool
