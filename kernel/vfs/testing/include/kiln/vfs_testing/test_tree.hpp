// What unit tests of the VFS and of file systems stand on: a machine with memory and one thread, a
// tree of mounts, and short ways to use it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/abi/linux/stat.hpp>
#include <kiln/arch/host.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/vfs/dentry.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::vfs::testing {

using namespace kiln::abi;

inline void start_machine() {
    static const bool started = [] {
        host::set_ram_size(64_MiB);
        mem::init();
        time::init();
        sched::init();
        return true;
    }();
    (void)started;
}

inline std::string name_of(Errno e) { return "errno " + std::to_string(static_cast<int>(e)); }

#define EXPECT_OK(expr)                                                \
    do {                                                               \
        const auto kiln_result = (expr);                               \
        EXPECT_TRUE(kiln_result.ok()) << name_of(kiln_result.error()); \
    } while (false)
#define EXPECT_ERRNO(expected, expr) \
    EXPECT_EQ(static_cast<int>(Errno::expected), static_cast<int>((expr).error()))

/// The names of a directory with their inode numbers.
class NameSink final : public DirectorySink {
public:
    explicit NameSink(std::size_t limit = SIZE_MAX) : limit_(limit) {}
    bool add(std::string_view name, std::uint64_t number, std::uint32_t, std::uint64_t) override {
        if (names.size() >= limit_) return false;
        names.emplace_back(name);
        numbers[std::string(name)] = number;
        return true;
    }
    std::vector<std::string> names;
    std::map<std::string, std::uint64_t> numbers;

private:
    std::size_t limit_;
};

/// A context whose root is any file system, mounted privately.
class Tree {
public:
    explicit Tree(Ref<FileSystem> fs) {
        start_machine();
        Ref<Dentry> root = Dentry::create(nullptr, {}, fs->root()).value();
        mount_ = adopt_ref(new Mount(std::move(fs), root, 0, 100));
        context.root = Path(mount_, root);
        context.cwd = context.root;
        context.umask = 022;
    }

    Result<void> mkdir(std::string_view name, std::uint32_t mode = 0777) {
        return make_directory(context, name, mode);
    }
    Result<void> write(std::string_view name, std::string_view text,
                       std::uint32_t flags = kO_WRONLY | kO_CREAT | kO_TRUNC) {
        Ref<File> file = TRY(open(context, name, flags, 0666));
        mem::IoBuffer from = mem::IoBuffer::kernel(std::as_bytes(std::span(text)));
        const std::size_t n = TRY(file->write_at_position(from));
        EXPECT_EQ(n, text.size());
        return {};
    }
    Result<std::string> read(std::string_view name) {
        Ref<File> file = TRY(open(context, name, kO_RDONLY, 0));
        return read(*file);
    }
    static Result<std::string> read(File& file) {
        std::string text;
        char buffer[5000];
        for (;;) {
            mem::IoBuffer to = mem::IoBuffer::kernel(buffer, sizeof(buffer));
            const std::size_t n = TRY(file.read_at_position(to));
            if (n == 0) return text;
            text.append(buffer, n);
        }
    }
    Result<Attributes> stat(std::string_view name, std::uint32_t flags = kLookupFollow) {
        const Path path = TRY(lookup(context, name, flags));
        return attributes(path);
    }
    Result<std::vector<std::string>> list(std::string_view name) {
        Ref<File> file = TRY(open(context, name, kO_RDONLY | kO_DIRECTORY, 0));
        NameSink sink;
        TRY(file->read_directory(sink));
        std::sort(sink.names.begin(), sink.names.end());
        return sink.names;
    }
    std::string readlink(std::string_view name) {
        const auto path = lookup(context, name, 0);
        if (!path.ok()) return name_of(path.error());
        char buffer[4096];
        const auto n = path.value().inode()->read_link(buffer);
        return n.ok() ? std::string(buffer, n.value()) : name_of(n.error());
    }
    bool exists(std::string_view name) { return lookup(context, name, 0).ok(); }
    Result<void> rename(std::string_view from, std::string_view to, std::uint32_t flags = 0) {
        return vfs::rename(context, from, context, to, flags);
    }
    Result<void> link(std::string_view from, std::string_view to) {
        return make_link(context, from, context, to, 0);
    }
    Result<void> symlink(std::string_view target, std::string_view name) {
        return make_symlink(context, target, name);
    }
    Result<void> unlink(std::string_view name) { return vfs::unlink(context, name); }
    Result<void> rmdir(std::string_view name) { return remove_directory(context, name); }

    LookupContext context;

private:
    Ref<Mount> mount_;
};

}  // namespace kiln::vfs::testing
