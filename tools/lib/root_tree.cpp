#include "lib/root_tree.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.hpp"
#include "lib/file.hpp"

namespace kiln::tool {
namespace {

// Files that do not come from the host have the time 0, so that an image is the same wherever it is
// made.
constexpr timespec kNoTime{0, 0};

}  // namespace

void RootTree::add_parents(const std::string& canonical) {
    const std::string parent = parent_of(canonical);
    if (parent == "/" || entries_.contains(parent)) {
        return;
    }
    struct stat status {};
    if (::lstat(view_.host_path(parent).c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
        add_canonical(parent, status);
    } else {
        add_directory(parent, 0755);
    }
}

bool RootTree::add_canonical(const std::string& canonical, const struct stat& status) {
    if (canonical == "/" || entries_.contains(canonical)) {
        return true;
    }
    TreeEntry entry{TreeEntry::Kind::kFile, status.st_mode & 07777, status.st_mtim, 0, {}, {}, {}};
    const std::filesystem::path on_host = view_.host_path(canonical);
    if (S_ISDIR(status.st_mode)) {
        entry.kind = TreeEntry::Kind::kDirectory;
        // A folder's time changes with what is installed beside the files that are taken.
        entry.mtime = kNoTime;
    } else if (S_ISLNK(status.st_mode)) {
        entry.kind = TreeEntry::Kind::kSymlink;
        std::error_code error;
        entry.text = std::filesystem::read_symlink(on_host, error).string();
        if (error) {
            return false;
        }
    } else if (S_ISREG(status.st_mode)) {
        if (::access(on_host.c_str(), R_OK) != 0) {
            unreadable_.push_back(canonical);
            return false;
        }
        entry.bytes = static_cast<std::uint64_t>(status.st_size);
        entry.host_path = on_host;
        if (status.st_nlink > 1) {
            const auto [first, is_new] =
                linked_.try_emplace({status.st_dev, status.st_ino}, canonical);
            if (!is_new) {
                entry.same_as = first->second;
            }
        }
    } else {
        return false;
    }
    add_parents(canonical);
    entries_.emplace(canonical, std::move(entry));
    return true;
}

bool RootTree::add_path(const std::string& path) {
    const auto last = view_.resolve_parent(path);
    if (!last) {
        return false;
    }
    struct stat status {};
    for (const std::string& link : last->symlinks) {
        if (::lstat(view_.host_path(link).c_str(), &status) == 0) {
            add_canonical(link, status);
        }
    }
    const bool added = add_canonical(last->path, last->status);
    if (added && S_ISLNK(last->status.st_mode)) {
        if (const auto target = view_.resolve(last->path)) {
            for (const std::string& link : target->symlinks) {
                if (::lstat(view_.host_path(link).c_str(), &status) == 0) {
                    add_canonical(link, status);
                }
            }
            // A link to a folder takes the folder, not its contents: they belong to whoever lists
            // them.
            add_canonical(target->path, target->status);
        }
    }
    return added;
}

void RootTree::add_directory(const std::string& path, std::uint32_t mode) {
    const auto found = view_.resolve(path);
    const std::string canonical =
        found && S_ISDIR(found->status.st_mode) ? found->path : normalize_path(path);
    if (found && canonical != normalize_path(path)) {
        add_path(path);
    }
    if (canonical == "/" || entries_.contains(canonical)) {
        return;
    }
    add_parents(canonical);
    entries_.emplace(canonical,
                     TreeEntry{TreeEntry::Kind::kDirectory, mode, kNoTime, 0, {}, {}, {}});
}

void RootTree::add_file(const std::string& path, std::string text, std::uint32_t mode) {
    if (entries_.contains(path)) {
        return;
    }
    add_parents(path);
    const std::uint64_t bytes = text.size();
    entries_.emplace(
        path, TreeEntry{TreeEntry::Kind::kFile, mode, kNoTime, bytes, {}, std::move(text), {}});
}

std::string RootTree::canonicalize(const std::string& path) const {
    std::string done;
    std::string rest = normalize_path(path);
    for (int links = 0; rest != "/" && !rest.empty();) {
        const std::size_t end = std::min(rest.find('/', 1), rest.size());
        const std::string next = done + rest.substr(0, end);
        rest = rest.substr(end);
        const auto entry = entries_.find(next);
        if (entry != entries_.end() && entry->second.kind == TreeEntry::Kind::kSymlink &&
            ++links <= 40) {
            const std::string& target = entry->second.text;
            rest = normalize_path((target.starts_with('/') ? target : done + "/" + target) + rest);
            done.clear();
        } else {
            done = next;
        }
    }
    return done.empty() ? "/" : done;
}

std::uint64_t RootTree::file_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [path, entry] : entries_) {
        sum += entry.same_as.empty() ? entry.bytes : 0;
    }
    return sum;
}

