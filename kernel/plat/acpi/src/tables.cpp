#include <kiln/acpi/tables.hpp>

#include <cstring>
#include <string_view>

#include <kiln/base/types.hpp>

namespace kiln::acpi {
namespace {

constexpr std::uint32_t kMaxTableBytes = 1_MiB;
constexpr std::size_t kHeaderBytes = 36;  // ACPI 6.5, table 5.4
constexpr std::size_t kRsdp1Bytes = 20;   // table 5.3
constexpr std::size_t kRsdp2Bytes = 36;
constexpr std::uint64_t kMaxRootEntries = 256;

using Table = std::span<const std::byte>;

/// The field at `offset`; 0 where the table is too short for it, as older revisions are.
template <typename T>
T field(Table table, std::size_t offset) {
    T value{};
    if (offset <= table.size() && sizeof(T) <= table.size() - offset)
        std::memcpy(&value, table.data() + offset, sizeof(T));
    return value;
}

std::string_view text(Table table, std::size_t offset, std::size_t length) {
    if (offset > table.size() || length > table.size() - offset) return {};
    return {reinterpret_cast<const char*>(table.data()) + offset, length};
}

bool sums_to_zero(Table bytes) {
    std::uint8_t sum = 0;
    for (const std::byte b : bytes)
        sum = static_cast<std::uint8_t>(sum + static_cast<std::uint8_t>(b));
    return sum == 0;
}

class Reader {
public:
    Reader(Map map, void* cookie, Facts* facts) : map_(map), cookie_(cookie), facts_(facts) {}

    bool read_root(std::uint64_t at);

private:
    Table bytes(std::uint64_t at, std::uint64_t length) const {
        const std::byte* p = at == 0 ? nullptr : map_(at, length, cookie_);
        return p == nullptr ? Table() : Table(p, length);
    }
    Table table(std::uint64_t at) const;
    void read_entry(Table entry);
    void read_madt(Table madt);
    void read_madt_entry(Table entry);
    void read_fadt(Table fadt);
    void read_s5(Table dsdt);

