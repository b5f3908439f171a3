#include "lib/prepare.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kiln/abi/formats/initrd.hpp>

#include "lib/cpio.hpp"
#include "lib/dpkg.hpp"
#include "lib/error.hpp"
#include "lib/program.hpp"
#include "lib/root_tree.hpp"
#include "lib/text.hpp"

namespace kiln::tool {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
// Page tables, the kernel's own heap and a stack: below this nothing starts.
constexpr std::uint64_t kLeastHeap = kMiB;

struct Folder {
    const char* path;
    std::uint32_t mode;
};
constexpr Folder kMountPoints[] = {
    {"/dev", 0755}, {"/proc", 0555}, {"/sys", 0555}, {"/tmp", 01777}};
constexpr Folder kBaseFolders[] = {{"/etc", 0755}, {"/home", 0755}, {"/root", 0700},
                                   {"/run", 0755}, {"/var", 0755},  {"/var/tmp", 01777}};

struct BaseFile {
    const char* path;
    const char* text;
};
// The least that libc's lookups of users, hosts and services read. 10.0.2.3 is the name server of
// QEMU's user network.
constexpr BaseFile kBaseFiles[] = {
    {"/etc/passwd",
     "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
    {"/etc/group", "root:x:0:\nnogroup:x:65534:\n"},
    {"/etc/hosts", "127.0.0.1\tlocalhost kiln\n::1\tlocalhost ip6-localhost ip6-loopback\n"},
    {"/etc/resolv.conf", "nameserver 10.0.2.3\n"},
    {"/etc/nsswitch.conf",
     "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: "
     "files\n"},
};

std::string environment_value(const std::vector<std::string>& environment, const std::string& key,
                              const std::string& otherwise) {
    std::string value = otherwise;
    for (const std::string& variable : environment) {
        if (variable.starts_with(key + "=")) {
            value = variable.substr(key.size() + 1);
        }
    }
    return value;
}

// The packages that own `files`, each completed: /usr/bin/perl is perl-base's and /usr/bin/python3
// python3-minimal's, yet what a user means is perl and python3. So from x-minimal and x-base on to
// an installed x that depends on it.
std::vector<const DebPackage*> owners_of(const DpkgDatabase& dpkg, const RootView& view,
                                         const std::vector<std::string>& files) {
    std::vector<const DebPackage*> owners;
    std::set<std::string> seen;
    const auto add = [&](const std::string& path) {
        const DebPackage* const owner = seen.insert(path).second ? dpkg.owner_of(path) : nullptr;
        if (owner == nullptr) {
            return;
        }
        owners.push_back(owner);
        for (const std::string_view suffix : {"-minimal", "-base"}) {
            if (!owner->name.ends_with(suffix)) {
                continue;
            }
            const DebPackage* const whole =
                dpkg.find(owner->name.substr(0, owner->name.size() - suffix.size()));
            const auto names_owner = [&](const std::vector<std::string>& alternatives) {
                return std::ranges::find(alternatives, owner->name) != alternatives.end();
            };
            if (whole != nullptr && std::ranges::any_of(whole->depends, names_owner)) {
                owners.push_back(whole);
            }
        }
    };
    for (const std::string& file : files) {
        if (const auto found = view.resolve(file)) {
            for (const std::string& link : found->symlinks) {
                add(link);
            }
            add(found->path);
        }
    }
    return owners;
}

// What maintainer scripts made beside the packages' own files and programs use: compiled Python
// modules, the links of update-alternatives, certificates, the time zone.
void add_generated_files(const DpkgDatabase& dpkg, const RootView& view, RootTree& tree) {
    std::vector<std::string> compiled;
    std::set<std::string> python_dirs;
    for (const auto& [path, entry] : tree.entries()) {
        if (path.ends_with(".py")) {
            python_dirs.insert(parent_of(path));
        }
    }
    for (const std::string& dir : python_dirs) {
        std::error_code error;
        for (const auto& entry :
             std::filesystem::directory_iterator{view.host_path(dir + "/__pycache__"), error}) {
            const std::string name = entry.path().filename().string();
            const std::size_t tag = name.find(".cpython-");
            if (tag != std::string::npos && name.ends_with(".pyc") &&
                tree.contains(dir + "/" + name.substr(0, tag) + ".py")) {
                compiled.push_back(dir + "/__pycache__/" + name);
            }
        }
    }
    for (const std::string& path : compiled) {
        tree.add_path(path);
    }
    for (const auto& alternative : dpkg.alternatives()) {
        const auto target = view.resolve("/etc/alternatives/" + alternative.name);
        if (target && tree.contains(target->path) && !is_left_out(alternative.link, "")) {
            tree.add_path(alternative.link);
        }
    }
    if (tree.contains("/usr/sbin/update-ca-certificates")) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator{"/etc/ssl/certs", error}) {
            tree.add_path("/etc/ssl/certs/" + entry.path().filename().string());
        }
    }
    if (tree.contains("/usr/share/zoneinfo/UTC") || tree.contains("/usr/share/zoneinfo/Etc/UTC")) {
        tree.add_path("/etc/localtime");
        tree.add_path("/etc/timezone");
    }
}

