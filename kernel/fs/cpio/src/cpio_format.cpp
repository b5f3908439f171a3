#include <kiln/fs/cpio.hpp>

#include <cstring>

#include <kiln/abi/formats/initrd.hpp>
#include <kiln/base/types.hpp>

namespace kiln::fs {
namespace {

constexpr std::size_t kHeaderBytes = 110;
constexpr std::size_t kFields = 13;
constexpr std::string_view kTrailer = "TRAILER!!!";
constexpr std::size_t kNameMaxBytes = 4096;

/// Eight hexadecimal digits.
bool parse_field(const char* text, std::uint32_t* out) {
    std::uint32_t value = 0;
    for (int i = 0; i < 8; ++i) {
        const char c = text[i];
        std::uint32_t digit = 0;
        if (c >= '0' && c <= '9') {
            digit = static_cast<std::uint32_t>(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = static_cast<std::uint32_t>(c - 'a' + 10);
        } else if (c >= 'A' && c <= 'F') {
            digit = static_cast<std::uint32_t>(c - 'A' + 10);
        } else {
            return false;
        }
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

}  // namespace

Result<CpioEntry> CpioReader::next(const char** reason) {
    const auto refuse = [reason](const char* text) {
        *reason = text;
        return Errno::kEINVAL;
    };
    if (bytes_.size() - at_ < kHeaderBytes) return refuse("cpio archive cut short: no trailer");
    const char* header = reinterpret_cast<const char*>(bytes_.data()) + at_;
    if (std::string_view(header, 6) != abi::kCpioMagic)
        return refuse("cpio archive: bad magic of a member");
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    std::uint32_t f[kFields];
    for (std::size_t i = 0; i < kFields; ++i) {
        if (!parse_field(header + 6 + i * 8, &f[i]))
            return refuse("cpio archive: a header field is no number");
    }
    const std::size_t name_size = f[11];
    if (name_size < 1 || name_size > kNameMaxBytes)
        return refuse("cpio archive: a name is too long");
    const std::size_t name_at = at_ + kHeaderBytes;
    if (name_size > bytes_.size() - name_at) return refuse("cpio archive cut short: a name");
    const std::string_view name(header + kHeaderBytes, name_size - 1);
    if (header[kHeaderBytes + name_size - 1] != '\0' || name.find('\0') != std::string_view::npos)
        return refuse("cpio archive: a name is not ended by NUL");
    const std::size_t data_at = align_up(name_at + name_size, 4);
    const std::size_t data_size = f[6];
    if (data_at > bytes_.size() || data_size > bytes_.size() - data_at)
        return refuse("cpio archive cut short: a file");
    const std::size_t end = align_up(data_at + data_size, 4);
    at_ = end < bytes_.size() ? end : bytes_.size();
    if (name == kTrailer) return Errno::kENOENT;
    CpioEntry entry;
    entry.name = name;
    entry.mode = f[1];
    entry.uid = f[2];
    entry.gid = f[3];
    entry.links = f[4];
    entry.mtime = f[5];
    // dev_t as Linux's makedev() for small numbers.
    entry.rdev = std::uint64_t{f[9]} << 8 | f[10];
    entry.inode = (std::uint64_t{f[7]} << 8 ^ f[8]) << 32 | f[0];
    entry.data = bytes_.subspan(data_at, data_size);
    return entry;
}

bool cpio_name_is_safe(std::string_view name) {
    if (name.empty() || name.size() >= kNameMaxBytes) return false;
    while (!name.empty()) {
        const std::size_t slash = name.find('/');
        const std::size_t length = slash == std::string_view::npos ? name.size() : slash;
        if (length > 255 || std::string_view(name.data(), length) == "..") return false;
        name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
    }
    return true;
}

}  // namespace kiln::fs
