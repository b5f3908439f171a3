// The tool's entry: finds the command, turns what goes wrong into one line and an exit status.
#include <exception>

#include <fmt/core.h>

#include <kiln/abi/formats/end_record.hpp>

#include "cli/command.hpp"
#include "lib/error.hpp"

namespace kiln::cli {
namespace {

// "run: --foo: …" for the command that was being read.
std::string command_of(const CLI::App& app) {
    const auto used = app.get_subcommands();
    return used.empty() ? "" : used.front()->get_name() + " ";
}

class HelpFormatter : public CLI::Formatter {
public:
    HelpFormatter() { column_width(34); }
    std::string make_usage(const CLI::App* app, std::string name) const override {
        if (!app->get_prefix_command()) {
            return CLI::Formatter::make_usage(app, name);
        }
        return fmt::format("Usage: {} [OPTIONS] TARGET [ARGS…]\n", name);
    }
};

int run(int argc, char** argv) {
    CLI::App app{"kiln: unmodified Linux programs as small virtual machines", "kiln"};
    app.formatter(std::make_shared<HelpFormatter>());
    app.require_subcommand(1);
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    app.set_help_all_flag("--help-all", "the help of all commands");
    app.footer(
        "\n`kiln COMMAND --help` tells about a command. `kiln doctor` tells what can be run here.");
    Action action;
    add_run(app, action);
    add_build(app, action);
    add_check(app, action);
    add_doctor(app, action);
    add_version(app, action);
    add_completion(app, action);
    // CLI11 would only say that a command is required.
    const std::string first = argc > 1 ? argv[1] : "";
    const auto commands =
        app.get_subcommands([&](const CLI::App* command) { return command->get_name() == first; });
    const bool is_help = first == "-h" || first.starts_with("--help");
    if (!first.empty() && commands.empty() && !is_help) {
        fmt::print(stderr, "kiln: unknown {} {}; see `kiln --help`\n",
                   first.starts_with('-') ? "option" : "command", first);
        return abi::kStatusToolError;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {
        return app.exit(success);  // --help
    } catch (const CLI::ParseError& error) {
        fmt::print(stderr, "kiln: {}; see `kiln {}--help`\n", error.what(), command_of(app));
        return abi::kStatusToolError;
    }
    return action();
}

}  // namespace
}  // namespace kiln::cli

int main(int argc, char** argv) {
    try {
        return kiln::cli::run(argc, argv);
    } catch (const kiln::tool::Error& error) {
        fmt::print(stderr, "kiln: {}\n", error.what());
        return error.status();
    } catch (const std::exception& error) {
        fmt::print(stderr, "kiln: {}\n", error.what());
        return kiln::abi::kStatusToolError;
    }
}
