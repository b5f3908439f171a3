#include <kiln/fs/procfs.hpp>

#include <atomic>

#include "nodes.hpp"

namespace kiln::fs {
namespace {

constinit std::atomic<ProcessView*> registered_view{nullptr};

// Inode numbers: fixed ones, rows of the table from kRowNumber on, processes above.
constexpr std::uint64_t kRootNumber = 1;
constexpr std::uint64_t kSelfNumber = 2;
constexpr std::uint64_t kThreadSelfNumber = 3;
constexpr std::uint64_t kMountsNumber = 4;
constexpr std::uint64_t kRowNumber = 0x1000;
constexpr std::uint64_t kDirectoryNumber = 0x10000;  // plus the index of the first row below it

class RowSource final : public TextSource {
public:
    explicit RowSource(const vfs::ProcFile& row) : row_(row) {}
    Result<void> format(vfs::TextSink& out) override {
        if (!row_.format) return Errno::kEINVAL;
        return row_.format(out);
    }
    Result<void> store(std::string_view text) override {
        return row_.store ? row_.store(text) : Result<void>(Errno::kEPERM);
    }

private:
    const vfs::ProcFile& row_;
};

// A directory that exists because registered rows lie below it. `prefix` is part of a row's path, which
// lives for ever; empty for /proc itself, else with the slash.
class RowDirectory : public ProcInode {
public:
    RowDirectory(vfs::FileSystem& fs, std::uint64_t number, std::string_view prefix)
        : ProcInode(fs, number, vfs::kModeDirectory | 0555), prefix_(prefix) {}

    Result<Ref<vfs::Inode>> lookup(std::string_view name) override {
        struct Search {
            std::string_view prefix;
            std::string_view name;
            std::uint64_t index;
            const vfs::ProcFile* row;
            std::uint64_t row_index;
            std::string_view directory;
            std::uint64_t directory_index;
        } search{prefix_, name, 0, nullptr, 0, {}, 0};
        vfs::for_each_proc_file(
            [](const vfs::ProcFile& row, void* cookie) {
                auto& s = *static_cast<Search*>(cookie);
                const std::uint64_t index = s.index++;
                if (!row.path.starts_with(s.prefix)) return;
                const std::string_view rest = row.path.substr(s.prefix.size());
                if (!rest.starts_with(s.name)) return;
                if (rest.size() == s.name.size()) {
                    s.row = &row;
                    s.row_index = index;
                } else if (rest[s.name.size()] == '/' && s.directory.empty()) {
                    s.directory = row.path.substr(0, s.prefix.size() + s.name.size() + 1);
                    s.directory_index = index;
                }
            },
            &search);
        if (search.row) {
            Ref<TextSource> source = TRY(mem::make_ref<RowSource>(*search.row));
            return Ref<vfs::Inode>(TRY(mem::make_ref<ProcText>(
                *fs_, kRowNumber + search.row_index, search.row->mode, std::move(source))));
        }
        if (!search.directory.empty()) {
            return Ref<vfs::Inode>(TRY(mem::make_ref<RowDirectory>(
                *fs_, kDirectoryNumber + search.directory_index, search.directory)));
        }
        return Errno::kENOENT;
    }

    // Offset n: the first n rows are done.
    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override {
        list_rows(offset, sink);
        return {};
    }

protected:
    /// False: the sink is full.
    bool list_rows(std::uint64_t offset, vfs::DirectorySink& sink) {
        struct Listing {
            std::string_view prefix;
            std::uint64_t index;
            std::uint64_t from;
            vfs::DirectorySink& sink;
            bool full;
        } listing{prefix_, 0, offset, sink, false};
        vfs::for_each_proc_file(
            [](const vfs::ProcFile& row, void* cookie) {
                auto& l = *static_cast<Listing*>(cookie);
                const std::uint64_t index = l.index++;
                if (l.full || index < l.from || !row.path.starts_with(l.prefix)) return;
                std::string_view name = row.path.substr(l.prefix.size());
                const std::size_t slash = name.find('/');
                if (slash == std::string_view::npos) {
                    l.full = !l.sink.add(name, kRowNumber + index, vfs::kModeRegular, index + 1);
                    return;
                }
                // A directory is shown by its first row.
                const std::string_view directory = row.path.substr(0, l.prefix.size() + slash + 1);
                const std::uint64_t first = first_row_below(directory);
                if (first == index) {
                    l.full = !l.sink.add(name.substr(0, slash), kDirectoryNumber + index,
                                         vfs::kModeDirectory, index + 1);
                }
            },
            &listing);
        return !listing.full;
    }
    static std::uint64_t row_count() {
        std::uint64_t n = 0;
        vfs::for_each_proc_file(
            [](const vfs::ProcFile&, void* cookie) { ++*static_cast<std::uint64_t*>(cookie); }, &n);
        return n;
    }

private:
    static std::uint64_t first_row_below(std::string_view directory) {
        struct Search {
            std::string_view directory;
            std::uint64_t index;
            std::uint64_t found;
        } search{directory, 0, UINT64_MAX};
        vfs::for_each_proc_file(
            [](const vfs::ProcFile& row, void* cookie) {
                auto& s = *static_cast<Search*>(cookie);
                const std::uint64_t index = s.index++;
                if (s.found == UINT64_MAX && row.path.starts_with(s.directory)) s.found = index;
            },
            &search);
        return search.found;
    }
    const std::string_view prefix_;
};

class RootDirectory final : public RowDirectory {
public:
    explicit RootDirectory(vfs::FileSystem& fs) : RowDirectory(fs, kRootNumber, {}) {}

