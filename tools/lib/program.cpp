#include "lib/program.hpp"

#include <algorithm>
#include <cerrno>

#include <elf.h>

#include "lib/error.hpp"
#include "lib/file.hpp"

namespace kiln::tool {
namespace {

constexpr std::size_t kShebangBytes = 256;  // BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h
constexpr int kMaxInterpreters = 5;         // exec_binprm(), fs/exec.c: deeper gives ELOOP

std::vector<std::string> words_of(const std::string& text) {
    std::vector<std::string> words;
    std::size_t at = 0;
    while ((at = text.find_first_not_of(" \t", at)) != std::string::npos) {
        const std::size_t end = std::min(text.find_first_of(" \t", at), text.size());
        words.push_back(text.substr(at, end - at));
        at = end;
    }
    return words;
}

// "#!/usr/bin/env [-S] NAME [ARGS…]": what env would execute. Empty where env would do more than
// that.
std::vector<std::string> env_command(const Shebang& shebang) {
    if (shebang.interpreter != "/usr/bin/env" && shebang.interpreter != "/bin/env") {
        return {};
    }
    std::vector<std::string> words;
    if (shebang.argument.starts_with("-S")) {
        words = words_of(shebang.argument.substr(2));
    } else if (!shebang.argument.empty()) {
        words = {shebang.argument};
    }
    const bool plain = !words.empty() && std::ranges::none_of(words, [](const std::string& word) {
        return word.find_first_of("=\\$'\"") != std::string::npos;
    });
    return plain && !words.front().starts_with('-') ? words : std::vector<std::string>{};
}

}  // namespace

std::optional<Shebang> parse_shebang(std::string_view start) {
    if (!start.starts_with("#!")) {
        return std::nullopt;
    }
    start = start.substr(2, kShebangBytes - 2);
    start =
        start.substr(0, std::min(start.find_first_of(std::string_view{"\n\0", 2}), start.size()));
    const auto skip = [&start](const char* set) {
        start.remove_prefix(std::min(start.find_first_not_of(set), start.size()));
    };
    skip(" \t");
    Shebang shebang;
    const std::size_t end = std::min(start.find_first_of(" \t"), start.size());
    shebang.interpreter = start.substr(0, end);
    start.remove_prefix(end);
    skip(" \t");
    shebang.argument = start.substr(0, start.find_last_not_of(" \t") + 1);
    if (shebang.interpreter.empty()) {
        return std::nullopt;
    }
    return shebang;
}

std::string find_in_path(const RootView& root, const std::string& name,
                         const std::string& search_path) {
    std::size_t begin = 0;
    while (begin <= search_path.size()) {
        const std::size_t end = std::min(search_path.find(':', begin), search_path.size());
        const std::string candidate = search_path.substr(begin, end - begin) + "/" + name;
        begin = end + 1;
        const auto found = root.resolve(candidate);
        if (candidate.starts_with('/') && found && S_ISREG(found->status.st_mode) &&
            (found->status.st_mode & 0111) != 0) {
            return candidate;
        }
    }
    return {};
}

Program inspect_program(const RootView& root, LibraryFinder& libraries, const std::string& path,
                        const std::string& search_path, MissingLibraries missing) {
    Program program;
    program.path = path;
    std::string current = path;
    std::string needed_by;  // the script whose interpreter `current` is

    for (int depth = 0;; ++depth) {
        const std::string who =
            needed_by.empty() ? "" : fmt::format(" (the interpreter of {})", needed_by);
        if (depth > kMaxInterpreters) {
            fail_not_executable("{}: more than {} scripts, each the interpreter of the one before",
                                path, kMaxInterpreters);
        }
        const auto found = root.resolve(current);
        if (!found) {
            const int error = errno;
            if (error == ELOOP) {
                fail_not_executable("{}{}: its symbolic links go in a circle", current, who);
            }
            fail_not_found("{}{}: no such file", current, who);
        }
        if (S_ISDIR(found->status.st_mode)) {
            fail_not_executable("{}{}: a folder, not a program", current, who);
        }
        if (!S_ISREG(found->status.st_mode)) {
            fail_not_executable("{}{}: not a regular file", current, who);
        }
        if ((found->status.st_mode & 0111) == 0) {
            fail_not_executable("{0}{1}: not executable; `chmod +x {0}` makes it so", current, who);
        }
        program.files.push_back(current);
        const auto file = MappedFile::try_open(root.host_path(found->path));
        if (!file) {
            fail_not_executable("{}{}: cannot be read: {}", current, who, errno_text(errno));
        }

        if (has_elf_magic(file->bytes())) {
            try {
                const ElfFile elf = ElfFile::parse(file->bytes(), EM_X86_64);
                elf.check_loadable();
                program.elf_memory_bytes = elf.memory_bytes();
            } catch (const ElfError& error) {
                fail_not_executable("{}{}: {}", current, who, error.what());
            }
            program.elf_path = current;
            try {
                program.needs = libraries.needs_of(current);
            } catch (const ElfError& error) {
                fail_not_executable("{}{}: its dynamic linker cannot be used: {}", current, who,
                                    error.what());
            }
            if (program.needs.missing_interpreter) {
                fail_not_found("{}{}: its dynamic linker {} is missing", current, who,
                               program.needs.interpreter);
            }
            if (!program.needs.missing.empty() && missing == MissingLibraries::kAreAnError) {
                const auto& first = program.needs.missing.front();
                fail_not_found("{}: shared library {} is missing{}", current, first.library,
                               first.needed_by == current
                                   ? ""
                                   : fmt::format(" (needed by {})", first.needed_by));
            }
            return program;
        }

        const auto shebang = parse_shebang(file->text().substr(0, kShebangBytes));
        if (!shebang) {
            fail_not_executable("{}{}: {}", current, who,
                                file->bytes().empty()
                                    ? "an empty file"
                                    : "neither an ELF program nor a script that starts with #!");
        }
        if (!shebang->interpreter.starts_with('/')) {
            fail_not_executable("{}: the interpreter {} of its #! line is not an absolute path",
                                current, shebang->interpreter);
        }
        needed_by = current;
        const std::vector<std::string> command = env_command(*shebang);
        if (!command.empty()) {
            std::string target = command.front();
            if (target.find('/') == std::string::npos) {
                target = find_in_path(root, target, search_path);
                if (target.empty()) {
                    fail_not_found("{}: its interpreter {} is in no folder of PATH ({})", current,
                                   command.front(), search_path);
                }
            }
            if (depth == 0) {
                // env would replace itself at once by the program it finds; start that one and save
                // the way.
                program.prefix = command;
                program.prefix.push_back(current);
                program.path = target;
            } else {
                program.files.push_back(shebang->interpreter);
            }
            current = target;
        } else {
            current = shebang->interpreter;
        }
    }
}

}  // namespace kiln::tool
