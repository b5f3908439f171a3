// kiln build: writes a program as an image that boots by itself, without a compiler.
#include <memory>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>

#include "cli/command.hpp"
#include "lib/error.hpp"
#include "lib/kernel_image.hpp"
#include "lib/text.hpp"

namespace kiln::cli {
namespace {

using tool::fail;

struct BuildCommand {
    ProgramOptions program;
    std::string output;
    bool initrd = false;

    int run(const std::vector<std::string>& words) const;
};

// A file that appears under its name when it is complete.
class OutputFile {
public:
    explicit OutputFile(const std::filesystem::path& path)
        : path_{path}, partial_{path.string() + "." + std::to_string(::getpid())} {
        fd_.reset(::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        if (!fd_) {
            fail("cannot write {}: {}", path.string(), tool::errno_text(errno));
        }
    }
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile() {
        if (!done_) {
            std::error_code ignored;
            std::filesystem::remove(partial_, ignored);
        }
    }
    int fd() const { return fd_.get(); }
    void finish(unsigned mode) {
        ::fchmod(fd_.get(), mode);
        std::error_code error;
        std::filesystem::rename(partial_, path_, error);
        if (error) {
            fail("cannot write {}: {}", path_.string(), error.message());
        }
        done_ = true;
    }

private:
    std::filesystem::path path_;
    std::filesystem::path partial_;
    tool::UniqueFd fd_;
    bool done_ = false;
};

int BuildCommand::run(const std::vector<std::string>& words) const {
    const tool::ProgramRequest request = program.request(words, "build");
    if (!program.kernel_arguments.empty()) {
        fail(
            "--kernel-arg: an image has no kernel command line of its own; give it to QEMU with "
            "-append");
    }
    const tool::KernelImage kernel = tool::find_kernel(program.configuration, program.kernel);
    tool::ImageStore store{tool::ImageStore::default_dir()};
    tool::PreparedProgram prepared = tool::prepare_program(request, store);
    print_warnings(prepared.warnings);
    prepared.launch.environment =
        tool::make_environment(request.name, request.uid, nullptr, request.environment);

    std::filesystem::path out = output;
    if (out.empty()) {
        const std::string base = std::filesystem::path{prepared.launch.path}.filename().string();
        out = (base.empty() ? "image" : base) + (initrd ? ".initrd" : ".kiln");
    }
    const std::uint64_t image_bytes = tool::initrd_bytes(prepared);
    const tool::MappedFile kernel_bytes = tool::MappedFile::open(kernel.path);
    std::uint64_t written = 0;
    if (initrd) {
        OutputFile image{out};
        written = tool::append_initrd(image.fd(), prepared, out.string());
        const std::filesystem::path kernel_out = out.string() + ".elf";
        OutputFile kernel_file{kernel_out};
        tool::write_all(kernel_file.fd(), kernel_bytes.text(), kernel_out.string());
        kernel_file.finish(0644);
        image.finish(0644);
        fmt::print("{} {}\n{} {}\n", kernel_out.string(),
                   tool::format_size(kernel_bytes.bytes().size()), out.string(),
                   tool::format_size(written));
    } else {
        const tool::EmbeddedKernel embedded = tool::embed_image(kernel_bytes.text(), image_bytes);
        OutputFile image{out};
        tool::write_all(image.fd(), embedded.start, out.string());
        written = embedded.start.size() + tool::append_initrd(image.fd(), prepared, out.string());
        image.finish(0755);
        fmt::print("{} {}\n", out.string(), tool::format_size(written));
    }
    const std::uint64_t memory =
        tool::default_memory(kernel.physical_end, image_bytes, prepared.memory_bytes);
    fmt::print(stderr,
               "kiln: boots with -m {}M or what the program needs; `kiln build --help` has the "
               "QEMU command\n",
               memory >> 20);
    return 0;
}

}  // namespace

void add_build(CLI::App& app, Action& action) {
    auto command = std::make_shared<BuildCommand>();
    CLI::App& build = *app.add_subcommand("build", "Make a bootable image of a program");
    take_program(build);
    command->program.add_to(build);
    build
        .add_option("-o,--output", command->output,
                    "the image's file (default: the program's name with .kiln, or .initrd)")
        ->type_name("FILE")
        ->group("Output");
    build
        .add_flag("--initrd", command->initrd,
                  "write two files: FILE, the root image as an initrd, and FILE.elf, the kernel")
        ->group("Output");
    build.footer(
        "\nThe image is one ELF file: the kernel, with the root image, the arguments and the "
        "environment inside. It boots by PVH:\n"
        "  qemu-system-x86_64 -M microvm,acpi=off -cpu max -nodefaults -no-user-config -no-reboot "
        "-display none -serial stdio \\\n"
        "    -device isa-debug-exit,iobase=0xf4,iosize=4 -m SIZE -kernel FILE\n"
        "\nExit status: 0, or 125, 126, 127 as with `kiln run`.\n"
        "\nExamples:\n"
        "  kiln build -o hello.kiln ./hello\n"
        "  kiln build -o web.initrd --initrd --rootfs ./root /usr/bin/server --port 80\n");
    build.callback([command, &build, &action] {
        action = [command, words = build.remaining()] { return command->run(words); };
    });
}

}  // namespace kiln::cli
