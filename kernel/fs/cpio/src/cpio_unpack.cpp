#include <kiln/fs/cpio.hpp>
#include <kiln/log/log.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/mem/vector.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::fs {
namespace {

constexpr std::uint32_t kOpenWriteOnly = 01;    // O_WRONLY
constexpr std::uint32_t kOpenCreate = 0100;     // O_CREAT
constexpr std::uint32_t kOpenTruncate = 01000;  // O_TRUNC
constexpr std::uint32_t kPermissionMask = 07777;

/// A member with more than one name; later ones link to the first.
struct LinkedFile {
    std::uint64_t inode;
    std::string_view name;
};

std::string_view relative_name(std::string_view name) {
    for (;;) {
        if (name.starts_with('/')) {
            name.remove_prefix(1);
        } else if (name.starts_with("./")) {
            name.remove_prefix(2);
        } else {
            return name == "." ? std::string_view() : name;
        }
    }
}

class Unpacker {
public:
    Unpacker() : context_(vfs::kernel_context()) {}

    Result<void> unpack(const CpioEntry& entry) {
        const std::string_view name = relative_name(entry.name);
        if (name.empty()) return {};  // the root itself
        TRY(make_parents(name));
        switch (entry.mode & vfs::kModeTypeMask) {
            case vfs::kModeDirectory: TRY(make_directory(name)); break;
            case vfs::kModeSymlink: {
                TRY(clear_place(name));
                const std::string_view target(reinterpret_cast<const char*>(entry.data.data()),
                                              entry.data.size());
                TRY(vfs::make_symlink(context_, target, name));
                break;
            }
            case vfs::kModeRegular: TRY(write_file(name, entry)); break;
            default:
                TRY(clear_place(name));
                TRY(vfs::make_node(context_, name, entry.mode, entry.rdev));
        }
        return set_owner(name, entry);
    }

private:
    Result<void> make_directory(std::string_view name) {
        const Result<void> made = vfs::make_directory(context_, name, 0755);
        if (made.ok() || made.error() != Errno::kEEXIST) return made;
        const vfs::Path path = TRY(vfs::lookup(context_, name, vfs::kLookupFollow));
        return path.inode()->is_directory() ? Result<void>() : Errno::kENOTDIR;
    }
    Result<void> make_parents(std::string_view name) {
        // Archives name folders before what is in them: one look-up, not one for each folder above.
        const std::size_t last = name.rfind('/');
        if (last == std::string_view::npos) return {};
        if (vfs::lookup(context_, name.substr(0, last), vfs::kLookupFollow | vfs::kLookupDirectory)
                .ok())
            return {};
        for (std::size_t slash = name.find('/'); slash != std::string_view::npos;
             slash = name.find('/', slash + 1)) {
            if (slash != 0) TRY(make_directory({name.data(), slash}));
        }
        return {};
    }
    /// What stands where a file is to go is replaced; a directory is not.
    Result<void> clear_place(std::string_view name) {
        const Result<void> removed = vfs::unlink(context_, name);
        return removed.ok() || removed.error() == Errno::kENOENT ? Result<void>() : removed.error();
    }
    Result<void> write_file(std::string_view name, const CpioEntry& entry) {
        if (entry.links > 1) {
            for (const LinkedFile& linked : links_.span()) {
                if (linked.inode != entry.inode) continue;
                TRY(clear_place(name));
                TRY(vfs::make_link(context_, linked.name, context_, name, 0));
                return entry.data.empty() ? Result<void>() : write_data(name, entry.data);
            }
            TRY(links_.push_back({entry.inode, name}));
        }
        TRY(clear_place(name));
        return write_data(name, entry.data);
    }
    Result<void> write_data(std::string_view name, std::span<const std::byte> data) {
        const Ref<vfs::File> file =
            TRY(vfs::open(context_, name, kOpenWriteOnly | kOpenCreate | kOpenTruncate, 0600));
        std::uint64_t offset = 0;
        while (offset < data.size()) {
            mem::IoBuffer from = mem::IoBuffer::kernel(data.subspan(offset));
            const std::size_t n = TRY(file->write_at(from, offset));
            if (n == 0) return Errno::kENOSPC;
            offset += n;
        }
        return {};
    }
    Result<void> set_owner(std::string_view name, const CpioEntry& entry) {
        const vfs::Path path = TRY(vfs::lookup(context_, name, 0));
        vfs::Attributes values;
        values.uid = entry.uid;
        values.gid = entry.gid;
        values.mode = entry.mode & kPermissionMask;
        values.mtime = {entry.mtime, 0};
        std::uint32_t mask = vfs::kSetUid | vfs::kSetGid | vfs::kSetMtime;
        if (!path.inode()->is_symlink()) mask |= vfs::kSetMode;
        return vfs::set_attributes(path, values, mask, context_.credentials);
    }

    vfs::LookupContext context_;
    mem::Vector<LinkedFile> links_;
};

}  // namespace

Result<std::size_t> unpack_cpio(std::span<const std::byte> bytes, const char** reason) {
    CpioReader reader(bytes);
    Unpacker unpacker;
    for (;;) {
        auto entry = reader.next(reason);
        if (!entry.ok()) {
            if (entry.error() == Errno::kENOENT) return reader.position();
            return entry.error();
        }
        if (!cpio_name_is_safe(entry->name)) {
            *reason = "cpio archive: a name that leaves the root";
            return Errno::kEINVAL;
        }
        const Result<void> done = unpacker.unpack(*entry);
        if (!done.ok()) {
            log::error("cpio", "{}: error {}", entry->name, done.error());
            *reason = done.error() == Errno::kENOMEM || done.error() == Errno::kENOSPC
                          ? "cpio archive: not enough memory to unpack it"
                          : "cpio archive: a member can't be created";
            return done.error();
        }
    }
}

}  // namespace kiln::fs
