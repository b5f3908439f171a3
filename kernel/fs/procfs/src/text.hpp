// Growing text, and a file that shows text computed when it is read.
#pragma once

#include <kiln/mem/string.hpp>
#include <kiln/vfs/device.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::fs {

/// Collects text; says at the end whether memory was enough.
class StringSink final : public vfs::TextSink {
public:
    explicit StringSink(mem::String& to) : to_(to) {}
    void write(std::string_view text) override {
        if (failed_) return;
        if (!to_.append(text).ok()) failed_ = true;
    }
    Result<void> result() const { return failed_ ? Result<void>(Errno::kENOMEM) : Result<void>(); }

private:
    mem::String& to_;
    bool failed_ = false;
};

/// Formats one line into a sink.
template <typename... Args>
void print(vfs::TextSink& out, std::string_view format, const Args&... args) {
    char line[512];
    out.write({line, format_to(line, format, args...)});
}

/// Where a text comes from, and where one goes.
class TextSource : public RefCounted<TextSource> {
public:
    virtual ~TextSource() = default;
    virtual Result<void> format(vfs::TextSink& out) = 0;
    /// EPERM: can't be written.
    virtual Result<void> store(std::string_view text) {
        (void)text;
        return Errno::kEPERM;
    }
};

/// As Linux's seq_file: computed when read from the start, then read on.
class TextFile final : public vfs::File {
public:
    TextFile(std::uint32_t flags, Ref<TextSource> source)
        : File(flags), source_(std::move(source)) {}
    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t* offset) override;
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t* offset) override;
    Result<std::uint64_t> seek(std::int64_t offset, int whence) override;
    bool is_seekable() const override { return true; }

private:
    Ref<TextSource> source_;
    sched::Mutex lock_{sync::LockRank::kFile};
    mem::String text_;
    bool computed_ = false;
};

}  // namespace kiln::fs
