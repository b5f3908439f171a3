// kiln completion: shell completion, made from the commands and options the tool has.
#include <memory>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "cli/command.hpp"

namespace kiln::cli {
namespace {

std::vector<std::string> option_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            names.push_back("--" + name);
        }
        for (const std::string& name : option->get_snames()) {
            names.push_back("-" + name);
        }
    }
    return names;
}

// Options that take a value, as a pattern for `case`.
std::string value_options(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_items_expected_max() > 0) {
            for (const std::string& name : option->get_lnames()) {
                names.push_back("--" + name);
            }
            for (const std::string& name : option->get_snames()) {
                names.push_back("-" + name);
            }
        }
    }
    return names.empty() ? "--" : fmt::format("{}", fmt::join(names, "|"));
}

std::string script(const CLI::App& app) {
    std::string commands;
    std::string cases;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        const std::string& name = command->get_name();
        commands += (commands.empty() ? "" : " ") + name;
        cases += fmt::format("        {}) options='{}'; valued='{}' ;;\n", name,
                             fmt::join(option_names(*command), " "), value_options(*command));
    }
    // Words are completed as options up to TARGET, then as programs and files: what follows TARGET
    // belongs to it.
    return fmt::format(R"sh(# kiln: completion for bash (and zsh, through bashcompinit)
_kiln() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    local options='' valued='' at target=0
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W '{} --help --help-all' -- "$word"))
        return
    fi
    case ${{COMP_WORDS[1]}} in
{}    esac
    for ((at = 2; at < COMP_CWORD; at++)); do
        case ${{COMP_WORDS[at]}} in
            -*) [[ "|$valued|" == *"|${{COMP_WORDS[at]}}|"* ]] && at=$((at + 1)) ;;
            *) target=1; break ;;
        esac
    done
    if [ "$target" -eq 0 ]; then
        case $previous in
            --plat) COMPREPLY=($(compgen -W 'auto qemu kvm' -- "$word")); return ;;
            --machine) COMPREPLY=($(compgen -W 'microvm q35' -- "$word")); return ;;
            --rootfs|--workdir|-w) COMPREPLY=($(compgen -d -- "$word")); return ;;
        esac
        case ${{COMP_WORDS[1]}} in
            doctor|version|check) case $previous in -o|--output) COMPREPLY=($(compgen -W 'table json' -- "$word")); return ;; esac ;;
            completion) COMPREPLY=($(compgen -W 'bash zsh' -- "$word")); return ;;
        esac
        case $word in
            -*) COMPREPLY=($(compgen -W "$options" -- "$word")); return ;;
        esac
        COMPREPLY=($(compgen -c -- "$word") $(compgen -f -- "$word"))
        return
    fi
    COMPREPLY=($(compgen -f -- "$word"))
}}
complete -o filenames -F _kiln kiln
)sh",
                       commands, cases);
}

}  // namespace

void add_completion(CLI::App& app, Action& action) {
    auto shell = std::make_shared<std::string>();
    CLI::App& completion =
        *app.add_subcommand("completion", "Print a completion script for a shell");
    completion.add_option("SHELL", *shell, "bash or zsh")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh"}));
    completion.footer(
        "\nFor bash:  source <(kiln completion bash)\nFor zsh:   source <(kiln completion zsh)\n");
    completion.callback([shell, &app, &action] {
        action = [shell, &app] {
            if (*shell == "zsh") {
                fmt::print("autoload -U +X bashcompinit && bashcompinit\n");
            }
            fmt::print("{}", script(app));
            return 0;
        };
    });
}

}  // namespace kiln::cli
