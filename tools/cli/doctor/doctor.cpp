// kiln doctor: what can be used on this machine, and why.
#include <memory>

#include <unistd.h>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/command.hpp"
#include "lib/error.hpp"
#include "lib/kernel_image.hpp"
#include "lib/platform.hpp"
#include "lib/process.hpp"

namespace kiln::cli {
namespace {

enum class Verdict { kGood, kNote, kBad };

struct Finding {
    std::string subject;
    Verdict verdict;
    std::string detail;
};

const char* verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::kGood: return "ok";
        case Verdict::kNote: return "note";
        case Verdict::kBad: return "missing";
    }
    return "";
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Finding check_qemu() {
    const char* const chosen = std::getenv("KILN_QEMU");
    const std::string program =
        chosen != nullptr && chosen[0] != '\0' ? chosen : "qemu-system-x86_64";
    const tool::ProcessOutput output = tool::run_process({program, "--version"});
    if (output.not_found) {
        return {"qemu", Verdict::kBad,
                program + " is missing; `apt install qemu-system-x86` brings it"};
    }
    if (output.status != 0) {
        return {"qemu", Verdict::kBad,
                fmt::format("{} --version gave status {}", program, output.status)};
    }
    return {"qemu", Verdict::kGood, first_line(output.output)};
}

Finding check_tcg() {
    // Starts a machine that is stopped at once: the translator and the machine type are there.
    const char* const chosen = std::getenv("KILN_QEMU");
    const tool::ProcessOutput output = tool::run_process(
        {chosen != nullptr && chosen[0] != '\0' ? chosen : "qemu-system-x86_64", "-accel", "help"});
    if (output.status != 0 || output.output.find("tcg") == std::string::npos) {
        return {"platform qemu", Verdict::kBad,
                "this QEMU has no TCG accelerator; Debian's qemu-system-x86 has it"};
    }
    return {"platform qemu", Verdict::kGood, "usable (TCG, QEMU's own translator)"};
}

Finding check_kvm(const tool::KvmProbe& probe) {
    return {"platform kvm", probe.usable() ? Verdict::kGood : Verdict::kNote, probe.reason};
}

Finding check_helper(const std::string& program, const std::string& package) {
    const std::string path = tool::find_program(program);
    if (path.empty()) {
        return {program, Verdict::kBad,
                fmt::format("missing; `apt install {}` brings it", package)};
    }
    return {program, Verdict::kGood, path};
}

Finding check_kernels() {
    const auto names = tool::kernel_configurations();
    if (names.empty()) {
        return {"kernels", Verdict::kBad,
                "none found; `make kernel` builds one, KILN_KERNEL_DIR says where else to look"};
    }
    return {"kernels", Verdict::kGood, fmt::format("{}", fmt::join(names, ", "))};
}

Finding check_folder(const std::string& subject, const std::filesystem::path& dir) {
    std::error_code error;
    std::filesystem::create_directories(dir, error);
    if (error || ::access(dir.c_str(), W_OK) != 0) {
        return {subject, Verdict::kBad, fmt::format("{} cannot be written", dir.string())};
    }
    return {subject, Verdict::kGood, dir.string()};
}

int run_doctor(const std::string& output) {
    const tool::KvmProbe probe = tool::probe_kvm();
    std::vector<Finding> findings = {
        check_qemu(),
        check_tcg(),
        check_kvm(probe),
        {"--plat auto", Verdict::kGood,
         probe.usable() ? "takes kvm"
                        : "takes qemu (TCG), since kvm is not usable: " + probe.reason},
        check_helper("mkfs.erofs", "erofs-utils"),
        check_kernels(),
        check_folder("image cache", tool::ImageStore::default_dir()),
        check_folder("state", tool::state_dir())};
    bool all_good = true;
    nlohmann::json json = nlohmann::json::array();
    for (const Finding& finding : findings) {
        all_good = all_good && finding.verdict != Verdict::kBad;
        if (output == "json") {
            json.push_back({{"subject", finding.subject},
                            {"verdict", verdict_name(finding.verdict)},
                            {"detail", finding.detail}});
        } else {
            fmt::print("{:<14} {:<8} {}\n", finding.subject, verdict_name(finding.verdict),
                       finding.detail);
        }
    }
    if (output == "json") {
        const nlohmann::json all = {{"usable", all_good},
                                    {"kvm_ring0_instructions_per_s", probe.ring0_per_s},
                                    {"platform", probe.usable() ? "kvm" : "qemu"},
                                    {"findings", json}};
        fmt::print("{}\n", all.dump(2));
    }
    return all_good ? 0 : 1;
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
    auto output = std::make_shared<std::string>("table");
    CLI::App& doctor =
        *app.add_subcommand("doctor", "Tell what can be used on this machine, and why");
    doctor.add_option("-o,--output", *output, "table (default) or json")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"table", "json"}));
    doctor.footer(
        "\n/dev/kvm is measured by a tiny guest, since it may be there and yet emulate kernel "
        "code.\n"
        "\nExit status: 0 when programs can be run here, 1 when something they need is missing.\n");
    doctor.callback([output, &action] { action = [output] { return run_doctor(*output); }; });
}

}  // namespace kiln::cli
