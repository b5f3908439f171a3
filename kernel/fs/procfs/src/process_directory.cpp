// /proc/PID and /proc/PID/task/TID; proc(5).
#include <algorithm>

#include <kiln/vfs/path.hpp>

#include "nodes.hpp"
#include "process_files.hpp"

namespace kiln::fs {
namespace {

struct Id {
    std::int32_t pid;
    std::int32_t tid;  // 0: the process as a whole
};

// Numbers below a process's: room for its files, its descriptors twice, its tasks.
constexpr std::uint64_t kFileBase = 1;
constexpr std::uint64_t kLinkBase = 100;
constexpr std::uint64_t kFdDirectory = 200;
constexpr std::uint64_t kFdInfoDirectory = 201;
constexpr std::uint64_t kTaskDirectory = 202;
constexpr std::uint64_t kFdBase = 0x10000;
constexpr std::uint64_t kFdInfoBase = 0x80000;

std::uint64_t number_of(Id id, std::uint64_t item) {
    const std::uint64_t base = static_cast<std::uint64_t>(id.tid != 0 ? id.tid : id.pid);
    return (base << 24) | (id.tid != 0 ? std::uint64_t{1} << 23 : 0) | item;
}

ProcessView& view() { return *process_view(); }

class ProcessSource final : public TextSource {
public:
    ProcessSource(Id id, const ProcessFile& file) : id_(id), file_(file) {}
    Result<void> format(vfs::TextSink& out) override {
        return file_.format(view(), id_.pid, id_.tid, out);
    }
    Result<void> store(std::string_view text) override {
        if (!file_.store) return Errno::kEPERM;
        return file_.store(view(), id_.pid, id_.tid, text);
    }

private:
    const Id id_;
    const ProcessFile& file_;
};

class FdInfoSource final : public TextSource {
public:
    FdInfoSource(Id id, int fd) : id_(id), fd_(fd) {}
    Result<void> format(vfs::TextSink& out) override {
        return format_fdinfo(view(), id_.pid, fd_, out);
    }

private:
    const Id id_;
    const int fd_;
};

// A link to an object of a process: where it leads is asked at each use.
class MagicLink final : public ProcInode {
public:
    enum class Kind : std::uint8_t { kExecutable, kCwd, kRoot, kFd };
    MagicLink(vfs::FileSystem& fs, std::uint64_t number, std::uint32_t mode, Id id, Kind kind,
              int fd)
        : ProcInode(fs, number, vfs::kModeSymlink | mode), id_(id), kind_(kind), fd_(fd) {}
    bool is_magic_link() const override { return true; }
    Result<vfs::Attributes> attributes() override {
        vfs::Attributes a = TRY(ProcInode::attributes());
        a.size = 64;  // as Linux says of descriptors
        return a;
    }
    Result<vfs::Path> follow() override {
        switch (kind_) {
            case Kind::kExecutable: return view().executable(id_.pid);
            case Kind::kCwd: return view().cwd(id_.pid);
            case Kind::kRoot: return view().root(id_.pid);
            case Kind::kFd: {
                Ref<vfs::File> file = TRY(descriptor());
                if (file->path()) return vfs::Path(file->path());
                return make_path_of(std::move(file));
            }
        }
        return Errno::kENOENT;
    }
    Result<std::size_t> read_link(std::span<char> out) override {
        char text[4096 / 4];
        std::size_t n = 0;
        if (kind_ == Kind::kFd) {
            Ref<vfs::File> file = TRY(descriptor());
            n = file->describe(text);
        } else {
            const vfs::Path path = TRY(follow());
            n = TRY(path.format(text, vfs::root_path()));
        }
        n = std::min(n, out.size());
        std::copy_n(text, n, out.data());
        return n;
    }

private:
    Result<Ref<vfs::File>> descriptor() {
        Result<Ref<vfs::File>> file = view().file(id_.pid, fd_);
        if (!file.ok()) return Errno::kENOENT;
        return file;
    }
    // Pipes and their like have no path: opening the link gives the very object, as far as it can be had
    // again.
    class AnonymousInode final : public ProcInode {
    public:
        AnonymousInode(vfs::FileSystem& fs, const vfs::Attributes& a, Ref<vfs::File> file)
            : ProcInode(fs, a.inode_number, a.mode, a.uid, a.gid), file_(std::move(file)) {}
        Result<vfs::Attributes> attributes() override { return file_->attributes(); }
        Result<Ref<vfs::File>> open(const vfs::OpenContext& context) override {
            // The same open file, when it can do what is asked (Linux opens a pipe's end anew, with
            // the same effect save for O_NONBLOCK).
            const std::uint32_t mode = context.flags & abi::kO_ACCMODE;
            const bool reads = mode != abi::kO_WRONLY;
            const bool writes = mode != abi::kO_RDONLY;
            if ((reads && !file_->is_readable()) || (writes && !file_->is_writable()))
                return Errno::kEACCES;
            return Ref<vfs::File>(file_);
        }
        Result<void> set_attributes(const vfs::Attributes&, std::uint32_t) override { return {}; }