    Map map_;
    void* cookie_;
    Facts* facts_;
};

/// A whole table with its checksum right, or nothing.
Table Reader::table(std::uint64_t at) const {
    const Table header = bytes(at, kHeaderBytes);
    if (header.empty()) return {};
    const auto length = field<std::uint32_t>(header, 4);
    if (length < kHeaderBytes || length > kMaxTableBytes) return {};
    const Table whole = bytes(at, length);
    return sums_to_zero(whole) ? whole : Table();
}

bool Reader::read_root(std::uint64_t at) {
    Table rsdp = bytes(at, kRsdp1Bytes);
    if (text(rsdp, 0, 8) != "RSD PTR " || !sums_to_zero(rsdp)) return false;
    std::uint64_t root = field<std::uint32_t>(rsdp, 16);
    std::size_t entry_bytes = sizeof(std::uint32_t);
    if (field<std::uint8_t>(rsdp, 15) >= 2) {
        const Table rsdp2 = bytes(at, kRsdp2Bytes);
        const auto xsdt = field<std::uint64_t>(rsdp2, 24);
        if (!rsdp2.empty() && sums_to_zero(rsdp2) && xsdt != 0) {
            root = xsdt;
            entry_bytes = sizeof(std::uint64_t);
        }
    }
    const Table list = table(root);
    if (list.empty()) return false;
    std::uint64_t count = (list.size() - kHeaderBytes) / entry_bytes;
    if (count > kMaxRootEntries) count = kMaxRootEntries;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::size_t offset = kHeaderBytes + i * entry_bytes;
        read_entry(table(entry_bytes == 8 ? field<std::uint64_t>(list, offset)
                                          : field<std::uint32_t>(list, offset)));
    }
    return true;
}

void Reader::read_entry(Table entry) {
    const std::string_view signature = text(entry, 0, 4);
    if (signature == "APIC") read_madt(entry);
    if (signature == "FACP") read_fadt(entry);
}

// Multiple APIC Description Table, ACPI 6.5, 5.2.12.
void Reader::read_madt(Table madt) {
    constexpr std::size_t kFirstEntry = 44;
    std::size_t offset = kFirstEntry;
    while (offset + 2 <= madt.size()) {
        const auto length = field<std::uint8_t>(madt, offset + 1);
        if (length < 2 || length > madt.size() - offset) return;
        read_madt_entry(madt.subspan(offset, length));
        offset += length;
    }
}

void Reader::read_madt_entry(Table entry) {
    constexpr std::uint8_t kIoApic = 1;
    constexpr std::uint8_t kSourceOverride = 2;
    const auto type = field<std::uint8_t>(entry, 0);
    if (type == kIoApic && entry.size() >= 12 && facts_->io_apic_count < kMaxIoApics) {
        facts_->io_apics[facts_->io_apic_count++] = {.address = field<std::uint32_t>(entry, 4),
                                                     .first_gsi = field<std::uint32_t>(entry, 8)};
    } else if (type == kSourceOverride && entry.size() >= 10) {
        const auto source = field<std::uint8_t>(entry, 3);
        const auto flags = field<std::uint16_t>(entry, 8);
        // MPS INTI flags, table 5.26: 3 is active low, and level; 0 is as the bus has it, for ISA high and edge.
        if (source < kIsaLines) {
            facts_->isa[source] = {.gsi = field<std::uint32_t>(entry, 4),
                                   .active_low = (flags & 3) == 3,
                                   .level = (flags >> 2 & 3) == 3};
        }
    }
}

// Fixed ACPI Description Table, ACPI 6.5, 5.2.9.
void Reader::read_fadt(Table fadt) {
    constexpr std::uint32_t kFlagResetRegister = 1u << 10;
    constexpr std::uint32_t kFlagHardwareReduced = 1u << 20;
    constexpr std::uint8_t kSystemIo = 1;
    const auto flags = field<std::uint32_t>(fadt, 112);
    if ((flags & kFlagHardwareReduced) != 0) {
        facts_->sleep_control_is_port = field<std::uint8_t>(fadt, 244) == kSystemIo;
        facts_->sleep_control = field<std::uint64_t>(fadt, 248);
    } else {
        facts_->pm1a_control = static_cast<std::uint16_t>(field<std::uint32_t>(fadt, 64));
        facts_->pm1b_control = static_cast<std::uint16_t>(field<std::uint32_t>(fadt, 68));
        if (field<std::uint8_t>(fadt, 91) == 4)
            facts_->pm_timer_port = static_cast<std::uint16_t>(field<std::uint32_t>(fadt, 76));
    }
    if ((flags & kFlagResetRegister) != 0 && field<std::uint8_t>(fadt, 116) == kSystemIo) {
        facts_->reset_port = static_cast<std::uint16_t>(field<std::uint64_t>(fadt, 120));
        facts_->reset_value = field<std::uint8_t>(fadt, 128);
    }
    std::uint64_t dsdt = field<std::uint64_t>(fadt, 140);
    if (dsdt == 0) dsdt = field<std::uint32_t>(fadt, 40);
    read_s5(table(dsdt));
}

// \_S5 is `Name (_S5, Package () {SLP_TYPa, SLP_TYPb, …})`: without an AML interpreter, its bytes are looked for (ACPI 6.5, 7.4.2,
// 20.2): NameOp "_S5_" PackageOp PkgLength NumElements then integers as ZeroOp, OneOp or BytePrefix.
void Reader::read_s5(Table dsdt) {
    constexpr std::uint8_t kNameOp = 0x08;
    constexpr std::uint8_t kPackageOp = 0x12;
    constexpr std::uint8_t kBytePrefix = 0x0a;
    const auto integer = [&](std::size_t* at, std::uint8_t* value) {
        auto op = field<std::uint8_t>(dsdt, (*at)++);
        if (op == kBytePrefix) {
            op = field<std::uint8_t>(dsdt, (*at)++);
        } else if (op > 1) {
            return false;
        }
        *value = op & 7;
        return *at <= dsdt.size();
    };
    for (std::size_t i = kHeaderBytes + 1; i + 4 < dsdt.size(); ++i) {
        if (text(dsdt, i, 4) != "_S5_" || field<std::uint8_t>(dsdt, i + 4) != kPackageOp) continue;
        const bool named = field<std::uint8_t>(dsdt, i - 1) == kNameOp ||
                           (field<std::uint8_t>(dsdt, i - 1) == '\\' &&
                            field<std::uint8_t>(dsdt, i - 2) == kNameOp);
        if (!named) continue;
        std::size_t at = i + 5;
        at += 1 + (field<std::uint8_t>(dsdt, at) >>
                   6);  // PkgLength: its first byte tells how many follow
        if (field<std::uint8_t>(dsdt, at++) < 1) continue;
        std::uint8_t a;
        std::uint8_t b;
        if (!integer(&at, &a)) continue;
        if (!integer(&at, &b)) b = a;
        facts_->s5_type_a = a;
        facts_->s5_type_b = b;
        facts_->has_s5 = true;
        return;
    }
}

}  // namespace

bool read_tables(std::uint64_t rsdp, Map map, void* cookie, Facts* out) {
    for (std::size_t i = 0; i < kIsaLines; ++i) out->isa[i].gsi = static_cast<std::uint32_t>(i);
    Reader reader(map, cookie, out);
    return reader.read_root(rsdp);
}

}  // namespace kiln::acpi
