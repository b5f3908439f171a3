// kiln check: what a program will want that the kernel's configuration lacks.
#include <memory>

#include <elf.h>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/command.hpp"
#include "lib/error.hpp"
#include "lib/kernel_image.hpp"
#include "lib/program.hpp"
#include "lib/syscall_names.hpp"
#include "lib/syscall_scan.hpp"

namespace kiln::cli {
namespace {

using tool::fail;

struct Support {
    std::string name;
    std::string level;  // "full", "partial", "none"
    std::string note;
};

// The configuration's table, made by the kernel's build from the one source of its system calls.
std::map<std::uint32_t, Support> read_table(const std::filesystem::path& path) {
    const auto text = tool::read_text(path);
    if (!text) {
        fail("{}: {}; `make kernel` writes it beside the kernel", path.string(),
             tool::errno_text(errno));
    }
    std::map<std::uint32_t, Support> table;
    try {
        const auto json = nlohmann::json::parse(*text);
        for (const auto& row : json.at("syscalls")) {
            table[row.at("nr").get<std::uint32_t>()] = {row.at("name").get<std::string>(),
                                                        row.at("level").get<std::string>(),
                                                        row.value("note", "")};
        }
    } catch (const nlohmann::json::exception& error) {
        fail("{}: not a table of system calls: {}", path.string(), error.what());
    }
    return table;
}

struct CheckCommand {
    std::string target;
    std::string rootfs;
    std::string configuration = "default";
    std::string table;
    std::string output = "table";
    bool all = false;

    int run() const;
};

int CheckCommand::run() const {
    const tool::RootView root{rootfs.empty() ? "/" : rootfs};
    const std::string search_path =
        std::getenv("PATH") != nullptr ? std::getenv("PATH") : "/usr/bin:/bin";
    std::string path = target;
    if (path.find('/') == std::string::npos) {
        path = tool::find_in_path(root, target, search_path);
        if (path.empty()) {
            tool::fail_not_found("{}: no such program in PATH; ./{} takes one from here", target,
                                 target);
        }
    } else if (rootfs.empty()) {
        path = std::filesystem::absolute(path).lexically_normal().string();
    }
    tool::LibraryFinder libraries{root, EM_X86_64, ""};
    const tool::Program program = tool::inspect_program(root, libraries, path, search_path,
                                                        tool::MissingLibraries::kAreAnError);
    const tool::ScanResult found = tool::scan_program(root, program.elf_path, program.needs.files);
    const auto supported =
        read_table(table.empty() ? tool::kernel_file(configuration, "syscalls.json")
                                 : std::filesystem::path{table});

    struct Row {
        std::uint32_t number;
        Support support;
        std::string where;
    };
    std::vector<Row> rows;
    unsigned missing = 0;
    for (const auto& [number, where] : found.calls) {
        const auto known = supported.find(number);
        const Support support = known != supported.end()
                                    ? known->second
                                    : Support{tool::syscall_name(number), "none", ""};
        missing += support.level == "none" ? 1 : 0;
        if (all || support.level != "full") {
            rows.push_back({number, support, where});
        }
    }
    if (output == "json") {
        nlohmann::json calls = nlohmann::json::array();
        for (const Row& row : rows) {
            calls.push_back({{"nr", row.number},
                             {"name", row.support.name},
                             {"level", row.support.level},
                             {"note", row.support.note},
                             {"found_in", row.where}});
        }
        nlohmann::json files = nlohmann::json::array();
        for (const auto& [file, where] : found.files) {
            files.push_back({{"path", file}, {"found_in", where}});
        }
        const nlohmann::json json = {{"program", program.elf_path},
                                     {"configuration", configuration},
                                     {"calls_found", found.calls.size()},
                                     {"missing", missing},
                                     {"unknown_sites", found.unknown_sites},
                                     {"syscalls", calls},
                                     {"files", files}};
        fmt::print("{}\n", json.dump(2));
        return missing == 0 ? 0 : 1;
    }
    fmt::print("{}: {} system calls found, {} of them missing in configuration {}\n",
               program.elf_path, found.calls.size(), missing, configuration);
    for (const Row& row : rows) {
        fmt::print("  {:<8} {:<24} {}{}{}\n",
                   row.support.level == "none" ? "missing" : row.support.level, row.support.name,
                   row.where, row.support.note.empty() ? "" : ": ", row.support.note);
    }
    if (found.unknown_sites != 0) {
        fmt::print("{} places make a system call whose number is not visible in the code\n",
                   found.unknown_sites);
    }
    if (!found.files.empty()) {
        fmt::print("files of /proc, /sys and /dev it names:\n");
        for (const auto& [file, where] : found.files) {
            fmt::print("  {:<40} {}\n", file, where);
        }
    }
    return missing == 0 ? 0 : 1;
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
    auto command = std::make_shared<CheckCommand>();
    CLI::App& check =
        *app.add_subcommand("check", "Tell what a program may want that the kernel lacks");
    check.add_option("PROGRAM", command->target, "an ELF program or a script")->required();
    check.add_option("--rootfs", command->rootfs, "PROGRAM is a path inside this root file system")
        ->type_name("DIR");
    check.add_option("--config", command->configuration, "kernel configuration (default: default)")
        ->type_name("NAME");
    check
        .add_option("--table", command->table,
                    "the table of system calls to compare with (default: the configuration's)")
        ->type_name("FILE");
    check.add_flag("--all", command->all, "list the supported calls, too");
    check.add_option("-o,--output", command->output, "table (default) or json")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"table", "json"}));
    check.footer(
        "\nThe machine code of the program and its libraries is searched without running it: what "
        "is listed may be\n"
        "called, not what will be. Modules loaded later and generated code are not seen.\n"
        "\nExit status: 0 nothing is missing, 1 something is; 125, 126, 127 as with `kiln run`.\n");
    check.callback([command, &action] { action = [command] { return command->run(); }; });
}

}  // namespace kiln::cli
