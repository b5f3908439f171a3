#include "lib/dpkg.hpp"

#include <algorithm>
#include <array>
#include <deque>

#include "lib/file.hpp"

namespace kiln::tool {
namespace {

constexpr std::string_view kMachineArchitecture = "amd64";

// Sorted. Libraries depend on these for their maintainer scripts.
constexpr auto kPackagingOnly = std::to_array<std::string_view>({
    "adduser",
    "apt",
    "cdebconf",
    "cron",
    "cron-daemon-common",
    "debconf",
    "debconf-2.0",
    "dpkg",
    "gcc-12-base",
    "init-system-helpers",
    "insserv",
    "install-info",
    "libpam-runtime",
    "logrotate",
    "lsb-base",
    "passwd",
    "sensible-utils",
    "systemd",
    "systemd-sysv",
    "sysvinit-utils",
    "ucf",
    "udev",
    "update-inetd",
});

constexpr auto kLeftOutFolders = std::to_array<std::string_view>({
    "/etc/apparmor.d/",
    "/etc/apt/",
    "/etc/bash_completion.d/",
    "/etc/cron.d/",
    "/etc/cron.daily/",
    "/etc/cron.hourly/",
    "/etc/cron.monthly/",
    "/etc/cron.weekly/",
    "/etc/init.d/",
    "/etc/init/",
    "/etc/logrotate.d/",
    "/etc/pam.d/",
    "/etc/rc",
    "/etc/systemd/",
    "/etc/xdg/autostart/",
    "/lib/systemd/",
    "/lib/udev/",
    "/usr/lib/debug/",
    "/usr/lib/sysusers.d/",
    "/usr/lib/systemd/",
    "/usr/lib/tmpfiles.d/",
    "/usr/lib/udev/",
    "/usr/share/applications/",
    "/usr/share/apport/",
    "/usr/share/bash-completion/",
    "/usr/share/bug/",
    "/usr/share/debconf/",
    "/usr/share/debhelper/",
    "/usr/share/doc-base/",
    "/usr/share/doc/",
    "/usr/share/fish/",
    "/usr/share/gdb/",
    "/usr/share/gtk-doc/",
    "/usr/share/help/",
    "/usr/share/i18n/",
    "/usr/share/icons/",
    "/usr/share/info/",
    "/usr/share/lintian/",
    "/usr/share/locale/",
    "/usr/share/man/",
    "/usr/share/metainfo/",
    "/usr/share/pixmaps/",
    "/usr/share/zsh/",
    "/var/lib/dpkg/",
});

constexpr std::array<std::string_view, 6> kMergedFolders = {"/bin/",   "/sbin/",  "/lib/",
                                                            "/lib32/", "/lib64/", "/libx32/"};

std::string_view trim(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t\n\r");
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(" \t\n\r") - begin + 1);
}

template <typename Function>
void for_each_part(std::string_view text, char separator, Function&& function) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        function(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

// "libc6:any (>= 2.34) [amd64]" -> "libc6"
std::string_view package_name(std::string_view text) {
    text = trim(text);
    return text.substr(0, std::min(text.find_first_of(" \t\n(:[<"), text.size()));
}

}  // namespace

bool is_packaging_only(std::string_view name) {
    static_assert(std::ranges::is_sorted(kPackagingOnly));
    return std::ranges::binary_search(kPackagingOnly, name);
}

bool is_left_out(std::string_view path, std::string_view package) {
    if (path.starts_with("/usr/include/")) {
        return !package.ends_with("-dev");
    }
    if (path.starts_with("/usr/lib/locale/")) {
        return !path.starts_with("/usr/lib/locale/C.utf8/");
    }
    return std::ranges::any_of(kLeftOutFolders,
                               [&](std::string_view folder) { return path.starts_with(folder); });
}

std::vector<std::vector<std::string>> parse_dependencies(std::string_view field) {
    std::vector<std::vector<std::string>> out;
    for_each_part(field, ',', [&](std::string_view group) {
        std::vector<std::string> alternatives;
        for_each_part(group, '|', [&](std::string_view one) {
            if (const std::string_view name = package_name(one); !name.empty()) {
                alternatives.emplace_back(name);
            }
        });
        if (!alternatives.empty()) {
            out.push_back(std::move(alternatives));
        }
    });
    return out;
}

std::vector<DebPackage> parse_dpkg_status(std::string_view status) {
    std::vector<DebPackage> packages;
    DebPackage package;
    bool installed = false;
    std::string_view field_name;
    std::string field;  // a field may go on in lines that start with a space

    const auto end_field = [&] {
        if (field_name == "Package") {
            package.name = trim(field);
        } else if (field_name == "Architecture") {
            package.architecture = trim(field);
        } else if (field_name == "Version") {
            package.version = trim(field);
        } else if (field_name == "Status") {
            // want, flag, status: "install ok installed" (also "hold ok installed")
            installed = trim(field).ends_with(" installed");
        } else if (field_name == "Depends" || field_name == "Pre-Depends") {
            for (auto& group : parse_dependencies(field)) {
                package.depends.push_back(std::move(group));
            }
        } else if (field_name == "Provides") {
            for (auto& group : parse_dependencies(field)) {
                package.provides.push_back(std::move(group.front()));
            }
        }
        field_name = {};
        field.clear();
    };
    const auto end_stanza = [&] {
        end_field();
        if (installed && !package.name.empty()) {
            packages.push_back(std::move(package));
        }
        package = {};
        installed = false;
    };

    for_each_part(status, '\n', [&](std::string_view line) {
        if (line.empty()) {
            end_stanza();
        } else if (line.front() == ' ' || line.front() == '\t') {
            if (!field_name.empty() && field_name != "Description" && field_name != "Conffiles") {
                field += line;
            }
        } else {
            end_field();
            if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
                field_name = line.substr(0, colon);
                field = line.substr(colon + 1);
            }
        }
    });
    end_stanza();
    return packages;
}

