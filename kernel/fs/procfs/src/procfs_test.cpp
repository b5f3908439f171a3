#include <kiln/fs/procfs.hpp>
#include <kiln/fs/ramfs.hpp>
#include <kiln/vfs/device.hpp>

#include <kiln/vfs_testing/test_tree.hpp>

namespace kiln::fs {
namespace {

using namespace vfs::testing;
using namespace vfs;
using namespace abi;

class PipeLike final : public File {
public:
    PipeLike() : File(kO_RDONLY) {}
    std::size_t describe(std::span<char> out) const override {
        return std::string_view("pipe:[7]").copy(out.data(), out.size());
    }
    Result<Attributes> attributes() override { return anonymous_attributes(kModeFifo | 0600); }
};

// Processes 1 (tasks 1 and 12) and 30.
class FakeView final : public ProcessView {
public:
    std::int32_t current_pid() override { return pid; }
    std::int32_t current_tid() override { return 12; }
    std::int32_t next_pid(std::int32_t after) override {
        return after < 1 ? 1 : after < 30 ? 30 : -1;
    }
    std::int32_t next_tid(std::int32_t p, std::int32_t after) override {
        if (p != 1) return after < p ? p : -1;
        return after < 1 ? 1 : after < 12 ? 12 : -1;
    }
    Result<void> describe(std::int32_t p, std::int32_t tid, ProcTask* out) override {
        if (p != 1 && p != 30) return Errno::kESRCH;
        if (tid != 0 && tid != p && !(p == 1 && tid == 12)) return Errno::kESRCH;
        out->pid = p;
        out->tid = tid ? tid : p;
        out->threads = p == 1 ? 2 : 1;
        comm.copy(out->name, 15);
        out->uid[1] = 1000;
        out->affinity = 0xb;
        out->group_count = 2;
        out->groups[1] = 5;
        return {};
    }
    Result<Ref<vm::AddressSpace>> address_space(std::int32_t) override { return Errno::kESRCH; }
    Result<ProcImage> image(std::int32_t) override {
        ProcImage i{};
        i.arg_begin = {100};
        i.arg_end = {106};
        return i;
    }
    Result<std::size_t> read_memory(std::int32_t, VirtAddr from, std::span<char> out) override {
        return std::string_view("a\0bcd\0", 6)
            .substr(from.value - 100)
            .copy(out.data(), out.size());
    }
    Result<Path> executable(std::int32_t) override { return Path(exe); }
    Result<Path> cwd(std::int32_t) override { return root_path(); }
    Result<Path> root(std::int32_t) override { return root_path(); }
    int next_fd(std::int32_t, int from) override { return from <= 0 ? 0 : from <= 3 ? 3 : -1; }
    Result<Ref<File>> file(std::int32_t, int fd) override {
        if (fd == 0) return Ref<File>(pipe);
        if (fd == 3) return Ref<File>(regular);
        return Errno::kEBADF;
    }
    bool is_close_on_exec(std::int32_t, int fd) override { return fd == 3; }
    Result<Limit> limit(std::int32_t, unsigned resource) override {
        return resource == 7 ? Limit{1024, 4096} : Limit{UINT64_MAX, UINT64_MAX};
    }
    Result<void> set_name(std::int32_t, std::int32_t, std::string_view name) override {
        comm = name;
        return {};
    }

