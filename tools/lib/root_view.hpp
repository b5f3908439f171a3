// A root file system seen from inside: paths are resolved as a program would that has `host_dir` as
// its "/", so an absolute symlink leads to that root and ".." never above it. For the host itself
// `host_dir` is "/".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/stat.h>

namespace kiln::tool {

struct ResolvedPath {
    std::string path;                   // canonical: absolute, no symlink, no "." or ".."
    std::vector<std::string> symlinks;  // canonical paths of the symlinks met on the way, in order
    struct stat status;                 // of the file itself
};

class RootView {
public:
    explicit RootView(std::filesystem::path host_dir);

    // Follows symlinks, the last component's too. Nothing where a component is missing or the links
    // go in a circle.
    std::optional<ResolvedPath> resolve(const std::string& path) const;
    // The same, but the last component is taken as it is, also when it is a symlink.
    std::optional<ResolvedPath> resolve_parent(const std::string& path) const;

    // Where a canonical path lies on the host.
    std::filesystem::path host_path(const std::string& canonical) const;
    const std::filesystem::path& host_dir() const { return host_dir_; }
    bool is_host() const { return is_host_; }

    bool is_regular_file(const std::string& path) const;
    std::optional<std::string> read_text(const std::string& path) const;

private:
    std::optional<ResolvedPath> walk(const std::string& path, bool follow_last) const;

    std::filesystem::path host_dir_;
    bool is_host_;
    // Folders known to be canonical: most lookups share their parents.
    mutable std::unordered_map<std::string, bool> known_folders_;
};

// "/a/../b//c" -> "/b/c", by text alone.
std::string normalize_path(const std::string& path);
std::string parent_of(const std::string& canonical);
std::string base_name(const std::string& path);

}  // namespace kiln::tool