void RootTree::fingerprint(Fingerprint& out) const {
    for (const auto& [path, entry] : entries_) {
        out.add(path);
        out.add(static_cast<std::uint64_t>(entry.kind));
        out.add(entry.mode);
        out.add(static_cast<std::uint64_t>(entry.mtime.tv_sec));
        out.add(static_cast<std::uint64_t>(entry.mtime.tv_nsec));
        out.add(entry.bytes);
        out.add(entry.host_path.native());
        out.add(entry.text);
        out.add(entry.same_as);
    }
}

void RootTree::stage(const std::filesystem::path& dir) const {
    const auto set_times = [](const std::filesystem::path& path, const timespec& mtime) {
        const timespec times[2] = {mtime, mtime};
        ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
    };
    // The map's order has each folder before what it holds.
    for (const auto& [path, entry] : entries_) {
        const std::filesystem::path target = dir.string() + path;
        switch (entry.kind) {
            case TreeEntry::Kind::kDirectory:
                if (::mkdir(target.c_str(), 0700) != 0) {
                    fail("cannot make {}: {}", target.string(), errno_text(errno));
                }
                break;
            case TreeEntry::Kind::kSymlink:
                if (::symlink(entry.text.c_str(), target.c_str()) != 0) {
                    fail("cannot make {}: {}", target.string(), errno_text(errno));
                }
                set_times(target, entry.mtime);
                break;
            case TreeEntry::Kind::kFile: {
                if (!entry.same_as.empty()) {
                    break;
                }
                const UniqueFd out{
                    ::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
                if (!out) {
                    fail("cannot make {}: {}", target.string(), errno_text(errno));
                }
                if (entry.host_path.empty()) {
                    write_all(out.get(), entry.text, target.string());
                } else {
                    const UniqueFd in{::open(entry.host_path.c_str(), O_RDONLY | O_CLOEXEC)};
                    if (!in) {
                        fail("cannot read {}: {}", entry.host_path.string(), errno_text(errno));
                    }
                    append_file(out.get(), in.get(), entry.bytes, target.string());
                }
                // mkfs.erofs reads it as this user, so that the owner's read bit has to stay.
                ::fchmod(out.get(), entry.mode | 0400);
                set_times(target, entry.mtime);
                break;
            }
        }
    }
    for (const auto& [path, entry] : entries_) {
        if (!entry.same_as.empty() &&
            ::link((dir.string() + entry.same_as).c_str(), (dir.string() + path).c_str()) != 0) {
            fail("cannot make {}{}: {}", dir.string(), path, errno_text(errno));
        }
    }
    // Folders last and from the inside out: what is made in them changes their time, and their mode
    // may forbid it.
    for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
        if (it->second.kind == TreeEntry::Kind::kDirectory) {
            const std::filesystem::path target = dir.string() + it->first;
            ::chmod(target.c_str(), it->second.mode | 0700);
            set_times(target, it->second.mtime);
        }
    }
    set_times(dir, kNoTime);
}

}  // namespace kiln::tool