    std::int32_t pid = 1;
    std::string comm = "prog";
    Path exe;
    Ref<File> pipe;
    Ref<File> regular;
};

class Procfs : public ::testing::Test {
protected:
    static FakeView& view() {
        static FakeView v;
        return v;
    }
    void SetUp() override {
        static const bool started = [] {
            start_machine();
            EXPECT_OK(mount_root(RamFs::create({}).value(), "rootfs"));
            EXPECT_OK(create_path("/bin/prog", kModeRegular | 0755, 0));
            EXPECT_OK(create_path("/proc", kModeDirectory | 0755, 0));
            Ref<FileSystem> proc = find_file_system_type("proc").value()->create({}).value();
            EXPECT_OK(mount(lookup(kernel_context(), "/proc", 0).value(), proc, "proc", 0));
            view().exe = lookup(kernel_context(), "/bin/prog", 0).value();
            view().pipe = adopt_ref<File>(new PipeLike);
            view().regular = open(kernel_context(), "/bin/prog", kO_RDWR, 0).value();
            return true;
        }();
        ASSERT_TRUE(started);
        set_process_view(&view());
        view().pid = 1;
        view().comm = "prog";
    }
    static Result<std::string> read(const std::string& name) {
        Ref<File> f = TRY(open(kernel_context(), name, kO_RDONLY, 0));
        return Tree::read(*f);
    }
    static std::vector<std::string> list(const std::string& name, std::size_t chunk = SIZE_MAX) {
        Ref<File> d = open(kernel_context(), name, kO_RDONLY | kO_DIRECTORY, 0).value();
        std::vector<std::string> all;
        for (;;) {
            NameSink sink(chunk);
            EXPECT_OK(d->read_directory(sink));
            if (sink.names.empty()) break;
            all.insert(all.end(), sink.names.begin(), sink.names.end());
        }
        std::sort(all.begin(), all.end());
        return all;
    }
    static std::string link(const std::string& name) {
        char text[200];
        const Path p = lookup(kernel_context(), name, 0).value();
        const auto n = p.inode()->read_link(text);
        return n.ok() ? std::string(text, n.value()) : name_of(n.error());
    }
    static bool has(const std::vector<std::string>& names, const std::string& name) {
        return std::count(names.begin(), names.end(), name) == 1;
    }
};

TEST_F(Procfs, GlobalFiles) {
    EXPECT_NE(read("/proc/meminfo").value().find("MemTotal:"), std::string::npos);
    EXPECT_NE(read("/proc/cpuinfo").value().find("processor\t: 0\n"), std::string::npos);
    EXPECT_EQ(read("/proc/sys/kernel/ostype").value(), "Linux\n");
    EXPECT_EQ(read("/proc/sys/vm/max_map_count").value(), "65530\n");
    EXPECT_NE(read("/proc/filesystems").value().find("nodev\ttmpfs\n"), std::string::npos);
    EXPECT_EQ(read("/proc/sys/kernel/random/uuid").value().size(), 37u);
    EXPECT_NE(read("/proc/sys/kernel/random/uuid").value(),
              read("/proc/sys/kernel/random/uuid").value());
    EXPECT_EQ(read("/proc/sys/kernel/random/boot_id").value(),
              read("/proc/sys/kernel/random/boot_id").value());
    EXPECT_ERRNO(kENOENT, read("/proc/none"));
    EXPECT_ERRNO(kENOENT, read("/proc/sys/kernel/none"));
    EXPECT_ERRNO(kENOENT, read("/proc/mem"));  // part of a name
    EXPECT_ERRNO(kENOTDIR, read("/proc/meminfo/x"));
    EXPECT_ERRNO(kEISDIR, open(kernel_context(), "/proc/sys", kO_RDWR, 0));
    EXPECT_ERRNO(kEROFS, make_directory(kernel_context(), "/proc/x", 0755));
    // From the start again; and the read by parts.
    Ref<File> f = open(kernel_context(), "/proc/version", kO_RDONLY, 0).value();
    const std::string text = Tree::read(*f).value();
    EXPECT_EQ(f->seek(0, kSEEK_SET).value(), 0u);
    char c;
    std::string again;
    for (mem::IoBuffer to = mem::IoBuffer::kernel(&c, 1); f->read_at_position(to).value() == 1;
         to = mem::IoBuffer::kernel(&c, 1))
        again += c;
    EXPECT_EQ(again, text);
}

TEST_F(Procfs, Listings) {
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{3}, SIZE_MAX}) {
        const auto root = list("/proc", chunk);
        for (const char* name :
             {".", "..", "meminfo", "sys", "self", "thread-self", "mounts", "1", "30"})
            EXPECT_TRUE(has(root, name)) << name;
        EXPECT_TRUE(has(list("/proc/sys", chunk), "kernel"));
        EXPECT_TRUE(has(list("/proc/sys/kernel", chunk), "random"));
        EXPECT_TRUE(has(list("/proc/self", chunk), "fd"));
        EXPECT_TRUE(has(list("/proc/self", chunk), "task"));
        EXPECT_EQ(list("/proc/self/fd", chunk), (std::vector<std::string>{".", "..", "0", "3"}));
        EXPECT_EQ(list("/proc/1/task", chunk), (std::vector<std::string>{".", "..", "1", "12"}));
    }
    // All that is listed can be looked up.
    for (const char* directory :
         {"/proc", "/proc/sys/kernel", "/proc/self", "/proc/self/task/12"}) {
        for (const std::string& name : list(directory))
            EXPECT_OK(lookup(kernel_context(), std::string(directory) + "/" + name, 0));
    }
}