    Result<Ref<vfs::Inode>> lookup(std::string_view name) override {
        if (name == "mounts") return make_link(kMountsNumber, "self/mounts");
        if (ProcessView* view = process_view()) {
            char text[40];
            if (name == "self" || name == "thread-self") {
                const std::int32_t pid = view->current_pid();
                if (pid == 0) return Errno::kENOENT;
                if (name == "self")
                    return make_link(kSelfNumber, {text, format_to(text, "{}", pid)});
                const std::size_t n = format_to(text, "{}/task/{}", pid, view->current_tid());
                return make_link(kThreadSelfNumber, {text, n});
            }
            const std::int32_t pid = parse_id(name);
            if (pid >= 0) return make_process_directory(*fs_, pid, 0);
        }
        return RowDirectory::lookup(name);
    }

    // Rows first, then the links, then processes at kProcesses + pid.
    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override {
        const std::uint64_t rows = row_count();
        if (offset < rows) {
            if (!list_rows(offset, sink)) return {};
            offset = rows;
        }
        constexpr std::string_view kLinks[] = {"mounts", "self", "thread-self"};
        constexpr std::uint64_t kNumbers[] = {kMountsNumber, kSelfNumber, kThreadSelfNumber};
        ProcessView* view = process_view();
        const bool has_self = view && view->current_pid() != 0;
        for (std::uint64_t i = 0; i < 3; i++) {
            if (offset > rows + i) continue;
            if (i > 0 && !has_self) break;
            if (!sink.add(kLinks[i], kNumbers[i], vfs::kModeSymlink, rows + i + 1)) return {};
        }
        if (!view) return {};
        std::int32_t pid = offset > kProcesses ? static_cast<std::int32_t>(offset - kProcesses) : 0;
        while ((pid = view->next_pid(pid)) > 0) {
            char text[16];
            const std::string_view name(text, format_to(text, "{}", pid));
            const std::uint64_t id = static_cast<std::uint64_t>(pid);
            if (!sink.add(name, id << 24, vfs::kModeDirectory, kProcesses + id)) return {};
        }
        return {};
    }

private:
    static constexpr std::uint64_t kProcesses = std::uint64_t{1} << 32;
    Result<Ref<vfs::Inode>> make_link(std::uint64_t number, std::string_view target) {
        return Ref<vfs::Inode>(TRY(mem::make_ref<ProcLink>(*fs_, number, target)));
    }
};

}  // namespace

ProcessView* process_view() { return registered_view.load(std::memory_order_acquire); }
void set_process_view(ProcessView* view) { registered_view.store(view, std::memory_order_release); }

std::int32_t parse_id(std::string_view name) {
    if (name.empty() || name.size() > 9 || (name.size() > 1 && name.front() == '0')) return -1;
    std::int32_t n = 0;
    for (const char c : name) {
        if (c < '0' || c > '9') return -1;
        n = n * 10 + (c - '0');
    }
    return n;
}

Result<Ref<vfs::FileSystem>> ProcFs::create_from(const vfs::MountSource&) {
    Ref<ProcFs> fs = TRY(mem::make_ref<ProcFs>());
    fs->root_ = TRY(mem::make_ref<RootDirectory>(*fs));
    return Ref<vfs::FileSystem>(std::move(fs));
}

}  // namespace kiln::fs

KILN_FILESYSTEM(proc, "proc", kiln::fs::ProcFs::create_from);
