#include "lib/machine.hpp"

#include <gtest/gtest.h>

#include <kiln/abi/formats/end_record.hpp>

#include "lib/error.hpp"
#include "lib/text.hpp"

namespace kiln::tool {
namespace {

constexpr int kExit1 = 1 << 8;  // a wait status: exited with 1

TEST(EndRecord, MapsEveryKindToItsStatus) {
    const auto status = [](std::string_view record) {
        return judge_end(record, kExit1, "", "app").status;
    };
    EXPECT_EQ(status("kiln-end exit=0\n"), 0);
    EXPECT_EQ(status("kiln-end exit=7\n"), 7);
    EXPECT_EQ(status("kiln-end signal=11\n"), 139);
    EXPECT_EQ(status("kiln-end panic=a bug\n"), 70);
    EXPECT_EQ(status("kiln-end oom=mmap asked for 4 GiB, 3 MiB are left\n"), 137);
    EXPECT_EQ(status("kiln-end error=126 not a program\n"), 126);
    EXPECT_EQ(status("kiln-end error=127 /lib/ld.so is missing\n"), 127);
    EXPECT_EQ(status("noise\nkiln-end exit=3\nkiln-end exit=4\n"), 3);
    EXPECT_EQ(status(""), 125);
    EXPECT_EQ(status("kiln-end exit=\n"), 125);
    EXPECT_EQ(status("kiln-end exit=999\n"), 125);
    EXPECT_EQ(status("kiln-end exit=1x\n"), 125);
    EXPECT_EQ(status("kiln-end what=1\n"), 125);
    EXPECT_EQ(status("kiln-end exit=4294967296\n"), 125);
}

TEST(EndRecord, CarriesTheReason) {
    EXPECT_EQ(judge_end("kiln-end exit=1\n", kExit1, "warning", "app").message, "");
    EXPECT_EQ(judge_end("kiln-end panic=bad thing\n", kExit1, "", "app").message,
              "the kernel panicked: bad thing");
    EXPECT_EQ(judge_end("kiln-end error=127 no file\n", kExit1, "", "app").message, "app: no file");
    const RunResult died = judge_end("", 9, "last words\n", "app");
    EXPECT_EQ(died.status, 125);
    EXPECT_NE(died.message.find("signal 9"), std::string::npos);
    EXPECT_NE(died.message.find("last words"), std::string::npos);
}

TEST(EndRecord, WriterAndReaderAgree) {
    using abi::EndKind;
    const abi::EndRecord records[] = {{EndKind::kExit, 255, ""},
                                      {EndKind::kSignal, 64, ""},
                                      {EndKind::kPanic, 0, "why=not at all"},
                                      {EndKind::kOutOfMemory, 0, "all gone"},
                                      {EndKind::kError, 126, "cut short"}};
    for (const abi::EndRecord& record : records) {
        char line[128];
        const std::size_t length = abi::format_end_record(record, line);
        const auto back = abi::parse_end_record({line, length});
        ASSERT_TRUE(back) << std::string_view(line, length);
        EXPECT_EQ(back->kind, record.kind);
        EXPECT_EQ(back->value, record.value);
        EXPECT_EQ(back->reason, record.reason);
    }
    char small[20];
    const std::size_t length =
        abi::format_end_record({EndKind::kPanic, 0, "a long\nreason"}, small);
    EXPECT_EQ((std::string_view{small, length}), "kiln-end panic=a lo\n");
    EXPECT_EQ(abi::debug_exit_value(255), 127);
    EXPECT_EQ(abi::debug_exit_value(0), 0);
}

TEST(Console, EscapesTheEscape) {
    std::string out;
    escape_input(std::string_view{"a\x10\x04z", 4}, out);
    EXPECT_EQ(out, (std::string{"a\x10\x10\x04z", 5}));
}

TEST(QemuCommand, QuotesKernelArguments) {
    EXPECT_EQ(kernel_command_line({"loglevel=info", "a=b c", "q=\"\\"}),
              R"(loglevel=info "a=b c" "q=\"\\")");
    EXPECT_THROW(kernel_command_line({"--"}), Error);
    EXPECT_THROW(kernel_command_line({std::string(5000, 'x')}), Error);
}

TEST(QemuCommand, HasWhatTheOptionsSay) {
    MachineOptions options;
    options.memory_bytes = 1280 << 10;
    options.kernel = "/k";
    options.initrd = "/i";
    options.cpus = 2;
    options.kernel_arguments = {"seed=1"};
    const std::string command = shell_join(qemu_command(options));
    for (const char* part : {"-m 1280K", "-smp 2", "-kernel /k", "-initrd /i", "-append seed=1",
                             "-accel tcg", "microvm", "-no-reboot"}) {
        EXPECT_NE(command.find(part), std::string::npos) << part;
    }
    options.accelerator = Accelerator::kKvm;
    options.machine = "q35";
    options.memory_bytes = 64 << 20;
    const std::string other = shell_join(qemu_command(options));
    for (const char* part : {"-m 64M", "-accel kvm -cpu host", "-M q35"}) {
        EXPECT_NE(other.find(part), std::string::npos) << part;
    }
}

}  // namespace
}  // namespace kiln::tool
