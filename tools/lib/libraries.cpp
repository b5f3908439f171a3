#include "lib/libraries.hpp"

#include <algorithm>

#include <glob.h>

#include "lib/elf.hpp"
#include "lib/file.hpp"

namespace kiln::tool {
namespace {

constexpr std::size_t kMaxObjects = 4096;

// The default folders of Debian's glibc (multiarch first), then those of other distributions.
constexpr const char* kSystemDirs[] = {
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
};
// Names that musl's dynamic linker takes for itself (ldso/dynlink.c, load_library).
constexpr std::string_view kMuslReserved[] = {"c.",  "pthread.", "rt.",  "m.",
                                              "dl.", "util.",    "xnet."};

std::vector<std::string> split(const std::string& text, const char* separators) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    while (begin <= text.size()) {
        const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

void replace_token(std::string& text, const std::string& name, const std::string& value) {
    for (const std::string& token : {"${" + name + "}", "$" + name}) {
        for (std::size_t at = text.find(token); at != std::string::npos;
             at = text.find(token, at + value.size())) {
            text.replace(at, token.size(), value);
        }
    }
}

// ld.so.conf: one folder a line, "include PATTERN", comments (ldconfig(8)).
void read_ld_conf(const RootView& root, const std::string& path, int depth,
                  std::vector<std::string>& dirs) {
    const auto text = root.read_text(path);
    if (!text || depth > 8) {
        return;
    }
    for (std::string line : split(*text, "\n")) {
        line = line.substr(0, line.find('#'));
        const std::size_t begin = line.find_first_not_of(" \t\r");
        if (begin == std::string::npos) {
            continue;
        }
        line = line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
        if (line.starts_with("include ") || line.starts_with("include\t")) {
            std::string pattern = line.substr(line.find_first_not_of(" \t", 8));
            if (!pattern.starts_with('/')) {
                pattern = parent_of(path) + "/" + pattern;
            }
            glob_t matches{};
            const std::string prefix = root.is_host() ? "" : root.host_dir().string();
            if (::glob((prefix + pattern).c_str(), 0, nullptr, &matches) == 0) {
                for (std::size_t i = 0; i < matches.gl_pathc; ++i) {
                    read_ld_conf(root, std::string{matches.gl_pathv[i]}.substr(prefix.size()),
                                 depth + 1, dirs);
                }
            }
            ::globfree(&matches);
        } else if (line.starts_with('/')) {
            dirs.push_back(line);
        }
    }
}

}  // namespace

LibraryFinder::LibraryFinder(const RootView& root, std::uint16_t machine, std::string library_path)
    : root_{root}, machine_{machine}, library_path_{std::move(library_path)} {
    if (const auto file = root.resolve("/etc/ld.so.cache")) {
        if (const auto mapped = MappedFile::try_open(root.host_path(file->path))) {
            cache_ = parse_ld_cache(mapped->bytes());
        }
    }
    for (const LdCacheEntry& entry : cache_) {
        if (entry.flags == kLdCacheX8664 && entry.hwcap == 0) {
            cache_index_.emplace(entry.name, entry.path);
        }
    }
    if (cache_.empty()) {
        // A root without a cache: look where ldconfig would have looked.
        read_ld_conf(root, "/etc/ld.so.conf", 0, system_dirs_);
    }
    system_dirs_.insert(system_dirs_.end(), std::begin(kSystemDirs), std::end(kSystemDirs));
}

std::vector<std::string> LibraryFinder::musl_path(const std::string& interpreter) const {
    // ldso/dynlink.c: the file lies beside the interpreter's folder, "/lib/ld-musl-x86_64.so.1" ->
    // "/etc/ld-musl-x86_64.path".
    std::string name = base_name(interpreter);
    name = name.substr(0, name.find(".so"));
    const std::string prefix = parent_of(parent_of(interpreter));
    if (const auto text =
            root_.read_text((prefix == "/" ? "" : prefix) + "/etc/" + name + ".path")) {
        return split(*text, ":\n");
    }
    return {"/lib", "/usr/local/lib", "/usr/lib"};
}

std::optional<LibraryFinder::Object> LibraryFinder::try_object(const std::string& path,
                                                               int loader) const {
    const auto found = root_.resolve(path);
    if (!found || !S_ISREG(found->status.st_mode)) {
        return std::nullopt;
    }
    const auto file = MappedFile::try_open(root_.host_path(found->path));
    if (!file) {
        return std::nullopt;
    }
    try {
        const ElfFile elf = ElfFile::parse(file->bytes(), machine_);
        return Object{path, found->path, elf.needed(), elf.rpath(), elf.runpath(), loader};
    } catch (const ElfError&) {
        return std::nullopt;
    }
}

std::vector<std::string> LibraryFinder::expand(const std::string& list,
                                               const Object& object) const {
    std::vector<std::string> dirs;
    for (std::string dir : split(list, ":;")) {
        replace_token(dir, "ORIGIN", parent_of(object.resolved));
        replace_token(dir, "LIB", "lib/x86_64-linux-gnu");
        replace_token(dir, "PLATFORM", "x86_64");
        // An empty or relative entry means the working directory: that is the guest's, and not
        // known to have libraries.
        if (dir.starts_with('/')) {
            dirs.push_back(normalize_path(dir));
        }
    }
    return dirs;
}

std::optional<LibraryFinder::Object> LibraryFinder::find(const std::string& name,
                                                         const std::vector<Object>& objects, int by,
                                                         bool musl) const {
    const Object& needer = objects[static_cast<std::size_t>(by)];
    if (name.find('/') != std::string::npos) {
        std::string path = name;
        replace_token(path, "ORIGIN", parent_of(needer.resolved));
        return path.starts_with('/') ? try_object(normalize_path(path), by) : std::nullopt;
    }
    std::vector<std::string> dirs;
    const auto add = [&dirs](std::vector<std::string> more) {
        dirs.insert(dirs.end(), std::make_move_iterator(more.begin()),
                    std::make_move_iterator(more.end()));
    };
    if (musl) {
        add(expand(library_path_, needer));
        for (int i = by; i >= 0; i = objects[static_cast<std::size_t>(i)].loader) {
            const Object& object = objects[static_cast<std::size_t>(i)];
            add(expand(object.runpath.empty() ? object.rpath : object.runpath, object));
        }
        add(musl_dirs_);
    } else {
        if (needer.runpath.empty()) {
            for (int i = by; i >= 0; i = objects[static_cast<std::size_t>(i)].loader) {
                const Object& object = objects[static_cast<std::size_t>(i)];
                if (object.runpath.empty()) {
                    add(expand(object.rpath, object));
                }
            }
        }
        add(expand(library_path_, needer));
        add(expand(needer.runpath, needer));
    }
    for (const std::string& dir : dirs) {
        if (auto object = try_object(dir + "/" + name, by)) {
            return object;
        }
    }
    if (musl) {
        return std::nullopt;
    }
    if (const auto cached = cache_index_.find(name); cached != cache_index_.end()) {
        if (auto object = try_object(cached->second, by)) {
            return object;
        }
    }
    for (const std::string& dir : system_dirs_) {
        if (auto object = try_object(dir + "/" + name, by)) {
            return object;
        }
    }
    return std::nullopt;
}

ElfNeeds LibraryFinder::needs_of(const std::string& path) {
    ElfNeeds needs;
    const auto program = root_.resolve(path);
    if (!program) {
        return needs;
    }
    std::vector<Object> objects;
    {
        const MappedFile file = MappedFile::open(root_.host_path(program->path));
        const ElfFile elf = ElfFile::parse(file.bytes(), machine_);
        needs.interpreter = elf.interpreter().value_or("");
        objects.push_back({path, program->path, elf.needed(), elf.rpath(), elf.runpath(), -1});
    }
    if (needs.interpreter.empty()) {
        return needs;  // static: DT_NEEDED of a program without an interpreter is never looked at
    }
    const bool musl = base_name(needs.interpreter).starts_with("ld-musl");
    const auto interpreter = root_.resolve(needs.interpreter);
    if (!interpreter || !S_ISREG(interpreter->status.st_mode)) {
        needs.missing_interpreter = true;
        return needs;
    }
    {
        const MappedFile file = MappedFile::open(root_.host_path(interpreter->path));
        ElfFile::parse(file.bytes(), machine_).check_loadable();
    }
    needs.files.push_back(needs.interpreter);
    musl_dirs_ = musl ? musl_path(needs.interpreter) : std::vector<std::string>{};

    std::set<std::string> seen{base_name(needs.interpreter)};
    for (std::size_t i = 0; i < objects.size() && objects.size() < kMaxObjects; ++i) {
        const std::vector<std::string> needed = objects[i].needed;
        for (const std::string& name : needed) {
            if (!seen.insert(name).second) {
                continue;
            }
            if (musl && name.starts_with("lib") &&
                std::ranges::any_of(kMuslReserved, [&](std::string_view r) {
                    return name.substr(3).starts_with(r);
                })) {
                continue;
            }
            if (auto object = find(name, objects, static_cast<int>(i), musl)) {
                needs.files.push_back(object->path);
                objects.push_back(std::move(*object));
            } else {
                needs.missing.push_back({name, objects[i].path});
            }
        }
    }
    return needs;
}

}  // namespace kiln::tool
