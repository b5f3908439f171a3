// What the commands share: how each one is added to the tool, and the options that describe a
// program and its machine.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "lib/machine.hpp"
#include "lib/prepare.hpp"

namespace kiln::cli {

// A command parses into its own state and leaves in `action` what is to be done; its result is the
// tool's exit status.
using Action = std::function<int()>;

void add_run(CLI::App& app, Action& action);
void add_build(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
void add_version(CLI::App& app, Action& action);
void add_completion(CLI::App& app, Action& action);

// The options of `run` and `build` that say what goes into the image.
struct ProgramOptions {
    std::string rootfs;
    bool bare = false;
    std::vector<std::string> packages;
    std::vector<std::string> volumes;
    std::vector<std::string> environment;
    std::vector<std::string> environment_files;
    std::string working_directory;
    std::string name = "kiln";
    std::string user = "0";
    std::string configuration = "default";
    std::string kernel;
    std::vector<std::string> kernel_arguments;

    void add_to(CLI::App& command);
    // TARGET and what follows it, from the words that CLI11 left over.
    tool::ProgramRequest request(const std::vector<std::string>& words, const char* command) const;
};

// Lets everything from the first word that is no option through as it is: it belongs to the
// program.
void take_program(CLI::App& command);

void print_warnings(const std::vector<std::string>& warnings);

}  // namespace kiln::cli
