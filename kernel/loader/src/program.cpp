#include <kiln/loader/program.hpp>

#include <config/aslr.hpp>
#include <config/lib_vdso.hpp>

#include <kiln/hal/user_access.hpp>
#include <kiln/loader/elf.hpp>
#include <kiln/loader/script.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/mem/vector.hpp>
#include <kiln/random/random.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vfs/path.hpp>

#include "stack.hpp"
#include "vdso.hpp"

namespace kiln::loader {
namespace {

// Randomisation as Linux's on x86-64: pages of mmap base and PIE (mmap_rnd_bits 28), stack top
// (STACK_RND_MASK 22 bits), 32 MiB behind the program for the heap (arch_randomize_brk).
constexpr unsigned kMmapRandomBits = 28;
constexpr unsigned kStackRandomBits = 22;
constexpr unsigned kHeapRandomBits = 13;
constexpr std::uint64_t kPieBase = 0x555555554000;
constexpr std::uint64_t kMinMmapGap = 128_MiB;
constexpr std::uint64_t kMaxMmapGap = hal::kUserEnd / 6 * 5;
constexpr std::uint64_t kInitialStack = 132_KiB;
constexpr unsigned kResourceStack = 3;  // RLIMIT_STACK
constexpr std::uint32_t kOpenReadOnly = 0;
constexpr std::uint32_t kMayExecute = 1;  // X_OK

std::uint64_t random_pages(unsigned bits) {
    if constexpr (config::aslr) return (random::next() & ((1ull << bits) - 1)) << kPageShift;
    return 0;
}

/// The program file being looked at.
struct Candidate {
    Ref<vfs::File> file;
    std::uint64_t size = 0;
};

Result<std::size_t> read_some(vfs::File& file, std::span<std::byte> out, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < out.size()) {
        mem::IoBuffer buffer = mem::IoBuffer::kernel(out.data() + done, out.size() - done);
        const std::size_t n = TRY(file.read_at(buffer, offset + done));
        if (n == 0) break;
        done += n;
    }
    return done;
}

/// `owner`: the program or script that needs this file; empty for the program itself.
Result<Candidate> open_candidate(const vfs::LookupContext& context, std::string_view path,
                                 std::string_view owner, FailureText& failure) {
    const auto refuse = [&](Errno error, std::string_view why) {
        if (owner.empty()) return failure.set(error, "{}: {}", path, why);
        return failure.set(error, "{}: its interpreter {}: {}", owner, path, why);
    };
    if (path.empty()) return refuse(Errno::kENOENT, "an empty name");
    auto opened = vfs::open(context, path, kOpenReadOnly, 0);
    if (!opened.ok()) {
        const char* why = opened.error() == Errno::kENOENT ? "no such file"
                          : opened.error() == Errno::kENOTDIR
                              ? "a part of its path is not a directory"
                          : opened.error() == Errno::kELOOP  ? "too many symbolic links"
                          : opened.error() == Errno::kEACCES ? "permission denied"
                                                             : "can't be opened";
        return refuse(opened.error(), why);
    }
    Candidate candidate;
    candidate.file = std::move(opened).value();
    const vfs::Attributes attributes = TRY(candidate.file->attributes());
    if ((attributes.mode & vfs::kModeTypeMask) != vfs::kModeRegular)
        return refuse(Errno::kEACCES, "not a regular file");
    const Result<void> allowed =
        vfs::check_access(candidate.file->path(), kMayExecute, context.credentials);
    if (!allowed.ok()) return refuse(allowed.error(), "not executable (no x permission)");
    candidate.size = attributes.size;
    return candidate;
}

/// An ELF file with its headers checked.
struct ElfFile {
    Candidate source;
    ElfHeader header;
    ElfLayout layout;
};

Result<ElfFile> read_elf(Candidate source, std::span<const std::byte> head, std::string_view path,
                         FailureText& failure) {
    const char* reason = "malformed";
    auto header = parse_elf_header(head, &reason);
    if (!header.ok()) return failure.set(header.error(), "{}: {}", path, reason);
    const std::uint64_t begin = header->program_headers_offset;
    const std::uint64_t length = header->program_headers_bytes();
    Result<ElfLayout> layout = Errno::kENOEXEC;
    if (begin <= head.size() && length <= head.size() - begin) {
        layout = parse_program_headers(*header, head.subspan(begin, length), source.size, &reason);
    } else {
        mem::Vector<std::byte> bytes;
        TRY(bytes.resize(length));
        std::size_t n = 0;
        if (begin < source.size) n = TRY(read_some(*source.file, {bytes.data(), length}, begin));
        layout = parse_program_headers(*header, std::span(bytes.data(), n), source.size, &reason);
    }
    if (!layout.ok()) return failure.set(layout.error(), "{}: {}", path, reason);
    return ElfFile{std::move(source), *header, *layout};
}

std::uint32_t prot_of(std::uint32_t flags) {
    return ((flags & kElfRead) ? vm::kProtRead : 0u) | ((flags & kElfWrite) ? vm::kProtWrite : 0u) |
           ((flags & kElfExecute) ? vm::kProtExec : 0u);
}

/// Maps one segment at its address plus `bias`: the file's part, then zeros up to memory_size.
Result<void> map_segment(vm::AddressSpace& space, const ElfSegment& segment, std::uint64_t bias,
                         const Ref<vm::MemoryObject>& object) {
    const std::uint64_t begin = bias + segment.address;
    const std::uint64_t file_end = begin + segment.file_size;
    vm::MapRequest request;
    request.prot = prot_of(segment.flags);
    request.placement = vm::Placement::kFixedReplace;
    std::uint64_t mapped_end = page_down(begin);
    if (segment.file_size != 0) {
        mapped_end = page_up(file_end);
        request.address = VirtAddr{page_down(begin)};
        request.length = mapped_end - page_down(begin);
        request.object = object;
        request.offset = page_down(segment.offset);
        TRY(space.map(request));
        // The rest of the last page belongs to .bss. Where the segment is read-only nobody can tell.
        if (segment.memory_size > segment.file_size && (segment.flags & kElfWrite) &&
            mapped_end != file_end && hal::zero_user(file_end, mapped_end - file_end) != 0)
            return Errno::kENOMEM;
    }
    const std::uint64_t end = page_up(begin + segment.memory_size);
    if (end > mapped_end) {
        request.address = VirtAddr{mapped_end};
        request.length = end - mapped_end;
        request.object = nullptr;
        request.offset = 0;
        TRY(space.map(request));
    }
    return {};
}

/// Maps all segments; returns the bias (0 for a program linked to fixed addresses). `wanted` is where
/// a position-independent file should begin, 0: anywhere.
Result<std::uint64_t> map_elf(vm::AddressSpace& space, const ElfFile& elf, std::uint64_t wanted) {
    const ElfLayout& layout = elf.layout;
    const Ref<vm::MemoryObject> object = TRY(elf.source.file->memory_object());
    const std::uint64_t span = layout.high - layout.low;
    // One reservation first, so that the segments keep their distances whatever else is mapped.
    vm::MapRequest reservation;
    reservation.length = span;
    std::uint64_t bias = 0;
    if (elf.header.position_independent) {
        const std::uint64_t slack = layout.alignment - kPageSize;
        reservation.address = VirtAddr{wanted};
        reservation.length = span + slack;
        const VirtAddr at = TRY(space.map(reservation));
        const std::uint64_t begin = align_up(at.value, layout.alignment);
        bias = begin - layout.low;
        if (begin != at.value) TRY(space.unmap(at, begin - at.value));
        if (begin - at.value != slack)
            TRY(space.unmap(VirtAddr{begin + span}, slack - (begin - at.value)));
    } else {
        reservation.address = VirtAddr{layout.low};
        reservation.placement = vm::Placement::kFixedNoReplace;
        TRY(space.map(reservation));
    }
    std::uint64_t end = layout.low;
    for (std::size_t i = 0; i < layout.segment_count; ++i) {
        const ElfSegment& segment = layout.segments[i];
        // Holes between segments are not the program's.
        if (page_down(segment.address) > end)
            TRY(space.unmap(VirtAddr{bias + end}, page_down(segment.address) - end));
        TRY(map_segment(space, segment, bias, object));
        end = page_up(segment.address + segment.memory_size);
    }
    return bias;
}

/// What /proc/PID/stat tells of the program's parts.
void note_segments(const ElfLayout& layout, std::uint64_t bias, posix::Process::Image& image) {
    for (std::size_t i = 0; i < layout.segment_count; ++i) {
        const ElfSegment& s = layout.segments[i];
        const VirtAddr begin{bias + s.address};
        if (s.flags & kElfExecute) {
            image.code_begin = begin;
            image.code_end = begin + s.file_size;
        }
        if (s.flags & kElfWrite) {
            image.data_begin = begin;
            image.data_end = begin + s.file_size;
        }
    }
}

Result<ElfFile> read_interpreter(const vfs::LookupContext& context, const ElfFile& program,
                                 std::string_view path, FailureText& failure) {
    mem::Vector<char> name;
    TRY(name.resize(program.layout.interpreter_size));
    if (TRY(read_some(*program.source.file,
                      std::as_writable_bytes(std::span(name.data(), name.size())),
                      program.layout.interpreter_offset)) != name.size() ||
        name[name.size() - 1] != '\0')
        return failure.set(Errno::kENOEXEC, "{}: the interpreter's name is malformed", path);
    const std::string_view interpreter(name.data());
    Candidate candidate = TRY(open_candidate(context, interpreter, path, failure));
    std::byte head[512];
    const std::size_t n = TRY(read_some(*candidate.file, head, 0));
    auto elf = read_elf(std::move(candidate), {head, n}, interpreter, failure);
    if (!elf.ok()) return elf.error() == Errno::kENOEXEC ? Errno::kELIBBAD : elf.error();
    return elf;
}

/// Strings of `#!` lines, which argv points into.
struct ScriptLevel {
    std::byte head[kScriptLineMax];
};

Result<hal::TrapFrame> load_elf(posix::Process& process, const vfs::LookupContext& context,
                                const ElfFile& elf, const ProgramArguments& arguments,
                                FailureText& failure) {
    vm::AddressSpace& space = process.address_space();
    posix::Process::Image& image = process.image();
    image = {};
    image.executable = elf.source.file->path();

    const std::uint64_t stack_limit = process.limit(kResourceStack).soft;
    const std::uint64_t stack_top = hal::kUserEnd - random_pages(kStackRandomBits);
    std::uint64_t gap = stack_limit > kMaxMmapGap ? kMaxMmapGap : page_up(stack_limit) + 1_MiB;
    if (gap < kMinMmapGap) gap = kMinMmapGap;
    space.set_mmap_base(VirtAddr{stack_top - gap - random_pages(kMmapRandomBits)});

    vm::MapRequest stack;
    stack.address = VirtAddr{stack_top - kInitialStack};
    stack.length = kInitialStack;
    stack.prot =
        vm::kProtRead | vm::kProtWrite | (elf.layout.executable_stack ? vm::kProtExec : 0u);
    stack.placement = vm::Placement::kFixedNoReplace;
    stack.stack = true;
    stack.label = "[stack]";
    TRY(space.map(stack));

    const std::uint64_t bias = TRY(map_elf(space, elf, kPieBase + random_pages(kMmapRandomBits)));
    note_segments(elf.layout, bias, image);
    image.brk_begin = VirtAddr{bias + elf.layout.high + random_pages(kHeapRandomBits)};
    space.init_break(image.brk_begin);

    AuxFacts facts{};
    facts.entry = bias + elf.header.entry;
    if (elf.layout.program_headers_address != 0)
        facts.program_headers = bias + elf.layout.program_headers_address;
    facts.program_header_count = elf.header.program_header_count;
    facts.uid = context.credentials.uid;
    facts.gid = context.credentials.gid;
    std::uint64_t start = facts.entry;
    if (elf.layout.has_interpreter) {
        const ElfFile interpreter = TRY(read_interpreter(context, elf, arguments.path, failure));
        facts.interpreter_base = TRY(map_elf(space, interpreter, 0));
        start = facts.interpreter_base + interpreter.header.entry;
    }
    if constexpr (config::lib_vdso) {
        image.vdso = TRY(map_vdso(space));
        facts.vdso = image.vdso.value;
    }
    if (start < hal::kUserBegin || start >= hal::kUserEnd)
        return failure.set(Errno::kEINVAL, "{}: its entry lies outside the application's addresses",
                           arguments.path);
    auto sp = build_stack(stack_top, stack_limit, arguments, facts, image);
    if (!sp.ok()) {
        return failure.set(sp.error(), "{}: {}", arguments.path,
                           sp.error() == Errno::kE2BIG ? "arguments and environment are too long"
                                                       : "no memory for its stack");
    }
    return hal::new_user_frame(start, *sp);
}

}  // namespace

