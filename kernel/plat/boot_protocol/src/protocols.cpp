#include <cstring>

#include <kiln/boot_protocol/boot_protocol.hpp>

namespace kiln::boot_protocol {
namespace {

/// Type of usable RAM in all three protocols (ACPI 6.5, 15.4: AddressRangeMemory).
constexpr std::uint32_t kTypeRam = 1;
/// More than any loader gives; bounds the walk over hostile counts.
constexpr std::uint64_t kMaxMapEntries = 1024;
/// Linux's COMMAND_LINE_SIZE (arch/x86/include/asm/setup.h) is 2048; QEMU's PVH loader takes up to 4096.
constexpr std::uint64_t kMaxCommandLine = 4096;

class Memory {
public:
    explicit Memory(std::span<const std::byte> bytes) : bytes_(bytes) {}

    bool readable(std::uint64_t at, std::uint64_t length) const {
        return at <= bytes_.size() && length <= bytes_.size() - at;
    }
    template <typename T>
    bool read(std::uint64_t at, T* out) const {
        if (!readable(at, sizeof(T))) return false;
        std::memcpy(out, bytes_.data() + at, sizeof(T));
        return true;
    }
    /// The string at `at`: up to `limit` or the end of memory when there is no NUL. Empty when it is not in memory.
    PhysRange string(std::uint64_t at, std::uint64_t limit) const {
        if (at >= bytes_.size()) return {};
        const std::uint64_t room = bytes_.size() - at;
        if (limit > room) limit = room;
        std::uint64_t n = 0;
        while (n < limit && bytes_[at + n] != std::byte{0}) ++n;
        return {at, n};
    }

private:
    std::span<const std::byte> bytes_;
};

/// Memory map entries come in any order and may overlap; what is not RAM wins.
class MapBuilder {
public:
    explicit MapBuilder(RangeSet* ram) : ram_(ram) {}
    void ram(std::uint64_t begin, std::uint64_t length) {
        std::uint64_t end;
        if (!checked_add(begin, length, &end) || end > kPhysicalLimit) end = kPhysicalLimit;
        // Page 0 is left alone: firmware's, and 0 means "none" in all protocols.
        if (begin < kPageSize) begin = kPageSize;
        if (begin >= end) return;
        ram_->add(page_up(begin), page_down(end));
    }
    void hole(std::uint64_t begin, std::uint64_t length) {
        std::uint64_t end;
        if (!checked_add(begin, length, &end) || end > kPhysicalLimit) end = kPhysicalLimit;
        if (begin >= end) return;
        ram_->remove(page_down(begin), page_up(end));
    }

private:
    /// The direct map has room for 64 TiB (hal/paging.hpp).
    static constexpr std::uint64_t kPhysicalLimit = std::uint64_t{1} << 46;
    RangeSet* ram_;
};

/// Reads `count` entries of type Entry (with address, size, type) twice: RAM, then what takes away from it.
template <typename Entry>
bool read_map(const Memory& memory, std::uint64_t at, std::uint64_t count, std::uint64_t stride,
              RangeSet* ram) {
    std::uint64_t bytes;
    if (count > kMaxMapEntries) count = kMaxMapEntries;
    if (stride < sizeof(Entry) || !checked_mul(count, stride, &bytes) ||
        !memory.readable(at, bytes))
        return false;
    MapBuilder builder(ram);
    bool has_holes = false;
    Entry entry;
    for (std::uint64_t i = 0; i < count; ++i) {
        memory.read(at + i * stride, &entry);
        if (entry.type == kTypeRam) {
            builder.ram(entry.address, entry.size);
        } else {
            has_holes = true;
        }
    }
    for (std::uint64_t i = 0; has_holes && i < count; ++i) {
        memory.read(at + i * stride, &entry);
        if (entry.type != kTypeRam) builder.hole(entry.address, entry.size);
    }
    return true;
}

const char* finish(BootData* out, PhysRange initrd) {
    if (out->ram.ranges().empty()) return "the memory map has no RAM";
    std::uint64_t end;
    if (initrd.length != 0) {
        if (!checked_add(initrd.begin, initrd.length, &end) ||
            !out->ram.contains(page_down(initrd.begin), end))
            return "the initrd is not in RAM";
        out->initrd = initrd;
    }
    return nullptr;
}

// ---- PVH: xen/include/public/arch-x86/hvm/start_info.h ---------------------------------------------------------

struct HvmStartInfo {
    std::uint32_t magic;
    std::uint32_t version;
    std::uint32_t flags;
    std::uint32_t module_count;
    std::uint64_t modules;
    std::uint64_t command_line;
    std::uint64_t rsdp;
    std::uint64_t memory_map;          // since version 1
    std::uint32_t memory_map_entries;  // since version 1
    std::uint32_t reserved;
};
static_assert(sizeof(HvmStartInfo) == 56);
constexpr std::uint32_t kHvmMagic = 0x336ec578;

struct HvmModule {
    std::uint64_t address;
    std::uint64_t size;
    std::uint64_t command_line;
    std::uint64_t reserved;
};
static_assert(sizeof(HvmModule) == 32);

struct HvmMapEntry {
    std::uint64_t address;
    std::uint64_t size;
    std::uint32_t type;
    std::uint32_t reserved;
};
static_assert(sizeof(HvmMapEntry) == 24);

// ---- Linux: Documentation/arch/x86/zero-page.rst, boot.rst -------------------------------------------------------

constexpr std::uint64_t kZeroPageBytes = 4096;
constexpr std::uint64_t kZeroRsdp = 0x070;
constexpr std::uint64_t kZeroExtInitrd = 0x0c0;
constexpr std::uint64_t kZeroExtInitrdSize = 0x0c4;
constexpr std::uint64_t kZeroExtCommandLine = 0x0c8;
constexpr std::uint64_t kZeroE820Count = 0x1e8;
constexpr std::uint64_t kZeroHeaderMagic = 0x202;
constexpr std::uint64_t kZeroInitrd = 0x218;
constexpr std::uint64_t kZeroInitrdSize = 0x21c;
constexpr std::uint64_t kZeroCommandLine = 0x228;
constexpr std::uint64_t kZeroE820 = 0x2d0;
constexpr std::uint32_t kHeaderMagic = 0x53726448;  // "HdrS"
constexpr std::uint8_t kE820Max = 128;

struct [[gnu::packed]] E820Entry {
    std::uint64_t address;
    std::uint64_t size;
    std::uint32_t type;
};
static_assert(sizeof(E820Entry) == 20);

// ---- multiboot2: Multiboot2 Specification 2.0, 3.6 ---------------------------------------------------------------

struct TagHeader {
    std::uint32_t type;
    std::uint32_t size;
};
constexpr std::uint32_t kTagEnd = 0;
constexpr std::uint32_t kTagCommandLine = 1;
constexpr std::uint32_t kTagModule = 3;
constexpr std::uint32_t kTagMemoryMap = 6;
constexpr std::uint32_t kTagRsdpOld = 14;
constexpr std::uint32_t kTagRsdpNew = 15;

struct ModuleTag {
    TagHeader header;
    std::uint32_t begin;
    std::uint32_t end;
};
struct MemoryMapTag {
    TagHeader header;
    std::uint32_t entry_size;
    std::uint32_t entry_version;
};

}  // namespace

const char* parse_pvh(std::span<const std::byte> bytes, std::uint64_t info, BootData* out) {
    const Memory memory(bytes);
    HvmStartInfo start;
    if (!memory.read(info, &start)) return "PVH: the start info is not in memory";
    if (start.magic != kHvmMagic) return "PVH: wrong magic of the start info";
    if (start.version < 1) return "PVH: the start info has no memory map";
    if (!read_map<HvmMapEntry>(memory, start.memory_map, start.memory_map_entries,
                               sizeof(HvmMapEntry), &out->ram))
        return "PVH: the memory map is not in memory";
    if (start.command_line != 0)
        out->command_line = memory.string(start.command_line, kMaxCommandLine);
    out->rsdp = start.rsdp;
    HvmModule module{};
    if (start.module_count != 0 && !memory.read(start.modules, &module))
        return "PVH: the module list is not in memory";
    return finish(out, {module.address, module.size});
}

const char* parse_linux(std::span<const std::byte> bytes, std::uint64_t info, BootData* out) {
    const Memory memory(bytes);
    if (!memory.readable(info, kZeroPageBytes)) return "Linux boot: the zero page is not in memory";
    const auto field32 = [&](std::uint64_t offset) {
        std::uint32_t value = 0;
        memory.read(info + offset, &value);
        return std::uint64_t{value};
    };
    std::uint8_t e820_count = 0;
    memory.read(info + kZeroE820Count, &e820_count);
    if (field32(kZeroHeaderMagic) != kHeaderMagic)
        return "Linux boot: the zero page has no setup header";
    if (e820_count > kE820Max) return "Linux boot: too many entries in the memory map";
    read_map<E820Entry>(memory, info + kZeroE820, e820_count, sizeof(E820Entry), &out->ram);
    const std::uint64_t command_line = field32(kZeroCommandLine) | field32(kZeroExtCommandLine)
                                                                       << 32;
    if (command_line != 0) out->command_line = memory.string(command_line, kMaxCommandLine);
    out->rsdp = field32(kZeroRsdp) | field32(kZeroRsdp + 4) << 32;
    return finish(out, {field32(kZeroInitrd) | field32(kZeroExtInitrd) << 32,
                        field32(kZeroInitrdSize) | field32(kZeroExtInitrdSize) << 32});
}

const char* parse_multiboot2(std::span<const std::byte> bytes, std::uint64_t info, BootData* out) {
    const Memory memory(bytes);
    std::uint32_t total;
    if (!memory.read(info, &total) || !memory.readable(info, total))
        return "multiboot2: the information is not in memory";
    PhysRange initrd{};
    std::uint64_t offset = 8;
    TagHeader tag;
    while (offset + sizeof(tag) <= total && memory.read(info + offset, &tag) &&
           tag.type != kTagEnd) {
        if (tag.size < sizeof(tag) || tag.size > total - offset)
            return "multiboot2: a tag is larger than the information";
        const std::uint64_t at = info + offset;
        const std::uint64_t body = tag.size - sizeof(tag);
        if (tag.type == kTagCommandLine) {
            const std::uint64_t limit = body < kMaxCommandLine ? body : kMaxCommandLine;
            out->command_line = memory.string(at + sizeof(tag), limit);
        } else if (tag.type == kTagModule && initrd.length == 0 && tag.size >= sizeof(ModuleTag)) {
            ModuleTag module;
            memory.read(at, &module);
            if (module.end < module.begin) return "multiboot2: a module ends before it begins";
            initrd = {module.begin, module.end - module.begin};
        } else if (tag.type == kTagMemoryMap && tag.size >= sizeof(MemoryMapTag)) {
            MemoryMapTag map;
            memory.read(at, &map);
            if (map.entry_size < sizeof(HvmMapEntry))
                return "multiboot2: memory map entries are too small";
            read_map<HvmMapEntry>(memory, at + sizeof(map),
                                  (tag.size - sizeof(map)) / map.entry_size, map.entry_size,
                                  &out->ram);
        } else if (tag.type == kTagRsdpNew || (tag.type == kTagRsdpOld && out->rsdp == 0)) {
            out->rsdp = at + sizeof(tag);  // a copy of the RSDP, in the tag
        }
        offset = align_up(offset + tag.size, 8);
    }
    return finish(out, initrd);
}

}  // namespace kiln::boot_protocol
