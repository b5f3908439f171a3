// The launch record: what the tool tells the kernel about the program to start.
//
// It is the last part of the initrd (see initrd.hpp): one LaunchHeader, then NUL-terminated strings
// without padding between them: program path, working directory, host name, argv[0..argc),
// env[0..envc). All integers are little endian. The record carries argv and the environment because
// QEMU limits the PVH kernel command line to 4096 bytes.
//
// Freestanding: no heap, no exceptions. The reader checks every bound; the bytes may be hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace kiln::abi {

inline constexpr char kLaunchMagic[8] = {'K', 'I', 'L', 'N', 'L', 'N', 'C', 'H'};
inline constexpr std::uint32_t kLaunchVersion = 1;

// Limits of Linux where it has them: MAX_ARG_STRLEN is 128 KiB a string
// (include/uapi/linux/binfmts.h), the whole of argv and envp a quarter of the 8 MiB stack
// (getrlimit semantics, execve(2)).
inline constexpr std::uint32_t kLaunchMaxString = 128 * 1024;
inline constexpr std::uint32_t kLaunchMaxBytes = 2 * 1024 * 1024;

// Flags of LaunchHeader::flags. A kernel that meets an unknown flag names it in the log and goes
// on.
//
// kLaunchStdinEscaped: bytes that arrive on the console's input are not typed on a terminal but are
// the contents of a pipe or file, and carry their end:
//     DLE DLE (10 10)  stands for one byte 0x10
//     DLE EOT (10 04)  the end of the input: read(0) gives 0 from here on, for ever
//     DLE and any other byte: malformed; both bytes are passed on as they are
// In this mode no line discipline touches the input (no echo, no signals from ^C, no CR to NL) and
// fd 0 is not a terminal (isatty gives ENOTTY), as a pipe is on Linux. Without the flag the
// console's input is a terminal's: bytes as the user's terminal in raw mode sends them, 0x04 has
// its meaning by the line discipline only. The kernel must leave bytes in the UART while its own
// buffer is full: QEMU then stops reading from the tool, so that no input is lost however slowly
// the program reads.
inline constexpr std::uint32_t kLaunchStdinEscaped = 1u << 0;
// fd 0 is a terminal. Never set together with kLaunchStdinEscaped.
inline constexpr std::uint32_t kLaunchStdinTerminal = 1u << 1;
// fds 1 and 2 are a terminal: isatty() is true and the line discipline's output processing (ONLCR)
// is on; the kernel's own log lines then end in CR LF as well, since the user's terminal is in raw
// mode. Without it they are like pipes: the bytes go out exactly as written.
inline constexpr std::uint32_t kLaunchStdoutTerminal = 1u << 2;

inline constexpr std::uint32_t kLaunchKnownFlags =
    kLaunchStdinEscaped | kLaunchStdinTerminal | kLaunchStdoutTerminal;

inline constexpr std::uint8_t kStdinEscape = 0x10;      // ASCII DLE
inline constexpr std::uint8_t kStdinEscapedEnd = 0x04;  // ASCII EOT, after kStdinEscape

struct LaunchHeader {
    char magic[8];              // kLaunchMagic
    std::uint32_t version;      // kLaunchVersion
    std::uint32_t total_bytes;  // header and strings, without the padding to the part's alignment
    std::uint32_t argc;         // at least 1
    std::uint32_t envc;
    std::uint32_t flags;  // kLaunch…
    std::uint32_t uid;    // user and group the program runs as
    std::uint32_t gid;
    std::uint16_t tty_rows;  // size of the terminal for TIOCGWINSZ; 0 where unknown or no terminal
    std::uint16_t tty_columns;
};
static_assert(sizeof(LaunchHeader) == 40);
static_assert(alignof(LaunchHeader) == 4);
static_assert(offsetof(LaunchHeader, total_bytes) == 12);
static_assert(offsetof(LaunchHeader, flags) == 24);
static_assert(offsetof(LaunchHeader, tty_rows) == 36);

// The strings of a checked record, one after the other. A string's data() is NUL-terminated in
// place.
class LaunchStrings {
public:
    constexpr LaunchStrings(const char* next, std::uint32_t count) : next_{next}, left_{count} {}