void add_ld_cache(const LibraryFinder& libraries, const RootView& view, RootTree& tree) {
    std::vector<LdCacheEntry> entries;
    for (const LdCacheEntry& entry : libraries.cache()) {
        // Variants for some processors are left to the search of folders, which this cache makes
        // rare.
        const auto found = entry.flags == kLdCacheX8664 && entry.hwcap == 0
                               ? view.resolve(entry.path)
                               : std::nullopt;
        if (found && tree.contains(found->path)) {
            // Every link on the way has to be there for the cached path to lead to the file.
            if (tree.add_path(entry.path)) {
                entries.push_back(entry);
            }
        }
    }
    if (!entries.empty()) {
        tree.add_file("/etc/ld.so.cache", write_ld_cache(entries), 0644);
    }
}

std::string absolute_target(const std::string& target, const std::string& search_path) {
    if (target.find('/') == std::string::npos) {
        std::error_code error;
        const std::filesystem::path here = std::filesystem::absolute(target, error);
        if (std::filesystem::is_regular_file(here, error) && ::access(here.c_str(), X_OK) == 0) {
            return here.lexically_normal().string();
        }
        const std::string found = find_in_path(RootView{"/"}, target, search_path);
        if (!found.empty()) {
            return found;
        }
        if (!std::filesystem::exists(here, error)) {
            fail_not_found("{}: no such program, here or in PATH", target);
        }
        return here.lexically_normal().string();
    }
    return std::filesystem::absolute(target).lexically_normal().string();
}