std::optional<DpkgDatabase> DpkgDatabase::open(const std::filesystem::path& dir) {
    const auto status = MappedFile::try_open(dir / "status");
    if (!status) {
        return std::nullopt;
    }
    DpkgDatabase database;
    database.dir_ = dir;
    database.packages_ = parse_dpkg_status(status->text());
    for (std::size_t i = 0; i < database.packages_.size(); ++i) {
        database.by_name_[database.packages_[i].name].push_back(i);
        for (const std::string& provided : database.packages_[i].provides) {
            database.provided_.emplace(provided, i);
        }
    }
    if (const auto text = read_text(dir / "diversions")) {
        std::vector<std::string> lines;
        for_each_part(*text, '\n', [&](std::string_view line) { lines.emplace_back(line); });
        for (std::size_t i = 0; i + 2 < lines.size(); i += 3) {
            database.diversions_[lines[i]] = {lines[i + 1], lines[i + 2]};
        }
    }
    return database;
}

const DebPackage* DpkgDatabase::find(const std::string& name) const {
    const std::size_t colon = name.find(':');
    const std::string plain = name.substr(0, colon);
    const std::string wanted =
        colon == std::string::npos ? std::string{kMachineArchitecture} : name.substr(colon + 1);
    const auto found = by_name_.find(plain);
    if (found == by_name_.end()) {
        return nullptr;
    }
    for (const std::size_t index : found->second) {
        const DebPackage& package = packages_[index];
        if (package.architecture == wanted || package.architecture == "all") {
            return &package;
        }
    }
    return colon == std::string::npos ? &packages_[found->second.front()] : nullptr;
}

const DebPackage* DpkgDatabase::provider_of(const std::string& name) const {
    const auto found = provided_.find(name);
    return found == provided_.end() ? nullptr : &packages_[found->second];
}

std::filesystem::path DpkgDatabase::list_path(const DebPackage& package) const {
    // "Multi-Arch: same" packages carry their architecture in the name.
    std::filesystem::path path =
        dir_ / "info" / (package.name + ":" + package.architecture + ".list");
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
        path = dir_ / "info" / (package.name + ".list");
    }
    return path;
}

const DebPackage* DpkgDatabase::owner_of(const std::string& path) const {
    std::vector<std::string> forms{"\n" + path + "\n"};
    for (const std::string_view folder : kMergedFolders) {
        if (path.starts_with(folder)) {
            forms.push_back("\n/usr" + path + "\n");
        } else if (path.starts_with("/usr" + std::string{folder})) {
            forms.push_back("\n" + path.substr(4) + "\n");
        }
    }
    for (const DebPackage& package : packages_) {
        const auto list = MappedFile::try_open(list_path(package));
        // A list's first line is "/.", so that every other line has a newline before it.
        if (list && std::ranges::any_of(forms, [&](const std::string& form) {
                return list->text().find(form) != std::string_view::npos;
            })) {
            const auto diversion = diversions_.find(path);
            if (diversion == diversions_.end() || diversion->second.package == package.name) {
                return &package;
            }
        }
    }
    return nullptr;
}

std::vector<std::string> DpkgDatabase::files_of(const DebPackage& package) const {
    std::vector<std::string> files;
    const auto list = MappedFile::try_open(list_path(package));
    if (!list) {
        return files;
    }
    for_each_part(list->text(), '\n', [&](std::string_view line) {
        if (!line.starts_with('/') || line == "/.") {
            return;
        }
        std::string path{line};
        if (const auto diversion = diversions_.find(path);
            diversion != diversions_.end() && diversion->second.package != package.name) {
            path = diversion->second.to;
        }
        files.push_back(std::move(path));
    });
    return files;
}

std::vector<const DebPackage*> DpkgDatabase::closure(
    const std::vector<const DebPackage*>& roots) const {
    std::vector<const DebPackage*> out;
    std::unordered_set<const DebPackage*> seen;
    std::deque<const DebPackage*> todo{roots.begin(), roots.end()};
    while (!todo.empty()) {
        const DebPackage* const package = todo.front();
        todo.pop_front();
        if (!seen.insert(package).second) {
            continue;
        }
        out.push_back(package);
        for (const auto& alternatives : package->depends) {
            const DebPackage* chosen = nullptr;
            for (const std::string& name : alternatives) {
                chosen = find(name);
                if (chosen == nullptr) {
                    chosen = provider_of(name);
                }
                if (chosen != nullptr) {
                    break;
                }
            }
            if (chosen != nullptr && !is_packaging_only(chosen->name)) {
                todo.push_back(chosen);
            }
        }
    }
    return out;
}

std::vector<DpkgDatabase::Alternative> DpkgDatabase::alternatives() const {
    // Each file is a group: its status, the master link, then pairs of lines (name, link) of the
    // slaves up to an empty line.
    std::vector<Alternative> out;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator{dir_ / "alternatives", error}) {
        const auto text = read_text(entry.path());
        if (!text) {
            continue;
        }
        std::vector<std::string> lines;
        for_each_part(*text, '\n', [&](std::string_view line) { lines.emplace_back(line); });
        if (lines.size() < 2) {
            continue;
        }
        out.push_back({lines[1], entry.path().filename().string()});
        for (std::size_t i = 2; i + 1 < lines.size() && !lines[i].empty(); i += 2) {
            out.push_back({lines[i + 1], lines[i]});
        }
    }
    std::ranges::sort(out, {}, &Alternative::link);
    return out;
}

}  // namespace kiln::tool
