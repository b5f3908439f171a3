// The contents of a root image before it is made: which path is which file of the host, symlink,
// folder or made-up file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <time.h>

#include "lib/root_view.hpp"
#include "lib/text.hpp"

namespace kiln::tool {

struct TreeEntry {
    enum class Kind : std::uint8_t { kDirectory, kFile, kSymlink };
    Kind kind;
    std::uint32_t mode;  // permission bits
    timespec mtime;
    std::uint64_t bytes;              // of a file
    std::filesystem::path host_path;  // of a file that exists on the host; empty for a made-up one
    std::string text;                 // contents of a made-up file, or a symlink's target
    std::string same_as;  // the first path of a file with several names: they stay one file
};

class RootTree {
public:
    // `view` must outlive the tree.
    explicit RootTree(const RootView& view) : view_{view} {}

    // Adds the host's file, folder (itself, not its contents) or symlink at `path`, with the
    // folders and symlinks that lead to it, and what a symlink leads to. False where it does not
    // exist or is of a kind that has no place in an image (device, socket). Files that this user
    // may not read are noted in unreadable().
    bool add_path(const std::string& path);

    // Made-up entries. An entry that is there already is kept.
    void add_directory(const std::string& path, std::uint32_t mode);
    void add_file(const std::string& path, std::string text, std::uint32_t mode);

    // Where `path` leads inside the tree: symlinks of the tree followed, what it does not have
    // taken by its text.
    std::string canonicalize(const std::string& path) const;

    bool contains(const std::string& canonical) const { return entries_.contains(canonical); }
    const std::map<std::string, TreeEntry>& entries() const { return entries_; }
    const std::vector<std::string>& unreadable() const { return unreadable_; }
    std::uint64_t file_bytes() const;

    // Adds everything that decides the image's bytes.
    void fingerprint(Fingerprint& out) const;

    // Makes the tree below `dir`, which exists and is empty, copying the files' contents. Throws
    // Error.
    void stage(const std::filesystem::path& dir) const;

private:
    bool add_canonical(const std::string& canonical, const struct stat& status);
    void add_parents(const std::string& canonical);

    const RootView& view_;
    std::map<std::string, TreeEntry> entries_;
    std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // host files with several names
    std::vector<std::string> unreadable_;
};

}  // namespace kiln::tool
