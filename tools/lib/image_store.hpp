// The cache of root images: EROFS files made by mkfs.erofs(1), named by what is in them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "lib/root_tree.hpp"

namespace kiln::tool {

struct ErofsImage {
    std::filesystem::path path;
    std::uint64_t bytes;
    bool was_cached;
};

class ImageStore {
public:
    // `dir` is made where it is absent.
    explicit ImageStore(std::filesystem::path dir);

    // $XDG_CACHE_HOME/kiln, else ~/.cache/kiln, else a folder of this user's in /tmp.
    static std::filesystem::path default_dir();

    // The image of a tree, or of a whole folder of the host as it is. Throws Error, also where
    // mkfs.erofs is missing.
    ErofsImage of_tree(const RootTree& tree);
    ErofsImage of_folder(const std::filesystem::path& folder);

    const std::filesystem::path& dir() const { return dir_; }

private:
    ErofsImage get(const std::string& name,
                   const std::function<void(const std::filesystem::path& out,
                                            const std::filesystem::path& scratch)>& make);
    void prune(const std::filesystem::path& keep) const;

    std::filesystem::path dir_;
};

// The length an EROFS image says it has (blocks << blkszbits); 0 where `file` holds none.
std::uint64_t erofs_bytes(int fd);

// Makes two images of the same contents identical: sets the superblock's build time to 0 and mends
// its checksum.
void normalize_erofs(int fd);

}  // namespace kiln::tool
