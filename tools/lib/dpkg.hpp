// Debian's package database, read from its files (deb(5), dpkg-query(1), Debian Policy 7): which
// packages are installed, what they depend on and which files they have.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace kiln::tool {

struct DebPackage {
    std::string name;
    std::string architecture;
    std::string version;
    // Depends and Pre-Depends: each a list of alternatives, without versions and architecture
    // qualifiers. dpkg has seen to the versions when it installed the package.
    std::vector<std::vector<std::string>> depends;
    std::vector<std::string> provides;
};

// "libc6 (>= 2.34), debconf | debconf-2.0" -> {{libc6}, {debconf, debconf-2.0}}
std::vector<std::vector<std::string>> parse_dependencies(std::string_view field);

// The installed packages of a status file, in its order. Stanzas that are malformed or not
// installed are passed over.
std::vector<DebPackage> parse_dpkg_status(std::string_view status);

class DpkgDatabase {
public:
    // `dir` is /var/lib/dpkg. Nothing where there is no such database.
    static std::optional<DpkgDatabase> open(const std::filesystem::path& dir);

    // A package by its name, or nothing. Of several architectures, `machine_architecture` ("amd64")
    // is taken.
    const DebPackage* find(const std::string& name) const;
    // The package that has the file. `path` may be canonical (/usr/lib/x) where the package says
    // /lib/x.
    const DebPackage* owner_of(const std::string& path) const;
    // The paths a package has, as it says them, without diverted ones that now lie elsewhere.
    std::vector<std::string> files_of(const DebPackage& package) const;

    // `roots` and all they depend on, recursively, each once. An alternative is the first one
    // installed, itself or by a package that provides it. What only serves packaging (see
    // kPackagingOnly) is not followed, unless it is a root.
    std::vector<const DebPackage*> closure(const std::vector<const DebPackage*>& roots) const;

    // Links kept by update-alternatives(1): the link's path and the name under /etc/alternatives.
    struct Alternative {
        std::string link;
        std::string name;
    };
    std::vector<Alternative> alternatives() const;

private:
    std::filesystem::path list_path(const DebPackage& package) const;
    const DebPackage* provider_of(const std::string& name) const;

    std::filesystem::path dir_;
    std::vector<DebPackage> packages_;
    std::unordered_map<std::string, std::vector<std::size_t>> by_name_;
    std::unordered_map<std::string, std::size_t> provided_;
    struct Diversion {
        std::string to;
        std::string package;
    };
    std::unordered_map<std::string, Diversion> diversions_;
};

// True for a package that programs depend on for its part in installing or configuring them
// (debconf, dpkg, init scripts, …) and that nothing needs while the program runs.
bool is_packaging_only(std::string_view name);

// True for a path of a package that no program reads to do its work: documentation, manual pages,
// message catalogues, shell completion, init and cron files, and so on. The C.UTF-8 locale is kept.
// Headers are for compilers: kept of packages whose name ends in -dev.
bool is_left_out(std::string_view path, std::string_view package);

}  // namespace kiln::tool
