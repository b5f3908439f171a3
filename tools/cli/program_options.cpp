#include <charconv>
#include <cstdlib>

#include <fmt/core.h>

#include "cli/command.hpp"
#include "lib/error.hpp"
#include "lib/text.hpp"

extern "C" char** environ;

namespace kiln::cli {
namespace {

using tool::fail;

// docker's: KEY=VALUE, or KEY for the value it has here (and nothing where it has none).
void add_variable(const std::string& text, const char* option, std::vector<std::string>& out) {
    const std::size_t equals = text.find('=');
    if (text.empty() || equals == 0) {
        fail("{} {}: give KEY=VALUE or KEY", option, tool::shell_quote(text));
    }
    if (equals != std::string::npos) {
        out.push_back(text);
    } else if (const char* value = std::getenv(text.c_str())) {
        out.push_back(text + "=" + value);
    }
}

void add_variables_of(const std::string& path, std::vector<std::string>& out) {
    const auto text = tool::read_text(path);
    if (!text) {
        fail("--env-file {}: {}", path, tool::errno_text(errno));
    }
    std::size_t begin = 0;
    while (begin < text->size()) {
        const std::size_t end = std::min(text->find('\n', begin), text->size());
        std::string line = text->substr(begin, end - begin);
        begin = end + 1;
        if (line.ends_with('\r')) {
            line.pop_back();
        }
        line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
        if (!line.empty() && line.front() != '#') {
            add_variable(line, "--env-file", out);
        }
    }
}

std::uint32_t parse_id(std::string_view text, const std::string& whole) {
    std::uint32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size()) {
        fail("-u {}: give UID or UID:GID as numbers", tool::shell_quote(whole));
    }
    return id;
}

bool is_host_name(const std::string& name) {
    constexpr std::string_view kAllowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return !name.empty() && name.size() <= 63 &&
           name.find_first_not_of(kAllowed) == std::string::npos &&
           kAllowed.find(name.front()) < 62;
}

}  // namespace

void ProgramOptions::add_to(CLI::App& command) {
    command
        .add_option("--rootfs", rootfs,
                    "take everything from this root file system; TARGET is a path inside it")
        ->type_name("DIR")
        ->group("Image");
    command
        .add_option(
            "--deb", packages,
            "add Debian packages (installed here) with what they depend on; PKG,… or repeated")
        ->type_name("PKG")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->group("Image");
    command
        .add_flag(
            "--bare", bare,
            "only the program's own ELF file, dynamic linker and libraries; no package, no /etc")
        ->group("Image");
    command
        .add_option("-v,--volume", volumes,
                    "copy a file or folder of the host into the guest at start; changes do not "
                    "come back. With :ro the copy has no write "
                    "permissions (root in the guest may write all the same)")
        ->type_name("SRC:DST[:ro]")
        ->allow_extra_args(false)
        ->group("Image");
    command
        .add_option("-e,--env", environment,
                    "set an environment variable; KEY alone takes its value from here")
        ->type_name("KEY[=VAL]")
        ->allow_extra_args(false)
        ->group("Program");
    command
        .add_option("--env-file", environment_files,
                    "read variables from a file, one KEY=VAL a line")
        ->type_name("FILE")
        ->allow_extra_args(false)
        ->group("Program");
    command
        .add_option("-w,--workdir", working_directory, "working directory in the guest (default /)")
        ->type_name("DIR")
        ->group("Program");
    command.add_option("-u,--user", user, "user and group the program runs as (default 0)")
        ->type_name("UID[:GID]")
        ->group("Program");
    command.add_option("--name", name, "host name of the guest")
        ->type_name("NAME")
        ->group("Program");
    command.add_option("--config", configuration, "kernel configuration (default: default)")
        ->type_name("NAME")
        ->group("Kernel");
    command.add_option("--kernel", kernel, "use this kernel file")
        ->type_name("FILE")
        ->group("Kernel");
    command
        .add_option("--kernel-arg", kernel_arguments,
                    "add a word to the kernel's command line, such as loglevel=info")
        ->type_name("KEY=VAL")
        ->allow_extra_args(false)
        ->group("Kernel");
}

tool::ProgramRequest ProgramOptions::request(const std::vector<std::string>& words,
                                             const char* command) const {
    std::vector<std::string> left = words;
    if (!left.empty() && left.front() == "--") {
        left.erase(left.begin());
    } else if (!left.empty() && left.front().size() > 1 && left.front().front() == '-') {
        fail(
            "unknown option {}; `kiln {} --help` lists them (the program's own options go after "
            "TARGET)",
            left.front(), command);
    }
    if (left.empty()) {
        fail("say what to {}: kiln {} [options] TARGET [ARGS…]", command, command);
    }
    if (!is_host_name(name)) {
        fail("--name {}: not a host name; letters, digits, '_', '.' and '-', at most 63",
             tool::shell_quote(name));
    }
    tool::ProgramRequest request;
    request.target = left.front();
    request.arguments.assign(left.begin() + 1, left.end());
    request.rootfs = rootfs;
    request.bare = bare;
    request.packages = packages;
    for (const std::string& volume : volumes) {
        request.volumes.push_back(tool::parse_volume(volume));
    }
    for (const std::string& file : environment_files) {
        add_variables_of(file, request.environment);
    }
    for (const std::string& variable : environment) {
        add_variable(variable, "-e", request.environment);
    }
    request.working_directory = working_directory;
    request.name = name;
    const std::size_t colon = user.find(':');
    request.uid = parse_id(std::string_view{user}.substr(0, colon), user);
    request.gid =
        colon == std::string::npos ? 0 : parse_id(std::string_view{user}.substr(colon + 1), user);
    return request;
}

void take_program(CLI::App& command) { command.prefix_command(); }

void print_warnings(const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings) {
        fmt::print(stderr, "kiln: warning: {}\n", warning);
    }
}

}  // namespace kiln::cli