TEST_F(Procfs, Links) {
    EXPECT_EQ(link("/proc/self"), "1");
    EXPECT_EQ(link("/proc/thread-self"), "1/task/12");
    EXPECT_EQ(link("/proc/self/exe"), "/bin/prog");
    EXPECT_EQ(link("/proc/self/cwd"), "/");
    EXPECT_EQ(link("/proc/self/fd/0"), "pipe:[7]");
    EXPECT_EQ(link("/proc/self/fd/3"), "/bin/prog");
    EXPECT_EQ(lookup(kernel_context(), "/proc/self/exe", kLookupFollow).value(), view().exe);
    EXPECT_EQ(lookup(kernel_context(), "/proc/self/root/bin/prog", kLookupFollow).value(),
              view().exe);
    EXPECT_ERRNO(kENOENT, read("/proc/self/fd/1"));
    EXPECT_ERRNO(kENOENT, read("/proc/self/fd/03"));
    EXPECT_OK(read("/proc/self/fd/3"));
    Ref<File> same = open(kernel_context(), "/proc/self/fd/0", kO_RDONLY, 0).value();
    EXPECT_EQ(same.get(), view().pipe.get());
    EXPECT_ERRNO(kEACCES, open(kernel_context(), "/proc/self/fd/0", kO_WRONLY, 0));
    EXPECT_ERRNO(kELOOP,
                 lookup(kernel_context(), "/proc/self/exe", kLookupFollow | kLookupNoMagicLinks));
    EXPECT_ERRNO(kENOENT, read("/proc/2/stat"));
    EXPECT_ERRNO(kENOENT, read("/proc/1/task/30/stat"));
    view().pid = 0;
    EXPECT_ERRNO(kENOENT, read("/proc/self/stat"));
}

TEST_F(Procfs, ProcessFiles) {
    EXPECT_EQ(read("/proc/self/comm").value(), "prog\n");
    EXPECT_EQ(read("/proc/self/cmdline").value(), std::string("a\0bcd\0", 6));
    const std::string stat = read("/proc/self/stat").value();
    EXPECT_TRUE(stat.starts_with("1 (prog) R 0 ")) << stat;
    EXPECT_EQ(std::count(stat.begin(), stat.end(), ' '), 51);
    EXPECT_TRUE(read("/proc/thread-self/stat").value().starts_with("12 (prog) "));
    const std::string status = read("/proc/self/status").value();
    EXPECT_NE(status.find("\nUid:\t0\t1000\t0\t0\n"), std::string::npos) << status;
    EXPECT_NE(status.find("\nGroups:\t0 5 \n"), std::string::npos);
    EXPECT_NE(status.find("\nCpus_allowed_list:\t0-1,3\n"), std::string::npos);
    EXPECT_NE(status.find("\nUmask:\t0022\n"), std::string::npos);
    EXPECT_NE(
        read("/proc/self/limits")
            .value()
            .find("Max open files            1024                 4096                 files"),
        std::string::npos);
    EXPECT_NE(read("/proc/mounts").value().find("proc /proc proc rw,relatime 0 0\n"),
              std::string::npos);
    EXPECT_NE(read("/proc/self/mountinfo").value().find(" / /proc rw,relatime - proc proc rw\n"),
              std::string::npos);
    EXPECT_NE(read("/proc/self/fdinfo/3").value().find("flags:\t02000002\n"), std::string::npos);
    EXPECT_EQ(lookup(kernel_context(), "/proc/1/stat", 0).value().inode()->uid(), 1000u);
    Ref<File> comm = open(kernel_context(), "/proc/self/comm", kO_WRONLY | kO_TRUNC, 0).value();
    mem::IoBuffer from = mem::IoBuffer::kernel(std::as_bytes(std::span("new\n", 4)));
    EXPECT_EQ(comm->write_at_position(from).value(), 4u);
    EXPECT_EQ(read("/proc/self/comm").value(), "new\n");
}

}  // namespace
}  // namespace kiln::fs
