#include "lib/syscall_scan.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include <capstone.h>
#include <elf.h>

#include "lib/error.hpp"
#include "lib/file.hpp"

namespace kiln::tool {
namespace {

constexpr std::size_t kWindow = 48;         // bytes before a syscall instruction that are looked at
constexpr std::uint32_t kMaxNumber = 1024;  // larger values in eax are no system call numbers
constexpr std::size_t kMaxFunction = 64 * 1024;
constexpr std::string_view kSpecialFolders[] = {"/proc/", "/sys/", "/dev/"};

const std::uint8_t* data_of(std::span<const std::byte> bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

class Disassembler {
public:
    Disassembler() {
        if (::cs_open(CS_ARCH_X86, CS_MODE_64, &handle_) != CS_ERR_OK) {
            fail("capstone cannot disassemble x86-64");
        }
        ::cs_option(handle_, CS_OPT_DETAIL, CS_OPT_ON);
        instruction_ = ::cs_malloc(handle_);
    }
    Disassembler(const Disassembler&) = delete;
    Disassembler& operator=(const Disassembler&) = delete;
    ~Disassembler() {
        ::cs_free(instruction_, 1);
        ::cs_close(&handle_);
    }

    // Decodes one instruction and moves on; nothing where the bytes are none.
    const cs_insn* next(const std::uint8_t*& code, std::size_t& left,
                        std::uint64_t& address) const {
        return ::cs_disasm_iter(handle_, &code, &left, &address, instruction_) ? instruction_
                                                                               : nullptr;
    }

    bool jumps(const cs_insn& instruction) const {
        return ::cs_insn_group(handle_, &instruction, CS_GRP_JUMP);
    }

private:
    csh handle_ = 0;
    cs_insn* instruction_ = nullptr;
};

// The general registers with all their names, in any order of our own.
constexpr x86_reg kRegisters[][4] = {
    {X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL},
    {X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL},
    {X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL},
    {X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL},
    {X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL},
    {X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL},
    {X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL},
    {X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B},
    {X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B},
    {X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B},
    {X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B},
    {X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B},
    {X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B},
    {X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B},
    {X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B},
};
constexpr std::size_t kNumberRegister = 0;    // rax
constexpr std::size_t kArgumentRegister = 1;  // rdi

// Constants in registers, instruction by instruction.
class Tracker {
public:
    void see(const cs_insn& instruction) {
        const cs_x86& x86 = instruction.detail->x86;
        if (instruction.id == X86_INS_CALL) {
            // What the System V ABI lets a call change: all but rbx, rbp, r12 to r15.
            for (const std::size_t changed : {0, 1, 2, 3, 4, 7, 8, 9, 10}) {
                values_[changed].reset();
            }
            return;
        }
        for (std::uint8_t i = 0; i < instruction.detail->regs_write_count; ++i) {
            set(static_cast<x86_reg>(instruction.detail->regs_write[i]), std::nullopt);
        }
        if (x86.op_count == 2 && x86.operands[0].type == X86_OP_REG) {
            const x86_reg target = x86.operands[0].reg;
            const cs_x86_op& source = x86.operands[1];
            if (instruction.id == X86_INS_MOV && source.type == X86_OP_IMM) {
                set(target, static_cast<std::uint64_t>(source.imm) & 0xffffffff);
                return;
            }
            if (instruction.id == X86_INS_MOV && source.type == X86_OP_REG) {
                set(target, get(source.reg));
                return;
            }
            if (instruction.id == X86_INS_XOR && source.type == X86_OP_REG &&
                source.reg == target) {
                set(target, 0);
                return;
            }
        }
        for (std::uint8_t i = 0; i < x86.op_count; ++i) {
            if (x86.operands[i].type == X86_OP_REG && (x86.operands[i].access & CS_AC_WRITE) != 0) {
                set(x86.operands[i].reg, std::nullopt);
            }
        }
    }
    void forget() { values_ = {}; }
    std::optional<std::uint64_t> number() const { return values_[kNumberRegister]; }
    std::optional<std::uint64_t> argument() const { return values_[kArgumentRegister]; }

private:
    static std::optional<std::size_t> index_of(x86_reg name) {
        for (std::size_t i = 0; i < std::size(kRegisters); ++i) {
            if (std::ranges::find(kRegisters[i], name) != std::end(kRegisters[i])) {
                return i;
            }
        }
        return std::nullopt;
    }
    std::optional<std::uint64_t> get(x86_reg name) const {
        const auto index = index_of(name);
        return index ? values_[*index] : std::nullopt;
    }
    void set(x86_reg name, std::optional<std::uint64_t> value) {
        if (const auto index = index_of(name)) {
            // A write to 8 or 16 bits keeps the others: not followed.
            const bool whole = name == kRegisters[*index][0] || name == kRegisters[*index][1];
            values_[*index] = whole ? value : std::nullopt;
        }
    }
    std::array<std::optional<std::uint64_t>, std::size(kRegisters)> values_{};
};

std::optional<std::uint64_t> rip_relative(const cs_insn& instruction, const cs_x86_op& operand) {
    if (operand.type != X86_OP_MEM || operand.mem.base != X86_REG_RIP ||
        operand.mem.index != X86_REG_INVALID) {
        return std::nullopt;
    }
    return instruction.address + instruction.size + static_cast<std::uint64_t>(operand.mem.disp);
}

bool is_executable(const ElfFile& elf, std::uint64_t address) {
    return std::ranges::any_of(elf.segments(), [&](const ElfSegment& segment) {
        return segment.type == PT_LOAD && (segment.flags & PF_X) != 0 && address >= segment.vaddr &&
               address - segment.vaddr < segment.file_bytes;
    });
}

void note_call(std::uint64_t number, const std::string& where, ScanResult& out) {
    if (number < kMaxNumber) {
        out.calls.emplace(static_cast<std::uint32_t>(number), where);
    } else {
        ++out.unknown_sites;
    }
}

// Walks the functions of one library.
class Walker {
public:
    Walker(const ElfFile& elf, const std::string& where, ScanResult& out)
        : elf_{elf}, where_{where}, out_{out} {
        for (const ElfSymbol& symbol : elf.dynamic_symbols()) {
            if (!symbol.is_undefined && symbol.value != 0) {
                exported_.emplace(std::string{symbol.name}, symbol.value);
                if (symbol.is_function && symbol.name == "syscall") {
                    generic_ = symbol.value;
                }
            }
        }
    }

    // Where functions start, from the search table for unwinding (Linux Standard Base, .eh_frame_hdr): libc has far more
    // functions than symbols.
    void read_starts() {
        constexpr std::size_t kTable = 12;
        // Version 1; pointers relative to here, counts of 4 bytes, a table of signed 4-byte pairs.
        constexpr unsigned char kExpected[] = {1, 0x1b, 0x03, 0x3b};
        for (const ElfSegment& segment : elf_.segments()) {
            const auto bytes = segment.type == PT_GNU_EH_FRAME ? elf_.at(segment.vaddr)
                                                               : std::span<const std::byte>{};
            if (bytes.size() < kTable ||
                std::memcmp(bytes.data(), kExpected, sizeof(kExpected)) != 0) {
                continue;
            }
            std::uint32_t count = 0;
            std::memcpy(&count, bytes.data() + 8, sizeof(count));
            for (std::size_t i = 0; i < count && kTable + (i + 1) * 8 <= bytes.size(); ++i) {
                std::int32_t start = 0;
                std::memcpy(&start, bytes.data() + kTable + i * 8, sizeof(start));
                starts_.insert(segment.vaddr + static_cast<std::uint64_t>(std::int64_t{start}));
            }
        }
    }

    void start(const std::string& symbol) {
        const auto found = exported_.find(symbol);
        if (found != exported_.end() && is_executable(elf_, found->second)) {
            push(found->second, symbol);
        }
    }
    // The functions in tables: addresses that the dynamic linker relocates.
    void start_tables() {
        for (const ElfSegment& segment : elf_.segments()) {
            if (segment.type != PT_DYNAMIC) {
                continue;
            }
            std::uint64_t table = 0;
            std::uint64_t bytes = 0;
            const auto dynamic = elf_.segment_bytes(segment);
            for (std::size_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic.size();
                 at += sizeof(Elf64_Dyn)) {
                Elf64_Dyn entry{};
                std::memcpy(&entry, dynamic.data() + at, sizeof(entry));
                if (entry.d_tag == DT_RELA) {
                    table = entry.d_un.d_ptr;
                } else if (entry.d_tag == DT_RELASZ) {
                    bytes = entry.d_un.d_val;
                }
            }
            auto relocations = elf_.at(table);
            relocations = relocations.first(std::min<std::uint64_t>(bytes, relocations.size()));
            for (std::size_t at = 0; at + sizeof(Elf64_Rela) <= relocations.size();
                 at += sizeof(Elf64_Rela)) {
                Elf64_Rela relocation{};
                std::memcpy(&relocation, relocations.data() + at, sizeof(relocation));
                const auto target = static_cast<std::uint64_t>(relocation.r_addend);
                if (ELF64_R_TYPE(relocation.r_info) == R_X86_64_RELATIVE &&
                    is_executable(elf_, target)) {
                    push(target, "a table of functions");
                }
            }
        }
    }
    void run() {
        while (!todo_.empty()) {
            const Todo next = todo_.back();
            todo_.pop_back();
            walk(next);
        }
    }

private:
    struct Todo {
        std::uint64_t address;
        const std::string* reason;
        Tracker registers;
    };

    // `registers` is what is known where a jump goes to; nothing is at a function's start.
    void push(std::uint64_t address, const std::string& reason, const Tracker& registers = {}) {
        if (seen_.insert(address).second) {
            todo_.push_back({address, &*reasons_.insert(reason).first, registers});
        }
    }

    void walk(const Todo& from) {
        const auto bytes = elf_.at(from.address);
        const std::uint8_t* code = data_of(bytes);
        std::size_t left = std::min(bytes.size(), kMaxFunction);
        std::uint64_t address = from.address;
        Tracker registers = from.registers;
        const std::string reason = fmt::format("{} of {}", *from.reason, where_);
        while (const cs_insn* instruction = disassembler_.next(code, left, address)) {
            // The code after a call that does not return may be another function's.
            if (instruction->address != from.address && starts_.contains(instruction->address)) {
                return;
            }
            // Where another walk has been, the rest is known.
            if (instruction->address != from.address &&
                !walked_.insert(instruction->address).second) {
                return;
            }
            const cs_x86& x86 = instruction->detail->x86;
            if (instruction->id == X86_INS_SYSCALL) {
                if (const auto value = registers.number()) {
                    note_call(*value, reason, out_);
                } else if (*from.reason != "syscall") {
                    ++out_.unknown_sites;  // syscall(2) itself: its callers are looked at
                }
            }
            for (std::uint8_t i = 0; i < x86.op_count; ++i) {
                const auto target = rip_relative(*instruction, x86.operands[i]);
                if (target && instruction->id == X86_INS_LEA) {
                    if (is_executable(elf_, *target)) {
                        push(*target, *from.reason);  // a function whose address is taken
                    } else {
                        note_string(*target, reason);
                    }
                }
            }
            const bool jumps = disassembler_.jumps(*instruction);
            if (x86.op_count == 1 && x86.operands[0].type == X86_OP_IMM &&
                (jumps || instruction->id == X86_INS_CALL)) {
                const auto target = static_cast<std::uint64_t>(x86.operands[0].imm);
                if (target == generic_ && generic_ != 0 && registers.argument()) {
                    note_call(*registers.argument(), reason, out_);
                }
                if (is_executable(elf_, target)) {
                    push(target, *from.reason, jumps ? registers : Tracker{});
                }
            }
            if (instruction->id == X86_INS_JMP || instruction->id == X86_INS_RET ||
                instruction->id == X86_INS_HLT || instruction->id == X86_INS_UD2) {
                return;
            }
            registers.see(*instruction);
        }
    }

    void note_string(std::uint64_t address, const std::string& reason) {
        const auto bytes = elf_.at(address);
        const std::string_view text{reinterpret_cast<const char*>(bytes.data()),
                                    std::min<std::size_t>(bytes.size(), 256)};
        for (const std::string_view folder : kSpecialFolders) {
            const std::size_t end = text.find('\0');
            if (text.starts_with(folder) && end != std::string_view::npos) {
                out_.files.emplace(std::string{text.substr(0, end)}, reason);
            }
        }
    }

    const ElfFile& elf_;
    std::string where_;
    ScanResult& out_;
    Disassembler disassembler_;
    std::unordered_map<std::string, std::uint64_t> exported_;
    std::uint64_t generic_ = 0;
    std::vector<Todo> todo_;
    std::unordered_set<std::uint64_t> seen_;
    std::unordered_set<std::uint64_t> walked_;
    std::unordered_set<std::uint64_t> starts_;  // of all functions
    std::set<std::string> reasons_;
};

bool is_libc(const std::string& name) {
    return name == "libc.so.6" || name.starts_with("ld-musl") || name.starts_with("libc.musl") ||
           name == "libc.so";
}

}  // namespace

void scan_code(std::span<const std::byte> code, std::uint64_t address, const std::string& where,
               ScanResult& out) {
    // Sweeping through all of a large program would take seconds. So: find the instruction's two
    // bytes, and decode what comes before from every possible start; those that meet the two bytes
    // at an instruction's border agree after a few instructions.
    const Disassembler disassembler;
    const std::string_view text{reinterpret_cast<const char*>(code.data()), code.size()};
    for (std::size_t at = text.find("\x0f\x05"); at != std::string_view::npos;
         at = text.find("\x0f\x05", at + 2)) {
        bool aligned = false;
        std::optional<std::uint64_t> number;
        for (std::size_t back = std::min(at, kWindow); back > 0 && !number; --back) {
            const std::uint8_t* bytes = data_of(code) + at - back;
            std::size_t left = back + 2;
            std::uint64_t here = address + at - back;
            Tracker tracker;
            while (const cs_insn* instruction = disassembler.next(bytes, left, here)) {
                if (instruction->id == X86_INS_SYSCALL && instruction->address == address + at) {
                    aligned = true;
                    number = tracker.number();
                    break;
                }
                if (instruction->id == X86_INS_RET || instruction->id == X86_INS_JMP) {
                    tracker.forget();
                }
                tracker.see(*instruction);
            }
        }
        if (number) {
            note_call(*number, where, out);
        } else if (aligned) {
            ++out.unknown_sites;
        }
    }
}

void scan_strings(std::span<const std::byte> bytes, const std::string& where, ScanResult& out) {
    const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    for (const std::string_view folder : kSpecialFolders) {
        for (std::size_t at = text.find(folder); at != std::string_view::npos;
             at = text.find(folder, at + 1)) {
            // The whole string, up to its NUL; printable, and not the middle of another one.
            const bool starts = at == 0 || text[at - 1] == '\0';
            const std::string_view rest = text.substr(at, 256);
            const std::size_t end = rest.find('\0');
            if (starts && end != std::string_view::npos && end > folder.size() &&
                std::ranges::all_of(rest.substr(0, end),
                                    [](char c) { return c > ' ' && c < 0x7f; })) {
                out.files.emplace(std::string{rest.substr(0, end)}, where);
            }
        }
    }
}

void scan_libc(const ElfFile& libc, const std::string& where, const std::set<std::string>& wanted,
               ScanResult& out) {
    Walker walker{libc, where, out};
    walker.read_starts();
    walker.start("__libc_start_main");
    walker.start("_exit");
    for (const std::string& symbol : wanted) {
        walker.start(symbol);
    }
    // Last, so that what a wanted function reaches is said to be its.
    walker.run();
    walker.start_tables();
    walker.run();
}

ScanResult scan_program(const RootView& root, const std::string& program,
                        const std::vector<std::string>& libraries) {
    ScanResult out;
    std::set<std::string> wanted;
    std::vector<std::string> libcs;
    const auto scan_file = [&](const std::string& path) {
        const auto found = root.resolve(path);
        if (!found) {
            fail_not_found("{}: no such file", path);
        }
        const MappedFile file = MappedFile::open(root.host_path(found->path));
        const ElfFile elf = ElfFile::parse(file.bytes(), EM_X86_64);
        const std::string where = base_name(path);
        for (const ElfSegment& segment : elf.segments()) {
            if (segment.type != PT_LOAD) {
                continue;
            }
            if ((segment.flags & PF_X) != 0) {
                scan_code(elf.segment_bytes(segment), segment.vaddr, where, out);
            }
            scan_strings(elf.segment_bytes(segment), where, out);
        }
        for (const ElfSymbol& symbol : elf.dynamic_symbols()) {
            if (symbol.is_undefined) {
                wanted.emplace(symbol.name);
            }
        }
    };
    scan_file(program);
    for (const std::string& library : libraries) {
        if (is_libc(base_name(library))) {
            libcs.push_back(library);
        } else {
            scan_file(library);
        }
    }
    for (const std::string& path : libcs) {
        const MappedFile file = MappedFile::open(root.host_path(root.resolve(path)->path));
        const ElfFile elf = ElfFile::parse(file.bytes(), EM_X86_64);
        scan_libc(elf, base_name(path), wanted, out);
    }
    return out;
}

}  // namespace kiln::tool