Result<hal::TrapFrame> load_program(posix::Process& process, const ProgramArguments& arguments,
                                    FailureText& failure) {
    const vfs::LookupContext context = process.lookup_context();
    mem::Vector<std::string_view> argv;
    for (std::string_view a : arguments.argv) TRY(argv.push_back(a));
    std::string_view path = arguments.path;
    std::string_view owner;  // the script whose #! line named `path`
    mem::Vector<Owned<ScriptLevel>> levels;

    for (;;) {
        Candidate candidate = TRY(open_candidate(context, path, owner, failure));
        std::byte head[512];
        const std::size_t n = TRY(read_some(*candidate.file, head, 0));
        if (!is_script({head, n})) {
            const ElfFile elf = TRY(read_elf(std::move(candidate), {head, n}, path, failure));
            // Segments and stack are written through the new address space, as the program will see them.
            const vm::ScopedAddressSpace use(process.address_space());
            // Linux gives AT_EXECFN the name that execve was called with, also for scripts.
            auto frame = load_elf(
                process, context, elf,
                {arguments.path, std::span(argv.data(), argv.size()), arguments.envp}, failure);
            if (!frame.ok() && failure.view().empty()) {
                return failure.set(frame.error(), "{}: {}", path,
                                   frame.error() == Errno::kENOMEM ? "not enough memory to load it"
                                                                   : "can't be mapped");
            }
            return frame;
        }
        if (levels.size() == kMaxScriptDepth)
            return failure.set(Errno::kELOOP, "{}: scripts nested too deeply", path);
        auto level = TRY(mem::make_owned<ScriptLevel>());
        const std::size_t kept = n < kScriptLineMax ? n : kScriptLineMax;
        for (std::size_t i = 0; i < kept; ++i) level->head[i] = head[i];
        auto line = parse_script_line({level->head, kept});
        if (!line.ok())
            return failure.set(line.error(), "{}: its #! line names no interpreter", path);
        TRY(levels.push_back(std::move(level)));
        // argv becomes: interpreter, [argument], script, argv[1]…
        if (argv.is_empty()) {
            TRY(argv.push_back(path));
        } else {
            argv[0] = path;
        }
        if (!line->argument.empty()) TRY(argv.insert(0, line->argument));
        TRY(argv.insert(0, line->interpreter));
        owner = path;
        path = line->interpreter;
    }
}

}  // namespace kiln::loader