PreparedProgram from_host(const ProgramRequest& request, ImageStore& store) {
    const RootView view{"/"};
    const char* const host_path = std::getenv("PATH");
    const std::string search_path = host_path != nullptr ? host_path : kDefaultPath;
    LibraryFinder libraries{view, EM_X86_64,
                            environment_value(request.environment, "LD_LIBRARY_PATH", "")};
    const std::string target = absolute_target(request.target, search_path);
    const Program program =
        inspect_program(view, libraries, target, search_path, MissingLibraries::kAreAnError);

    PreparedProgram out;
    RootTree tree{view};
    for (const std::string& file : program.files) {
        tree.add_path(file);
    }
    for (const std::string& file : program.needs.files) {
        tree.add_path(file);
    }
    for (const Folder& folder : kMountPoints) {
        tree.add_directory(folder.path, folder.mode);
    }

    if (!request.bare || !request.packages.empty()) {
        const auto dpkg = DpkgDatabase::open("/var/lib/dpkg");
        std::vector<const DebPackage*> roots;
        if (dpkg && !request.bare) {
            roots = owners_of(*dpkg, view, program.files);
        }
        for (const std::string& name : request.packages) {
            const DebPackage* const package = dpkg ? dpkg->find(name) : nullptr;
            if (package == nullptr) {
                fail("--deb {0}: no such package is installed; `apt install {0}` brings it", name);
            }
            roots.push_back(package);
        }
        if (dpkg) {
            for (const DebPackage* package : dpkg->closure(roots)) {
                out.packages.push_back(package->name);
                for (const std::string& file : dpkg->files_of(*package)) {
                    if (!is_left_out(file, package->name)) {
                        tree.add_path(file);
                    }
                }
            }
            if (!roots.empty()) {
                add_generated_files(*dpkg, view, tree);
            }
        }
    }
    if (!request.bare) {
        for (const Folder& folder : kBaseFolders) {
            tree.add_directory(folder.path, folder.mode);
        }
        for (const BaseFile& file : kBaseFiles) {
            tree.add_file(file.path, file.text, 0644);
        }
        if (!program.needs.interpreter.empty() &&
            !base_name(program.needs.interpreter).starts_with("ld-musl")) {
            // glibc opens libgcc_s by name when a thread is cancelled or asks for a backtrace.
            for (const char* library :
                 {"/lib/x86_64-linux-gnu/libgcc_s.so.1", "/lib64/libgcc_s.so.1"}) {
                if (view.is_regular_file(library)) {
                    tree.add_path(library);
                    break;
                }
            }
            std::error_code error;
            for (const auto& entry :
                 std::filesystem::recursive_directory_iterator{"/usr/lib/locale/C.utf8", error}) {
                tree.add_path(entry.path().string());
            }
        }
    }
    add_ld_cache(libraries, view, tree);
    if (!request.working_directory.empty()) {
        tree.add_directory(tree.canonicalize(request.working_directory), 0755);
    }
    for (const std::string& path : tree.unreadable()) {
        out.warnings.push_back(path + " cannot be read by this user and is left out");
    }

    CpioWriter cpio{[&](const std::string& folder) { return tree.contains(folder); }};
    for (const Volume& volume : request.volumes) {
        cpio.add_host(
            volume.source, tree.canonicalize(volume.destination),
            volume.read_only ? CpioWriter::Access::kReadOnly : CpioWriter::Access::kAsOnHost);
    }
    if (!cpio.empty()) {
        out.cpio = cpio.finish();
    }

    out.image = store.of_tree(tree);
    out.memory_bytes = program.elf_memory_bytes;
    out.launch.path = program.path;
    // As a shell does: the word that was typed, where a search found the program; else its path,
    // which is another one in the guest when it was relative here.
    const bool by_name = request.target.find('/') == std::string::npos;
    out.launch.arguments = program.prefix;
    if (program.prefix.empty()) {
        out.launch.arguments.push_back(by_name ? request.target : target);
    }
    return out;
}

