#include <kiln/acpi/tables.hpp>

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kiln::acpi {
namespace {

/// Memory that tables are put into, one after the other.
class Firmware {
public:
    Firmware() : memory_(64, std::byte{0}) {}

    /// A table with a correct header and checksum; returns its address.
    std::uint64_t add(const char* signature, std::vector<std::uint8_t> body) {
        std::vector<std::uint8_t> t(36, 0);
        std::memcpy(t.data(), signature, 4);
        t.insert(t.end(), body.begin(), body.end());
        const auto length = static_cast<std::uint32_t>(t.size());
        std::memcpy(t.data() + 4, &length, 4);
        t[9] = checksum(t);
        return put(t);
    }
    std::uint64_t add_rsdp(std::uint64_t rsdt) {
        std::vector<std::uint8_t> t(20, 0);
        std::memcpy(t.data(), "RSD PTR ", 8);
        const auto at = static_cast<std::uint32_t>(rsdt);
        std::memcpy(t.data() + 16, &at, 4);
        t[8] = checksum(t);
        return put(t);
    }
    std::uint64_t add_root(const std::vector<std::uint64_t>& tables) {
        std::vector<std::uint8_t> body;
        for (const std::uint64_t at : tables) {
            for (int i = 0; i < 4; ++i) body.push_back(static_cast<std::uint8_t>(at >> (8 * i)));
        }
        return add("RSDT", body);
    }
    bool read(std::uint64_t rsdp, Facts* facts) {
        return read_tables(
            rsdp,
            [](std::uint64_t at, std::uint64_t length, void* cookie) -> const std::byte* {
                const auto& m = static_cast<Firmware*>(cookie)->memory_;
                return at > m.size() || length > m.size() - at ? nullptr : m.data() + at;
            },
            this, facts);
    }
    std::vector<std::byte> memory_;

private:
    static std::uint8_t checksum(const std::vector<std::uint8_t>& t) {
        std::uint8_t sum = 0;
        for (const std::uint8_t b : t) sum = static_cast<std::uint8_t>(sum + b);
        return static_cast<std::uint8_t>(-sum);
    }
    std::uint64_t put(const std::vector<std::uint8_t>& t) {
        const std::uint64_t at = memory_.size();
        for (const std::uint8_t b : t) memory_.push_back(static_cast<std::byte>(b));
        while (memory_.size() % 16 != 0) memory_.push_back(std::byte{0});
        return at;
    }
};

void set32(std::vector<std::uint8_t>& body, std::size_t table_offset, std::uint32_t value) {
    std::memcpy(body.data() + table_offset - 36, &value, 4);
}

std::vector<std::uint8_t> fadt_body() { return std::vector<std::uint8_t>(276 - 36, 0); }

TEST(Acpi, Madt) {
    Firmware f;
    std::vector<std::uint8_t> body(8, 0);
    const std::uint8_t io_apic[] = {1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 16, 0, 0, 0};
    const std::uint8_t timer[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0};
    const std::uint8_t sci[] = {2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0};
    body.insert(body.end(), std::begin(io_apic), std::end(io_apic));
    body.insert(body.end(), std::begin(timer), std::end(timer));
    body.insert(body.end(), std::begin(sci), std::end(sci));
    const std::uint64_t rsdp = f.add_rsdp(f.add_root({f.add("APIC", body)}));
    Facts facts;
    ASSERT_TRUE(f.read(rsdp, &facts));
    ASSERT_EQ(facts.io_apic_count, 1u);
    EXPECT_EQ(facts.io_apics[0].address, 0xfec00000u);
    EXPECT_EQ(facts.io_apics[0].first_gsi, 16u);
    EXPECT_EQ(facts.isa[0].gsi, 2u);
    EXPECT_FALSE(facts.isa[0].level);
    EXPECT_TRUE(facts.isa[9].level);
    EXPECT_TRUE(facts.isa[9].active_low);
    EXPECT_EQ(facts.isa[4].gsi, 4u) << "identity where nothing is said";
}

TEST(Acpi, FadtAndS5) {
    Firmware f;
    const std::string dsdt =
        std::string("xx\x08_S5_\x12\x06\x04\x0a\x05\x0a\x03", 14) + std::string(4, '\0');
    std::vector<std::uint8_t> body = fadt_body();
    set32(body, 40, static_cast<std::uint32_t>(f.add("DSDT", {dsdt.begin(), dsdt.end()})));
    set32(body, 64, 0x604);
    set32(body, 76, 0x608);
    body[91 - 36] = 4;
    set32(body, 112, 1u << 10);
    body[116 - 36] = 1;
    set32(body, 120, 0xcf9);
    body[128 - 36] = 0xf;
    const std::uint64_t rsdp = f.add_rsdp(f.add_root({f.add("FACP", body)}));
    Facts facts;
    ASSERT_TRUE(f.read(rsdp, &facts));
    EXPECT_EQ(facts.pm1a_control, 0x604);
    EXPECT_EQ(facts.pm_timer_port, 0x608);
    EXPECT_EQ(facts.reset_port, 0xcf9);
    EXPECT_EQ(facts.reset_value, 0xf);
    ASSERT_TRUE(facts.has_s5);
    EXPECT_EQ(facts.s5_type_a, 5);
    EXPECT_EQ(facts.s5_type_b, 3);
}

TEST(Acpi, BrokenTablesAreIgnored) {
    Firmware f;
    std::vector<std::uint8_t> body(8, 0);
    const std::uint8_t endless[] = {1, 0, 0, 0};  // an entry of length 0
    body.insert(body.end(), std::begin(endless), std::end(endless));
    const std::uint64_t madt = f.add("APIC", body);
    const std::uint64_t broken = f.add("FACP", fadt_body());
    f.memory_[broken + 64] = std::byte{1};  // the checksum is wrong now
    const std::uint64_t rsdp = f.add_rsdp(f.add_root({madt, broken, 0, 1u << 30}));
    Facts facts;
    ASSERT_TRUE(f.read(rsdp, &facts));
    EXPECT_EQ(facts.io_apic_count, 0u);
    EXPECT_EQ(facts.pm1a_control, 0);
    EXPECT_FALSE(facts.has_s5);

    f.memory_[rsdp] = std::byte{'X'};
    EXPECT_FALSE(f.read(rsdp, &facts));
    EXPECT_FALSE(f.read(0, &facts));
    EXPECT_FALSE(f.read(~0ull, &facts));
}

}  // namespace
}  // namespace kiln::acpi
