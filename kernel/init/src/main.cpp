// From the end of early boot to the application.
#include <kiln/init/main.hpp>

#include <config/lib_loader.hpp>

#include <kiln/abi/formats/end_record.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/init_call.hpp>
#include <kiln/base/option.hpp>
#include <kiln/hal/platform.hpp>
#include <kiln/init/application.hpp>
#include <kiln/init/command_line.hpp>
#include <kiln/irq/irq.hpp>
#include <kiln/log/log.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/time/clock.hpp>

#include "linux_program.hpp"

KILN_REGISTRY(kiln::Option, kiln_options);
KILN_REGISTRY(kiln::InitCall, kiln_init_calls);

extern "C" [[gnu::weak]] int kiln_application_main();
extern "C" void kiln_main();

namespace kiln::init {
namespace {

/// The command line as words are taken from it; argv of the program points into it.
constinit std::span<char> program_words{};

void apply_option(std::string_view word) {
    const std::size_t equals = word.find('=');
    const std::string_view key(word.data(),
                               equals == std::string_view::npos ? word.size() : equals);
    const std::string_view value =
        equals == std::string_view::npos
            ? std::string_view()
            : std::string_view(word.data() + equals + 1, word.size() - equals - 1);
    for (const Option& option : KILN_REGISTRY_ELEMENTS(kiln_options)) {
        if (option.key != key) continue;
        if (!option.apply(value))
            log::warn("init", "command line: {} does not take the value '{}'", key, value);
        return;
    }
    log::warn("init", "command line: unknown option '{}'", key);
}

/// Options apply as they come; what follows `--` stays for the program.
void read_command_line() {
    const std::string_view given = hal::boot_info().command_line;
    if (given.empty()) return;
    char* copy = static_cast<char*>(mem::allocate(given.size()));
    if (!copy) panic("no memory for the command line");
    for (std::size_t i = 0; i < given.size(); ++i) copy[i] = given[i];
    WordReader reader({copy, given.size()});
    std::string_view word;
    while (reader.next(&word)) {
        if (word == "--") {
            program_words = reader.rest();
            return;
        }
        apply_option(word);
    }
}

void run_init_calls() {
    for (unsigned level = 0; level < kInitLevels; ++level) {
        const std::uint64_t begin = time::monotonic_ns();
        for (const InitCall& call : KILN_REGISTRY_ELEMENTS(kiln_init_calls)) {
            if (static_cast<unsigned>(call.level) == level) call.run();
        }
        log::debug("init", "level {}: {} ns", level, time::monotonic_ns() - begin);
    }
}

}  // namespace

void end_machine(const abi::EndRecord& record) {
    char line[abi::kEndRecordMaxLine];
    const std::size_t n = abi::format_end_record(record, line);
    hal::power_off({line, n}, abi::debug_exit_value(abi::end_status(record)));
}

}  // namespace kiln::init

void kiln_main() {
    using namespace kiln;
    using namespace kiln::init;
    mem::init();
    time::init();
    read_command_line();
    log::set_clock(time::monotonic_ns);
    sched::init();
    irq::init();
    hal::irq_enable();
    run_init_calls();
    if (&kiln_application_main != nullptr) {
        const int status = kiln_application_main();
        end_machine({abi::EndKind::kExit, status & 0xff, {}});
    }
    if constexpr (config::lib_loader) {
        start_linux_program(program_words);
        sched::exit_thread();
    }
    end_machine({abi::EndKind::kError, abi::kStatusToolError,
                 "the image holds neither an application nor a loader"});
}