PreparedProgram from_folder(const ProgramRequest& request, ImageStore& store) {
    std::error_code error;
    const std::filesystem::path folder = std::filesystem::canonical(request.rootfs, error);
    if (error) {
        fail_not_found("{}: {}", request.rootfs.string(), error.message());
    }
    if (!std::filesystem::is_directory(folder)) {
        fail("{}: not a folder; --rootfs takes one that holds a root file system", folder.string());
    }
    if (folder == "/") {
        fail(
            "/ is this machine's own root; name a program instead, or a folder that holds a root "
            "file system");
    }
    if (!request.packages.empty()) {
        fail(
            "--deb goes with programs of this machine, not with a root file system; install the "
            "package in {}",
            folder.string());
    }
    if (request.bare) {
        fail("--bare goes with programs of this machine, not with a root file system");
    }
    if (request.target.empty()) {
        fail("{}: a root file system; say which program of it to run: kiln run {} /bin/PROGRAM",
             request.rootfs.string(), shell_quote(request.rootfs.string()));
    }
    const RootView view{folder};
    const std::string search_path = environment_value(request.environment, "PATH", kDefaultPath);
    const std::string working_directory =
        request.working_directory.empty() ? "/" : request.working_directory;
    std::string target = request.target;
    if (target.find('/') == std::string::npos) {
        target = find_in_path(view, target, search_path);
        if (target.empty()) {
            fail_not_found("{}: no such program in {} (PATH is {})", request.target,
                           folder.string(), search_path);
        }
    } else if (!target.starts_with('/')) {
        target = normalize_path(working_directory + "/" + target);
    }
    LibraryFinder libraries{view, EM_X86_64,
                            environment_value(request.environment, "LD_LIBRARY_PATH", "")};
    const Program program =
        inspect_program(view, libraries, target, search_path, MissingLibraries::kAreLeftToTheGuest);

    PreparedProgram out;
    for (const auto& missing : program.needs.missing) {
        out.warnings.push_back(
            fmt::format("{} needs {}, which is not where the dynamic linker of {} looks",
                        missing.needed_by, missing.library, folder.string()));
    }
    const auto folder_of = [&](const std::string& path) {
        const auto found = view.resolve(path);
        return found && S_ISDIR(found->status.st_mode) ? std::optional{found->path} : std::nullopt;
    };
    CpioWriter cpio{[&](const std::string& path) { return folder_of(path).has_value(); }};
    for (const Folder& mount_point : kMountPoints) {
        if (!folder_of(mount_point.path)) {
            cpio.add_directory(mount_point.path, mount_point.mode);
        }
    }
    if (!folder_of(working_directory)) {
        cpio.add_directory(normalize_path(working_directory), 0755);
    }
    for (const Volume& volume : request.volumes) {
        const std::string parent =
            folder_of(parent_of(volume.destination)).value_or(parent_of(volume.destination));
        cpio.add_host(
            volume.source, (parent == "/" ? "" : parent) + "/" + base_name(volume.destination),
            volume.read_only ? CpioWriter::Access::kReadOnly : CpioWriter::Access::kAsOnHost);
    }
    if (!cpio.empty()) {
        out.cpio = cpio.finish();
    }
    out.image = store.of_folder(folder);
    out.memory_bytes = program.elf_memory_bytes;
    out.launch.path = program.path;
    out.launch.arguments = program.prefix;
    if (program.prefix.empty()) {
        out.launch.arguments.push_back(request.target);
    }
    return out;
}

template <typename Put>
void for_each_part(const PreparedProgram& program, const std::string& launch, Put&& put) {
    std::uint64_t at = program.image.bytes;
    const auto pad = [&] {
        const std::uint64_t padded = (at + abi::kInitrdPartAlignment - 1) /
                                     abi::kInitrdPartAlignment * abi::kInitrdPartAlignment;
        put(std::string(padded - at, '\0'));
        at = padded;
    };
    pad();
    for (const std::string* part : {&program.cpio, &launch}) {
        put(*part);
        at += part->size();
        pad();
    }
}

}  // namespace

Volume parse_volume(const std::string& text) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    while (begin <= text.size()) {
        const std::size_t end = std::min(text.find(':', begin), text.size());
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || !parts[1].starts_with('/')) {
        fail("-v {}: give SRC:DST or SRC:DST:ro, where DST is an absolute path in the guest",
             shell_quote(text));
    }
    Volume volume{parts[0], normalize_path(parts[1]), false};
    if (parts.size() == 3) {
        if (parts[2] != "ro" && parts[2] != "rw") {
            fail("-v {}: unknown mode '{}'; it is ro or rw", shell_quote(text), parts[2]);
        }
        volume.read_only = parts[2] == "ro";
    }
    std::error_code error;
    volume.source = std::filesystem::canonical(volume.source, error);
    if (error) {
        fail("-v {}: {}: {}", shell_quote(text), parts[0], error.message());
    }
    if (volume.destination == "/") {
        fail("-v {}: / cannot be replaced; --rootfs gives a whole root file system",
             shell_quote(text));
    }
    return volume;
}

std::vector<std::string> make_environment(const std::string& hostname, std::uint32_t uid,
                                          const char* term, const std::vector<std::string>& more) {
    std::vector<std::string> out = {std::string{"PATH="} + kDefaultPath, "HOSTNAME=" + hostname};
    if (term != nullptr) {
        out.push_back(std::string{"TERM="} + term);
    }
    out.push_back(uid == 0 ? "HOME=/root" : "HOME=/");
    for (const std::string& variable : more) {
        const std::string key = variable.substr(0, variable.find('=') + 1);
        const auto same = std::ranges::find_if(
            out, [&](const std::string& other) { return other.starts_with(key); });
        if (same != out.end()) {
            *same = variable;
        } else {
            out.push_back(variable);
        }
    }
    return out;
}

