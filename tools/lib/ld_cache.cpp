#include "lib/ld_cache.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace kiln::tool {
namespace {

constexpr std::string_view kOldMagic = "ld.so-1.7.0";
constexpr std::string_view kMagicAndVersion = "glibc-ld.so.cache1.1";
constexpr std::size_t kOldHeaderBytes = 16;
constexpr std::size_t kOldEntryBytes = 12;
constexpr std::size_t kMaxString = 4096;

struct Header {  // struct cache_file_new, without its magic and version (20 bytes)
    std::uint32_t entries;
    std::uint32_t string_bytes;
    std::uint8_t flags;  // cache_file_new_flags_endian_little is 2
    std::uint8_t padding[3];
    std::uint32_t extension_offset;
    std::uint32_t unused[3];
};
static_assert(sizeof(Header) == 28);

struct Entry {  // struct file_entry_new
    std::int32_t flags;
    std::uint32_t key;  // offsets from the start of the header
    std::uint32_t value;
    std::uint32_t os_version;
    std::uint64_t hwcap;
};
static_assert(sizeof(Entry) == 24);

constexpr std::size_t kEntriesOffset = 20 + sizeof(Header);

std::optional<std::string> string_at(std::string_view cache, std::size_t offset) {
    if (offset >= cache.size()) {
        return std::nullopt;
    }
    const std::string_view rest = cache.substr(offset, kMaxString);
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) {
        return std::nullopt;
    }
    return std::string{rest.substr(0, end)};
}

}  // namespace

std::vector<LdCacheEntry> parse_ld_cache(std::span<const std::byte> bytes) {
    std::string_view cache{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    if (cache.starts_with(kOldMagic)) {
        std::uint32_t count = 0;
        if (cache.size() < kOldHeaderBytes) {
            return {};
        }
        std::memcpy(&count, cache.data() + 12, sizeof(count));
        // The new table starts at the next multiple of its alignment, 8.
        const std::size_t start =
            (kOldHeaderBytes + std::size_t{count} * kOldEntryBytes + 7) & ~std::size_t{7};
        if (start > cache.size()) {
            return {};
        }
        cache.remove_prefix(start);
    }
    if (!cache.starts_with(kMagicAndVersion) || cache.size() < kEntriesOffset) {
        return {};
    }
    Header header{};
    std::memcpy(&header, cache.data() + kMagicAndVersion.size(), sizeof(header));
    const std::size_t count =
        std::min<std::size_t>(header.entries, (cache.size() - kEntriesOffset) / sizeof(Entry));

    std::vector<LdCacheEntry> entries;
    entries.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        Entry entry{};
        std::memcpy(&entry, cache.data() + kEntriesOffset + i * sizeof(Entry), sizeof(entry));
        auto name = string_at(cache, entry.key);
        auto path = string_at(cache, entry.value);
        if (!name || !path) {
            break;
        }
        entries.push_back(
            {std::move(*name), std::move(*path), entry.flags, entry.os_version, entry.hwcap});
    }
    return entries;
}

std::string write_ld_cache(const std::vector<LdCacheEntry>& entries) {
    std::string strings;
    const std::size_t strings_offset = kEntriesOffset + entries.size() * sizeof(Entry);
    std::string table;
    for (const LdCacheEntry& entry : entries) {
        Entry out{entry.flags, 0, 0, entry.os_version, entry.hwcap};
        out.key = static_cast<std::uint32_t>(strings_offset + strings.size());
        strings.append(entry.name.c_str(), entry.name.size() + 1);
        out.value = static_cast<std::uint32_t>(strings_offset + strings.size());
        strings.append(entry.path.c_str(), entry.path.size() + 1);
        table.append(reinterpret_cast<const char*>(&out), sizeof(out));
    }
    Header header{};
    header.entries = static_cast<std::uint32_t>(entries.size());
    header.string_bytes = static_cast<std::uint32_t>(strings.size());
    header.flags = 2;
    std::string cache{kMagicAndVersion};
    cache.append(reinterpret_cast<const char*>(&header), sizeof(header));
    return cache + table + strings;
}

}  // namespace kiln::tool