    private:
        Ref<vfs::File> file_;
    };
    Result<vfs::Path> make_path_of(Ref<vfs::File> file) {
        const vfs::Attributes a = TRY(file->attributes());
        char text[64];
        const std::size_t n = file->describe(text);
        Ref<vfs::Inode> inode = TRY(mem::make_ref<AnonymousInode>(*fs_, a, std::move(file)));
        return vfs::make_unlinked_path(Ref<vfs::FileSystem>(fs_), std::move(inode), {text, n});
    }
    const Id id_;
    const Kind kind_;
    const int fd_;
};

// fd and fdinfo.
class FdDirectory final : public ProcInode {
public:
    FdDirectory(vfs::FileSystem& fs, Id id, bool info, std::uint32_t uid, std::uint32_t gid)
        : ProcInode(fs, number_of(id, info ? kFdInfoDirectory : kFdDirectory),
                    vfs::kModeDirectory | (info ? 0555 : 0500), uid, gid),
          id_(id),
          info_(info) {}
    Result<Ref<vfs::Inode>> lookup(std::string_view name) override {
        const int fd = parse_id(name);
        if (fd < 0) return Errno::kENOENT;
        const Result<Ref<vfs::File>> file = view().file(id_.pid, fd);
        if (!file.ok()) return Errno::kENOENT;
        if (info_) {
            Ref<TextSource> source = TRY(mem::make_ref<FdInfoSource>(id_, fd));
            return Ref<vfs::Inode>(TRY(mem::make_ref<ProcText>(
                *fs_, number_of(id_, kFdInfoBase + static_cast<std::uint64_t>(fd)), 0444u,
                std::move(source), uid(), gid())));
        }
        // The owner's bits tell how the file is open.
        const std::uint32_t mode =
            (file.value()->is_readable() ? 0500u : 0u) | (file.value()->is_writable() ? 0300u : 0u);
        return Ref<vfs::Inode>(TRY(
            mem::make_ref<MagicLink>(*fs_, number_of(id_, kFdBase + static_cast<std::uint64_t>(fd)),
                                     mode, id_, MagicLink::Kind::kFd, fd)));
    }
    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override {
        int fd = static_cast<int>(std::min<std::uint64_t>(offset, INT32_MAX));
        while ((fd = view().next_fd(id_.pid, fd)) >= 0) {
            char text[16];
            const std::string_view name(text, format_to(text, "{}", fd));
            const std::uint64_t item =
                (info_ ? kFdInfoBase : kFdBase) + static_cast<std::uint64_t>(fd);
            if (!sink.add(name, number_of(id_, item), info_ ? vfs::kModeRegular : vfs::kModeSymlink,
                          static_cast<std::uint64_t>(fd) + 1))
                break;
            fd++;
        }
        return {};
    }

private:
    const Id id_;
    const bool info_;
};

class TaskDirectory final : public ProcInode {
public:
    TaskDirectory(vfs::FileSystem& fs, std::int32_t pid, std::uint32_t uid, std::uint32_t gid)
        : ProcInode(fs, number_of({pid, 0}, kTaskDirectory), vfs::kModeDirectory | 0555, uid, gid),
          pid_(pid) {}
    Result<Ref<vfs::Inode>> lookup(std::string_view name) override {
        const std::int32_t tid = parse_id(name);
        if (tid <= 0) return Errno::kENOENT;
        return make_process_directory(*fs_, pid_, tid);
    }
    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override {
        auto tid = static_cast<std::int32_t>(std::min<std::uint64_t>(offset, INT32_MAX));
        while ((tid = view().next_tid(pid_, tid)) > 0) {
            char text[16];
            const std::string_view name(text, format_to(text, "{}", tid));
            if (!sink.add(name, number_of({pid_, tid}, 0), vfs::kModeDirectory,
                          static_cast<std::uint64_t>(tid)))
                break;
        }
        return {};
    }

private:
    const std::int32_t pid_;
};

struct LinkName {
    std::string_view name;
    MagicLink::Kind kind;
};
constexpr LinkName kLinks[] = {{"exe", MagicLink::Kind::kExecutable},
                               {"cwd", MagicLink::Kind::kCwd},
                               {"root", MagicLink::Kind::kRoot}};
constexpr std::string_view kDirectories[] = {"fd", "fdinfo", "task"};

class ProcessDirectory final : public ProcInode {
public:
    ProcessDirectory(vfs::FileSystem& fs, Id id, std::uint32_t uid, std::uint32_t gid)
        : ProcInode(fs, number_of(id, 0), vfs::kModeDirectory | 0555, uid, gid), id_(id) {}

