// A folder of files for one test, removed after it.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "lib/file.hpp"

namespace kiln::tool::test {

class TestFolder {
public:
    TestFolder() : folder_{std::filesystem::temp_directory_path(), "kiln-test-"} {}
    const std::filesystem::path& path() const { return folder_.path(); }

    void file(const std::string& name, const std::string& contents, unsigned mode = 0644) const {
        const std::filesystem::path path = folder_.path().string() + "/" + name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream{path, std::ios::binary} << contents;
        std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode));
    }
    void program(const std::string& name, const std::string& contents) const {
        file(name, contents, 0755);
    }
    void link(const std::string& name, const std::string& target) const {
        const std::filesystem::path path = folder_.path().string() + "/" + name;
        std::filesystem::create_directories(path.parent_path());
        std::filesystem::create_symlink(target, path);
    }

private:
    TemporaryDirectory folder_;
};

}  // namespace kiln::tool::test
