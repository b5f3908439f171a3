// Names for addresses of the application, while a fatal signal is being told.
#include <atomic>
#include <cstring>

#include <kiln/debug/backtrace.hpp>
#include <kiln/log/log.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/posix/process.hpp>
#include <kiln/vfs/file.hpp>

#include "elf_symbols.hpp"
#include "fatal_signal.hpp"

namespace kiln::posix {
namespace {

/// The task whose end is being told. Only it may look names up: that takes locks and sleeps, which a panic must not.
constinit std::atomic<Task*> g_telling{nullptr};

/// The mapping an address lies in, with the file's name as in /proc/PID/maps.
struct Place {
    std::uintptr_t address;
    std::uint64_t file_offset = 0;
    std::size_t name_length = 0;
    bool is_file = false;
    char name[160];
};

bool visit_mapping(const vm::MappingInfo& mapping, void* cookie) {
    Place& place = *static_cast<Place*>(cookie);
    if (place.address >= mapping.end.value) return true;
    if (place.address < mapping.begin.value) return false;
    if (mapping.object && mapping.object->name()) {
        place.is_file = true;
        place.file_offset = mapping.offset + (place.address - mapping.begin.value);
        place.name_length = mapping.object->name()->format(place.name, sizeof(place.name));
    } else if (mapping.label) {
        place.name_length = std::strlen(mapping.label);
        std::memcpy(place.name, mapping.label, place.name_length);
    }
    return false;
}

bool read_file(void* cookie, std::uint64_t offset, std::span<std::byte> out) {
    auto& file = *static_cast<vfs::File*>(cookie);
    auto buffer = mem::IoBuffer::kernel(out.data(), out.size());
    const auto n = file.read_at(buffer, offset);
    return n.ok() && *n == out.size();
}

std::size_t symbolize(std::uintptr_t ip, std::span<char> out) {
    Task* task = Task::current_or_null();
    if (!task || g_telling.load(std::memory_order_acquire) != task) return 0;
    Place place{.address = ip, .name = {}};
    task->process().address_space().for_each_mapping(visit_mapping, &place);
    if (place.name_length == 0) return 0;
    const std::string_view file_name(place.name, place.name_length);
    if (!place.is_file) return format_to(out, "{}", file_name);
    char name[128];
    ElfSymbol symbol;
    const auto file = vfs::open(vfs::kernel_context(), file_name, 0, 0);
    if (file.ok() &&
        find_elf_symbol({read_file, file.value().get()}, place.file_offset, name, &symbol))
        return format_to(out, "{}+0x{:x} ({})", std::string_view(name, symbol.name_length),
                         symbol.offset, file_name);
    return format_to(out, "{}+0x{:x}", file_name, place.file_offset);
}

const char* signal_text(int signo) {
    switch (signo) {
        case kSigSegv: return "SIGSEGV";
        case kSigBus: return "SIGBUS";
        case kSigIll: return "SIGILL";
        case kSigFpe: return "SIGFPE";
        case kSigTrap: return "SIGTRAP";
        case kSigSys: return "SIGSYS";
        default: return "signal";
    }
}

}  // namespace

void install_symbolizer() { debug::set_application_symbolizer(symbolize); }

void tell_fatal_signal(Task& task, const SignalInfo& info, const hal::TrapFrame& frame) {
    const bool is_fault = info.code > 0 && info.signo != kSigAbrt;
    if (!is_fault) {
        log::info("posix", "task {} ({}) ends by signal {}", task.tid(), task.thread().name(),
                  info.signo);
        return;
    }
    Task* nobody = nullptr;
    if (!g_telling.compare_exchange_strong(nobody, &task)) return;
    log::error("posix", "task {} ({}): {} (code {}) at 0x{:x}, address 0x{:x}", task.tid(),
               task.thread().name(), signal_text(info.signo), info.code,
               hal::instruction_pointer(frame), info.fields[0]);
    debug::print_frame(frame);
    g_telling.store(nullptr, std::memory_order_release);
}

}  // namespace kiln::posix
