// The inodes of procfs: made anew at each look-up, for what they show comes and goes by itself.
#pragma once

#include <kiln/abi/linux/stat.hpp>
#include <kiln/fs/procfs.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/vfs/device.hpp>
#include <kiln/vfs/file_system.hpp>
#include <kiln/vfs/inode.hpp>

#include "text.hpp"

namespace kiln::fs {

/// Null while posix has registered none.
ProcessView* process_view();

class ProcFs final : public vfs::FileSystem {
public:
    Ref<vfs::Inode> root() override { return root_; }
    vfs::FileSystemInfo info() override {
        vfs::FileSystemInfo info;
        info.magic = abi::kPROC_SUPER_MAGIC;
        return info;
    }
    std::string_view type_name() const override { return "proc"; }
    bool caches_names() const override { return false; }
    static Result<Ref<vfs::FileSystem>> create_from(const vfs::MountSource& source);

private:
    Ref<vfs::Inode> root_;
};

class ProcInode : public vfs::Inode {
public:
    Result<vfs::Attributes> attributes() override {
        vfs::Attributes a = basic_attributes();
        a.atime = a.mtime = a.ctime = a.btime = vfs::current_timestamp();
        a.block_size = 1024;
        return a;
    }
    std::uint64_t size() override { return 0; }

protected:
    ProcInode(vfs::FileSystem& fs, std::uint64_t number, std::uint32_t mode, std::uint32_t uid = 0,
              std::uint32_t gid = 0)
        : Inode(fs, number, mode, uid, gid,
                (mode & vfs::kModeTypeMask) == vfs::kModeDirectory ? 2 : 1) {}
};

class ProcText final : public ProcInode {
public:
    ProcText(vfs::FileSystem& fs, std::uint64_t number, std::uint32_t mode, Ref<TextSource> source,
             std::uint32_t uid = 0, std::uint32_t gid = 0)
        : ProcInode(fs, number, vfs::kModeRegular | mode, uid, gid), source_(std::move(source)) {}
    Result<Ref<vfs::File>> open(const vfs::OpenContext& context) override {
        return Ref<vfs::File>(TRY(mem::make_ref<TextFile>(context.flags, source_)));
    }
    // O_TRUNC is allowed and does nothing, as on Linux (`echo 1 > /proc/…`).
    Result<void> set_attributes(const vfs::Attributes&, std::uint32_t mask) override {
        return mask == vfs::kSetSize ? Result<void>() : Errno::kEPERM;
    }

private:
    Ref<TextSource> source_;
};

/// A symlink with a text.
class ProcLink final : public ProcInode {
public:
    ProcLink(vfs::FileSystem& fs, std::uint64_t number, std::string_view target)
        : ProcInode(fs, number, vfs::kModeSymlink | 0777),
          length_(target.copy(target_, sizeof(target_))) {}
    Result<std::size_t> read_link(std::span<char> out) override {
        return std::string_view(target_, length_).copy(out.data(), out.size());
    }

private:
    char target_[40];
    std::size_t length_;
};

/// The number in `name`, −1 if it is none. Without leading zeros, as Linux has it.
std::int32_t parse_id(std::string_view name);

/// A process's directory: /proc/PID, or with `tid` /proc/PID/task/TID. ENOENT if there is none.
Result<Ref<vfs::Inode>> make_process_directory(vfs::FileSystem& fs, std::int32_t pid,
                                               std::int32_t tid);

}  // namespace kiln::fs
