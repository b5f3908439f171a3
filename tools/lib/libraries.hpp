// Finds what the dynamic linker of a program would load: its interpreter and the shared libraries
// it needs, transitively, as ld.so(8) of glibc does, or musl's for a program of musl.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/ld_cache.hpp"
#include "lib/root_view.hpp"

namespace kiln::tool {

struct ElfNeeds {
    std::vector<std::string> files;  // paths by which ld.so would open them, interpreter first
    struct Missing {
        std::string library;
        std::string needed_by;
    };
    std::vector<Missing> missing;
    bool missing_interpreter = false;
    std::string interpreter;  // as PT_INTERP says it; empty for a static program
};

class LibraryFinder {
public:
    // `library_path` is LD_LIBRARY_PATH of the guest. `root` must outlive the object.
    LibraryFinder(const RootView& root, std::uint16_t machine, std::string library_path);

    // What the program at `path` (inside the root) needs. Throws ElfError for the program or its
    // interpreter; libraries of another processor are passed over, as ld.so does.
    ElfNeeds needs_of(const std::string& path);

    const std::vector<LdCacheEntry>& cache() const { return cache_; }

private:
    struct Object {
        std::string path;      // as found
        std::string resolved;  // canonical
        std::vector<std::string> needed;
        std::string rpath;
        std::string runpath;
        int loader;  // index of the object that needed it first; -1 for the program
    };

    std::optional<Object> try_object(const std::string& path, int loader) const;
    std::optional<Object> find(const std::string& name, const std::vector<Object>& objects, int by,
                               bool musl) const;
    std::vector<std::string> expand(const std::string& list, const Object& object) const;
    std::vector<std::string> musl_path(const std::string& interpreter) const;

    const RootView& root_;
    std::uint16_t machine_;
    std::string library_path_;
    std::vector<LdCacheEntry> cache_;
    std::unordered_map<std::string, std::string> cache_index_;
    std::vector<std::string> system_dirs_;
    std::vector<std::string> musl_dirs_;
};

}  // namespace kiln::tool