    // The next string, or nothing after the last.
    constexpr std::optional<std::string_view> next() {
        if (left_ == 0) {
            return std::nullopt;
        }
        --left_;
        const std::string_view string{next_};
        next_ += string.size() + 1;
        return string;
    }
    constexpr std::uint32_t left() const { return left_; }

private:
    const char* next_;
    std::uint32_t left_;
};

// A view into the bytes of a record; valid as long as they are.
struct LaunchView {
    LaunchHeader header;
    std::string_view path;               // absolute path of the program inside the guest
    std::string_view working_directory;  // absolute
    std::string_view hostname;           // may be empty
    const char* argv_strings;
    const char* env_strings;

    constexpr LaunchStrings argv() const { return {argv_strings, header.argc}; }
    constexpr LaunchStrings env() const { return {env_strings, header.envc}; }
};

enum class LaunchError : std::uint8_t {
    kNotALaunchRecord,  // too short for a header, or another magic
    kVersion,           // a version this reader does not know
    kTruncated,         // total_bytes is beyond the given bytes, or below the header
    kTooLarge,          // more than kLaunchMaxBytes
    kStrings,  // fewer strings than the counts say, bytes left over, or one above kLaunchMaxString
    kNoProgram,  // empty path, relative path or directory, or argc of 0
};

constexpr std::string_view to_string(LaunchError error) {
    switch (error) {
        case LaunchError::kNotALaunchRecord: return "not a launch record";
        case LaunchError::kVersion: return "launch record of an unknown version";
        case LaunchError::kTruncated: return "launch record cut short";
        case LaunchError::kTooLarge: return "launch record too large";
        case LaunchError::kStrings: return "launch record with malformed strings";
        case LaunchError::kNoProgram: return "launch record without a program";
    }
    return "unknown launch record error";
}

// Either a view or why there is none; `view` has a meaning only when `error` is empty.
struct LaunchParse {
    std::optional<LaunchError> error;
    LaunchView view;
};

// Reads and checks the record at the start of `bytes` (which may be longer: the part's padding
// follows).
inline LaunchParse parse_launch(std::span<const std::byte> bytes) {
    const auto fail = [](LaunchError error) { return LaunchParse{error, {}}; };
    LaunchView view{};
    if (bytes.size() < sizeof(LaunchHeader)) {
        return fail(LaunchError::kNotALaunchRecord);
    }
    std::memcpy(&view.header, bytes.data(), sizeof(LaunchHeader));
    if (std::memcmp(view.header.magic, kLaunchMagic, sizeof(kLaunchMagic)) != 0) {
        return fail(LaunchError::kNotALaunchRecord);
    }
    if (view.header.version != kLaunchVersion) {
        return fail(LaunchError::kVersion);
    }
    if (view.header.total_bytes > kLaunchMaxBytes) {
        return fail(LaunchError::kTooLarge);
    }
    if (view.header.total_bytes < sizeof(LaunchHeader) || view.header.total_bytes > bytes.size()) {
        return fail(LaunchError::kTruncated);
    }

    const char* next = reinterpret_cast<const char*>(bytes.data()) + sizeof(LaunchHeader);
    const char* const end = reinterpret_cast<const char*>(bytes.data()) + view.header.total_bytes;
    const auto take = [&next, end](std::string_view& out) {
        const auto left = static_cast<std::size_t>(end - next);
        const void* nul = left == 0 ? nullptr : std::memchr(next, 0, left);
        if (nul == nullptr) {
            return false;
        }
        out = {next, static_cast<std::size_t>(static_cast<const char*>(nul) - next)};
        next += out.size() + 1;
        return out.size() < kLaunchMaxString;
    };

    if (!take(view.path) || !take(view.working_directory) || !take(view.hostname)) {
        return fail(LaunchError::kStrings);
    }
    std::string_view string;
    view.argv_strings = next;
    for (std::uint32_t i = 0; i < view.header.argc; ++i) {
        if (!take(string)) {
            return fail(LaunchError::kStrings);
        }
    }
    view.env_strings = next;
    for (std::uint32_t i = 0; i < view.header.envc; ++i) {
        if (!take(string)) {
            return fail(LaunchError::kStrings);
        }
    }
    if (next != end) {
        return fail(LaunchError::kStrings);
    }
    if (view.header.argc == 0 || !view.path.starts_with('/') ||
        !view.working_directory.starts_with('/')) {
        return fail(LaunchError::kNoProgram);
    }
    return {std::nullopt, view};
}

}  // namespace kiln::abi
