// kiln version: of the tool, and the kernels it has.
#include <memory>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <kiln/abi/formats/image_note.hpp>
#include <kiln/abi/formats/launch.hpp>

#include "cli/command.hpp"
#include "lib/kernel_image.hpp"

namespace kiln::cli {
namespace {

constexpr const char* kVersion = "0.1";

int print_version(const std::string& output) {
    const auto kernels = tool::kernel_configurations();
    if (output == "json") {
        const nlohmann::json json = {{"version", kVersion},
                                     {"launch_record", abi::kLaunchVersion},
                                     {"image_note", abi::kImageNoteVersion},
                                     {"kernels", kernels}};
        fmt::print("{}\n", json.dump(2));
    } else {
        fmt::print("kiln {}\nkernels: {}\n", kVersion,
                   kernels.empty() ? "none" : fmt::format("{}", fmt::join(kernels, ", ")));
    }
    return 0;
}

}  // namespace

void add_version(CLI::App& app, Action& action) {
    auto output = std::make_shared<std::string>("table");
    CLI::App& version =
        *app.add_subcommand("version", "Print the tool's version and the kernels it has");
    version.add_option("-o,--output", *output, "table (default) or json")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"table", "json"}));
    version.callback([output, &action] { action = [output] { return print_version(*output); }; });
}

}  // namespace kiln::cli