PreparedProgram prepare_program(const ProgramRequest& request, ImageStore& store) {
    ProgramRequest actual = request;
    std::error_code error;
    // A folder as TARGET: its program is the next word.
    if (actual.rootfs.empty() && std::filesystem::is_directory(actual.target, error)) {
        actual.rootfs = actual.target;
        actual.target = actual.arguments.empty() ? "" : actual.arguments.front();
        if (!actual.arguments.empty()) {
            actual.arguments.erase(actual.arguments.begin());
        }
    }
    if (!actual.working_directory.empty() && !actual.working_directory.starts_with('/')) {
        fail("-w {}: not an absolute path", shell_quote(actual.working_directory));
    }
    PreparedProgram out =
        actual.rootfs.empty() ? from_host(actual, store) : from_folder(actual, store);
    out.launch.arguments.insert(out.launch.arguments.end(), actual.arguments.begin(),
                                actual.arguments.end());
    out.launch.working_directory =
        actual.working_directory.empty() ? "/" : normalize_path(actual.working_directory);
    out.launch.hostname = actual.name;
    out.launch.uid = actual.uid;
    out.launch.gid = actual.gid;
    return out;
}

std::uint64_t append_initrd(int to, const PreparedProgram& program, std::string_view what) {
    const std::string launch = encode_launch(program.launch);
    const UniqueFd image{::open(program.image.path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!image) {
        fail("cannot read {}: {}", program.image.path.string(), errno_text(errno));
    }
    append_file(to, image.get(), program.image.bytes, what);
    std::uint64_t written = program.image.bytes;
    for_each_part(program, launch, [&](std::string_view part) {
        write_all(to, part, what);
        written += part.size();
    });
    return written;
}

std::uint64_t initrd_bytes(const PreparedProgram& program) {
    std::uint64_t bytes = program.image.bytes;
    for_each_part(program, encode_launch(program.launch),
                  [&](std::string_view part) { bytes += part.size(); });
    return bytes;
}

UniqueFd assemble_initrd(const PreparedProgram& program, const ImageStore& store,
                         std::uint64_t& bytes) {
    // Beside the cached image, where a copy may share its blocks; in memory where that file system
    // has no unnamed files.
    UniqueFd fd{::open(store.dir().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (!fd) {
        fd.reset(::memfd_create("kiln-initrd", MFD_CLOEXEC));
    }
    if (!fd) {
        fail("cannot make a temporary file in {}: {}", store.dir().string(), errno_text(errno));
    }
    bytes = append_initrd(fd.get(), program, "the initrd");
    return fd;
}

std::uint64_t default_memory(std::uint64_t kernel_end, std::uint64_t image_bytes,
                             std::uint64_t program_bytes) {
    const std::uint64_t heap =
        std::min(64 * kMiB + 2 * image_bytes, std::uint64_t{1} << 30) + program_bytes;
    const std::uint64_t sum = kernel_end + image_bytes + heap;
    return (sum + kMiB - 1) / kMiB * kMiB;
}

void check_memory(std::uint64_t memory, std::uint64_t kernel_end, std::uint64_t image_bytes,
                  std::uint64_t program_bytes) {
    const std::uint64_t least = kernel_end + image_bytes + kLeastHeap;
    if (memory < least) {
        fail("{} of memory are too little: the kernel takes {}, the image {}; give at least -m {}M",
             format_size(memory), format_size(kernel_end), format_size(image_bytes),
             (least + kMiB - 1) / kMiB);
    }
    // Its .bss may go untouched, so that the sum need not fit; but Linux too refuses a mapping
    // larger than all of memory.
    if (program_bytes > memory - kernel_end) {
        fail(
            "the program is larger than memory: its segments take {}, the machine has {}; give "
            "more with -m",
            format_size(program_bytes), format_size(memory));
    }
}

}  // namespace kiln::tool