    Result<Ref<vfs::Inode>> lookup(std::string_view name) override {
        const std::span<const ProcessFile> files = process_files();
        for (std::size_t i = 0; i < files.size(); i++) {
            if (files[i].name != name) continue;
            Ref<TextSource> source = TRY(mem::make_ref<ProcessSource>(id_, files[i]));
            return Ref<vfs::Inode>(
                TRY(mem::make_ref<ProcText>(*fs_, number_of(id_, kFileBase + i), files[i].mode,
                                            std::move(source), uid(), gid())));
        }
        for (std::size_t i = 0; i < std::size(kLinks); i++) {
            if (kLinks[i].name != name) continue;
            return Ref<vfs::Inode>(TRY(mem::make_ref<MagicLink>(*fs_, number_of(id_, kLinkBase + i),
                                                                0777u, id_, kLinks[i].kind, -1)));
        }
        if (name == "fd" || name == "fdinfo")
            return Ref<vfs::Inode>(
                TRY(mem::make_ref<FdDirectory>(*fs_, id_, name == "fdinfo", uid(), gid())));
        if (name == "task" && id_.tid == 0)
            return Ref<vfs::Inode>(TRY(mem::make_ref<TaskDirectory>(*fs_, id_.pid, uid(), gid())));
        return Errno::kENOENT;
    }

    Result<void> read_directory(std::uint64_t offset, vfs::DirectorySink& sink) override {
        const std::span<const ProcessFile> files = process_files();
        const std::size_t links = files.size();
        const std::size_t directories = links + std::size(kLinks);
        const std::size_t end = directories + (id_.tid == 0 ? 3 : 2);
        for (std::uint64_t i = offset; i < end; i++) {
            bool taken;
            if (i < links) {
                taken = sink.add(files[i].name, number_of(id_, kFileBase + i), vfs::kModeRegular,
                                 i + 1);
            } else if (i < directories) {
                taken = sink.add(kLinks[i - links].name, number_of(id_, kLinkBase + i - links),
                                 vfs::kModeSymlink, i + 1);
            } else {
                taken = sink.add(kDirectories[i - directories],
                                 number_of(id_, kFdDirectory + i - directories),
                                 vfs::kModeDirectory, i + 1);
            }
            if (!taken) break;
        }
        return {};
    }

private:
    const Id id_;
};

}  // namespace

Result<Ref<vfs::Inode>> make_process_directory(vfs::FileSystem& fs, std::int32_t pid,
                                               std::int32_t tid) {
    ProcTask task;
    if (!view().describe(pid, tid, &task).ok()) return Errno::kENOENT;
    return Ref<vfs::Inode>(
        TRY(mem::make_ref<ProcessDirectory>(fs, Id{pid, tid}, task.uid[1], task.gid[1])));
}

}  // namespace kiln::fs
