#include "lib/root_view.hpp"

#include <cerrno>
#include <deque>

#include <unistd.h>

#include "lib/file.hpp"

namespace kiln::tool {
namespace {

constexpr std::size_t kMaxSymlinks = 40;  // MAXSYMLINKS of Linux, path_resolution(7)

void push_components(std::deque<std::string>& front, const std::string& path) {
    std::size_t end = path.size();
    while (end > 0) {
        const std::size_t slash = path.rfind('/', end - 1);
        const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
        if (end > begin) {
            front.push_front(path.substr(begin, end - begin));
        }
        end = slash == std::string::npos ? 0 : slash;
    }
}

}  // namespace

std::string normalize_path(const std::string& path) {
    std::deque<std::string> components;
    push_components(components, path);
    std::vector<std::string> kept;
    for (auto& component : components) {
        if (component == "..") {
            if (!kept.empty()) {
                kept.pop_back();
            }
        } else if (component != ".") {
            kept.push_back(std::move(component));
        }
    }
    std::string out;
    for (const auto& component : kept) {
        out += '/';
        out += component;
    }
    return out.empty() ? "/" : out;
}

std::string parent_of(const std::string& canonical) {
    const std::size_t slash = canonical.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : canonical.substr(0, slash);
}

std::string base_name(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

RootView::RootView(std::filesystem::path host_dir)
    : host_dir_{std::filesystem::weakly_canonical(host_dir)}, is_host_{host_dir_ == "/"} {}

std::filesystem::path RootView::host_path(const std::string& canonical) const {
    if (is_host_) {
        return canonical;
    }
    return host_dir_.string() + (canonical == "/" ? "" : canonical);
}

std::optional<ResolvedPath> RootView::resolve(const std::string& path) const {
    return walk(path, true);
}
std::optional<ResolvedPath> RootView::resolve_parent(const std::string& path) const {
    return walk(path, false);
}

std::optional<ResolvedPath> RootView::walk(const std::string& path, bool follow_last) const {
    ResolvedPath out{"/", {}, {}};
    bool have_status = false;

    // Most paths differ in their last component only: start from a parent that is known.
    std::deque<std::string> todo;
    const std::string parent = parent_of(path);
    if (const auto known = known_folders_.find(parent); known != known_folders_.end()) {
        out.path = parent;
        push_components(todo, base_name(path));
    } else {
        push_components(todo, path);
    }

    while (!todo.empty()) {
        const std::string component = std::move(todo.front());
        todo.pop_front();
        if (component == ".") {
            continue;
        }
        if (component == "..") {
            out.path = parent_of(out.path);
            have_status = false;
            continue;
        }
        const std::string next = (out.path == "/" ? "" : out.path) + "/" + component;
        if (!todo.empty() && known_folders_.contains(next)) {
            out.path = next;
            have_status = false;
            continue;
        }
        const std::filesystem::path on_host = host_path(next);
        if (::lstat(on_host.c_str(), &out.status) != 0) {
            return std::nullopt;
        }
        have_status = true;
        if (S_ISLNK(out.status.st_mode) && (follow_last || !todo.empty())) {
            if (out.symlinks.size() >= kMaxSymlinks) {
                errno = ELOOP;
                return std::nullopt;
            }
            std::error_code error;
            const std::string target = std::filesystem::read_symlink(on_host, error).string();
            if (error) {
                return std::nullopt;
            }
            out.symlinks.push_back(next);
            push_components(todo, target);
            if (target.starts_with('/')) {
                out.path = "/";
            }
            have_status = false;
            continue;
        }
        if (!todo.empty() && !S_ISDIR(out.status.st_mode)) {
            errno = ENOTDIR;
            return std::nullopt;
        }
        if (S_ISDIR(out.status.st_mode)) {
            known_folders_.emplace(next, true);
        }
        out.path = next;
    }
    if (!have_status && ::lstat(host_path(out.path).c_str(), &out.status) != 0) {
        return std::nullopt;
    }
    return out;
}

bool RootView::is_regular_file(const std::string& path) const {
    const auto found = resolve(path);
    return found && S_ISREG(found->status.st_mode);
}

std::optional<std::string> RootView::read_text(const std::string& path) const {
    const auto found = resolve(path);
    if (!found || !S_ISREG(found->status.st_mode)) {
        return std::nullopt;
    }
    return tool::read_text(host_path(found->path));
}

}  // namespace kiln::tool
