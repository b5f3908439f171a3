#include <kiln/boot_protocol/boot_protocol.hpp>

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kiln::boot_protocol {
namespace {

std::vector<std::pair<std::uint64_t, std::uint64_t>> list(const RangeSet& set) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
    for (const hal::MemoryRange& r : set.ranges()) out.emplace_back(r.begin.value, r.end.value);
    return out;
}
using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

TEST(RangeSet, AddMergesAndKeepsOrder) {
    RangeSet set;
    set.add(100, 200);
    set.add(300, 400);
    set.add(10, 20);
    EXPECT_EQ(list(set), (Ranges{{10, 20}, {100, 200}, {300, 400}}));
    set.add(200, 300);
    EXPECT_EQ(list(set), (Ranges{{10, 20}, {100, 400}}));
    set.add(0, 1000);
    EXPECT_EQ(list(set), (Ranges{{0, 1000}}));
    set.add(5, 5);
    EXPECT_EQ(list(set), (Ranges{{0, 1000}}));
}

TEST(RangeSet, RemoveSplits) {
    RangeSet set;
    set.add(0, 100);
    set.remove(40, 60);
    EXPECT_EQ(list(set), (Ranges{{0, 40}, {60, 100}}));
    set.remove(0, 10);
    set.remove(90, 200);
    set.remove(30, 70);
    EXPECT_EQ(list(set), (Ranges{{10, 30}, {70, 90}}));
    EXPECT_TRUE(set.contains(10, 30));
    EXPECT_FALSE(set.contains(10, 31));
    set.remove(0, 1000);
    EXPECT_TRUE(set.ranges().empty());
}

TEST(RangeSet, OverflowDropsTheHighest) {
    RangeSet set;
    for (std::uint64_t i = RangeSet::kCapacity + 1; i-- > 0;) set.add(i * 10, i * 10 + 1);
    EXPECT_TRUE(set.overflowed());
    EXPECT_EQ(set.ranges().size(), RangeSet::kCapacity);
    EXPECT_EQ(set.ranges().front().begin.value, 0u);
}

/// Physical memory with helpers to put little-endian fields into it.
class Memory {
public:
    explicit Memory(std::size_t size) : bytes(size) {}
    template <typename T>
    void put(std::size_t at, T value) {
        std::memcpy(bytes.data() + at, &value, sizeof(value));
    }
    void put_text(std::size_t at, const char* text) {
        std::memcpy(bytes.data() + at, text, std::strlen(text) + 1);
    }
    std::string text(PhysRange range) const {
        return {reinterpret_cast<const char*>(bytes.data()) + range.begin, range.length};
    }
    std::vector<std::byte> bytes;
};

constexpr std::uint64_t kInfo = 0x1000;

Memory pvh() {
    Memory m(0x10000);
    m.put<std::uint32_t>(kInfo, 0x336ec578);
    m.put<std::uint32_t>(kInfo + 4, 1);
    m.put<std::uint32_t>(kInfo + 12, 1);
    m.put<std::uint64_t>(kInfo + 16, 0x2000);
    m.put<std::uint64_t>(kInfo + 24, 0x3000);
    m.put<std::uint64_t>(kInfo + 32, 0xe0000);
    m.put<std::uint64_t>(kInfo + 40, 0x4000);
    m.put<std::uint32_t>(kInfo + 48, 3);
    m.put<std::uint64_t>(0x2000, 0x800000);
    m.put<std::uint64_t>(0x2008, 0x1234);
    m.put_text(0x3000, "a=b -- c");
    const struct {
        std::uint64_t address, size;
        std::uint32_t type;
    } map[] = {{0x100000, 0xf00000, 1}, {0, 0x9fc00, 1}, {0x90000, 0x1000, 2}};
    for (std::size_t i = 0; i < 3; ++i) {
        m.put(0x4000 + 24 * i, map[i].address);
        m.put(0x4008 + 24 * i, map[i].size);
        m.put(0x4010 + 24 * i, map[i].type);
    }
    return m;
}

TEST(Pvh, Everything) {
    const Memory m = pvh();
    BootData data;
    EXPECT_EQ(parse_pvh(m.bytes, kInfo, &data), nullptr);
    EXPECT_EQ(list(data.ram),
              (Ranges{{0x1000, 0x90000}, {0x91000, 0x9f000}, {0x100000, 0x1000000}}));
    EXPECT_EQ(m.text(data.command_line), "a=b -- c");
    EXPECT_EQ(data.initrd.begin, 0x800000u);
    EXPECT_EQ(data.initrd.length, 0x1234u);
    EXPECT_EQ(data.rsdp, 0xe0000u);
}

TEST(Pvh, Hostile) {
    BootData data;
    EXPECT_NE(parse_pvh({}, kInfo, &data), nullptr);
    Memory m = pvh();
    EXPECT_NE(parse_pvh(m.bytes, ~0ull, &data), nullptr);
    EXPECT_NE(parse_pvh(m.bytes, m.bytes.size() - 8, &data), nullptr);
    m.put<std::uint32_t>(kInfo + 48, 0xffffffff);
    m.put<std::uint64_t>(kInfo + 40, m.bytes.size() - 1024);
    EXPECT_NE(parse_pvh(m.bytes, kInfo, &data), nullptr);
    m = pvh();
    m.put<std::uint64_t>(kInfo + 40, ~0ull);
    EXPECT_NE(parse_pvh(m.bytes, kInfo, &data), nullptr);
    m = pvh();
    m.put<std::uint64_t>(kInfo + 16, ~0ull - 4);
    EXPECT_NE(parse_pvh(m.bytes, kInfo, &data), nullptr);
    m = pvh();
    m.put<std::uint64_t>(0x2008, ~0ull);
    BootData wrapped;
    EXPECT_NE(parse_pvh(m.bytes, kInfo, &wrapped), nullptr) << "an initrd that wraps";
    EXPECT_EQ(wrapped.initrd.length, 0u);
    m = pvh();
    m.put<std::uint64_t>(kInfo + 24, m.bytes.size() - 2);
    m.bytes[m.bytes.size() - 2] = m.bytes[m.bytes.size() - 1] = std::byte{'x'};
    BootData unended;
    EXPECT_EQ(parse_pvh(m.bytes, kInfo, &unended), nullptr);
    EXPECT_EQ(unended.command_line.length, 2u) << "a command line without NUL ends with memory";
    m = pvh();
    m.put<std::uint64_t>(0x4008, ~0ull);
    BootData huge;
    EXPECT_EQ(parse_pvh(m.bytes, kInfo, &huge), nullptr);
    EXPECT_LE(huge.ram.ranges().back().end.value, 1ull << 46);
}

TEST(LinuxBoot, ZeroPage) {
    Memory m(0x10000);
    m.put<std::uint32_t>(kInfo + 0x202, 0x53726448);
    m.put<std::uint8_t>(kInfo + 0x1e8, 2);
    m.put<std::uint64_t>(kInfo + 0x2d0, 0);
    m.put<std::uint64_t>(kInfo + 0x2d8, 0x9fc00);
    m.put<std::uint32_t>(kInfo + 0x2e0, 1);
    m.put<std::uint64_t>(kInfo + 0x2e4, 0x100000);
    m.put<std::uint64_t>(kInfo + 0x2ec, 0x1f00000);
    m.put<std::uint32_t>(kInfo + 0x2f4, 1);
    m.put<std::uint32_t>(kInfo + 0x228, 0x5000);
    m.put_text(0x5000, "console=uart");
    m.put<std::uint32_t>(kInfo + 0x218, 0x1000000);
    m.put<std::uint32_t>(kInfo + 0x21c, 0x2000);
    m.put<std::uint64_t>(kInfo + 0x70, 0xe0010);
    BootData data;
    EXPECT_EQ(parse_linux(m.bytes, kInfo, &data), nullptr);
    EXPECT_EQ(list(data.ram), (Ranges{{0x1000, 0x9f000}, {0x100000, 0x2000000}}));
    EXPECT_EQ(m.text(data.command_line), "console=uart");
    EXPECT_EQ(data.initrd.length, 0x2000u);
    EXPECT_EQ(data.rsdp, 0xe0010u);

    BootData other;
    m.put<std::uint8_t>(kInfo + 0x1e8, 200);
    EXPECT_NE(parse_linux(m.bytes, kInfo, &other), nullptr)
        << "more entries than the zero page has";
    m.put<std::uint8_t>(kInfo + 0x1e8, 0);
    EXPECT_NE(parse_linux(m.bytes, kInfo, &other), nullptr) << "no RAM";
    m.put<std::uint32_t>(kInfo + 0x202, 0);
    EXPECT_NE(parse_linux(m.bytes, kInfo, &other), nullptr) << "no header";
    EXPECT_NE(parse_linux(m.bytes, m.bytes.size() - 4095, &other), nullptr);
}

Memory multiboot() {
    Memory m(0x10000);
    std::size_t at = kInfo + 8;
    const auto tag = [&](std::uint32_t type, std::uint32_t size) {
        m.put(at, type);
        m.put(at + 4, size);
        const std::size_t body = at + 8;
        at += (size + 7) / 8 * 8;
        return body;
    };
    m.put_text(tag(1, 8 + 4), "x=y");
    const std::size_t module = tag(3, 16 + 1);
    m.put<std::uint32_t>(module, 0x200000);
    m.put<std::uint32_t>(module + 4, 0x201000);
    const std::size_t map = tag(6, 16 + 24);
    m.put<std::uint32_t>(map, 24);
    m.put<std::uint64_t>(map + 8, 0x100000);
    m.put<std::uint64_t>(map + 16, 0x700000);
    m.put<std::uint32_t>(map + 24, 1);
    tag(14, 8 + 20);
    tag(0, 8);
    m.put<std::uint32_t>(kInfo, static_cast<std::uint32_t>(at - kInfo));
    return m;
}

TEST(Multiboot2, Tags) {
    const Memory m = multiboot();
    BootData data;
    EXPECT_EQ(parse_multiboot2(m.bytes, kInfo, &data), nullptr);
    EXPECT_EQ(list(data.ram), (Ranges{{0x100000, 0x800000}}));
    EXPECT_EQ(m.text(data.command_line), "x=y");
    EXPECT_EQ(data.initrd.begin, 0x200000u);
    EXPECT_EQ(data.initrd.length, 0x1000u);
    EXPECT_NE(data.rsdp, 0u);
}

TEST(Multiboot2, Hostile) {
    BootData data;
    Memory m = multiboot();
    m.put<std::uint32_t>(kInfo, 0xffffffff);
    EXPECT_NE(parse_multiboot2(m.bytes, kInfo, &data), nullptr);
    m = multiboot();
    m.put<std::uint32_t>(kInfo + 12, 0);  // a tag of size 0
    EXPECT_NE(parse_multiboot2(m.bytes, kInfo, &data), nullptr);
    m = multiboot();
    m.put<std::uint32_t>(kInfo + 12, 0xfffffff0);
    EXPECT_NE(parse_multiboot2(m.bytes, kInfo, &data), nullptr);
    EXPECT_NE(parse_multiboot2(m.bytes, ~0ull - 2, &data), nullptr);
}

}  // namespace
}  // namespace kiln::boot_protocol
