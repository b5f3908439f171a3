// The end record: how a guest says why it ended, one line of text on the debug port 0xe9, ended by
// a newline:
//     kiln-end exit=N              the program exited with status N, 0..255
//     kiln-end signal=N            the program was killed by signal N, 1..64
//     kiln-end panic=REASON…       the kernel panicked
//     kiln-end oom=REASON…         memory ran out: who asked for how much and what is left
//     kiln-end error=N REASON…     the program could not be started; N is 125, 126 (not executable)
//     or 127 (not found)
// The guest writes the line first and then a status to isa-debug-exit, so that a host without the
// debug port still learns the status (as far as 7 bits go). The first well-formed line counts.
//
// Freestanding: no heap, no exceptions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kiln::abi {

// QEMU's isa-debugcon (hw/char/debugcon.c): reading the port gives 0xe9 where the device is
// present.
inline constexpr std::uint16_t kEndRecordPort = 0xe9;
inline constexpr std::uint8_t kEndRecordPortPresent = 0xe9;
// QEMU's isa-debug-exit as the tool configures it: a write of v ends QEMU with the status (v << 1)
// | 1.
inline constexpr std::uint16_t kDebugExitPort = 0xf4;
inline constexpr int kDebugExitMax = 127;

// Written to the same port when the guest takes input from the console: what comes earlier may be
// lost when the driver sets up the UART, so that the tool holds it back.
inline constexpr std::string_view kInputReadyLine = "kiln-input-ready\n";

inline constexpr std::string_view kEndRecordPrefix = "kiln-end ";
inline constexpr std::size_t kEndRecordMaxLine = 1024;  // longer reasons are cut by the writer

enum class EndKind : std::uint8_t { kExit, kSignal, kPanic, kOutOfMemory, kError };

struct EndRecord {
    EndKind kind;
    int value;                // exit status, signal number or error status; 0 for the others
    std::string_view reason;  // for kPanic, kOutOfMemory, kError; without newline
};

// Statuses of the tool, as docker's where docker has one.
inline constexpr int kStatusPanic = 70;  // EX_SOFTWARE of sysexits.h
inline constexpr int kStatusToolError = 125;
inline constexpr int kStatusNotExecutable = 126;
inline constexpr int kStatusNotFound = 127;
inline constexpr int kStatusSignalBase = 128;
inline constexpr int kStatusOutOfMemory =
    137;  // 128 + SIGKILL, what docker gives for the OOM killer

// The exit status, 0..255, that stands for an end.
constexpr int end_status(const EndRecord& record) {
    switch (record.kind) {
        case EndKind::kExit: return record.value & 0xff;
        case EndKind::kSignal: return (kStatusSignalBase + record.value) & 0xff;
        case EndKind::kPanic: return kStatusPanic;
        case EndKind::kOutOfMemory: return kStatusOutOfMemory;
        case EndKind::kError: return record.value & 0xff;
    }
    return kStatusToolError;
}

// What the kernel writes to kDebugExitPort for a status: exact below 127, else 127 ("see the end
// record").
constexpr std::uint8_t debug_exit_value(int status) {
    return static_cast<std::uint8_t>(status < 0               ? 0
                                     : status < kDebugExitMax ? status
                                                              : kDebugExitMax);
}

constexpr std::string_view end_kind_name(EndKind kind) {
    switch (kind) {
        case EndKind::kExit: return "exit";
        case EndKind::kSignal: return "signal";
        case EndKind::kPanic: return "panic";
        case EndKind::kOutOfMemory: return "oom";
        case EndKind::kError: return "error";
    }
    return "error";
}

// Writes the line with its newline into `out`, and gives its length; a line that does not fit is
// cut, keeping the newline. Bytes of the reason below 0x20 become spaces, so that the record stays
// one line.
constexpr std::size_t format_end_record(const EndRecord& record, std::span<char> out) {
    std::size_t used = 0;
    const auto put = [&](char c) {
        if (used + 1 < out.size()) {
            out[used++] = static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
        }
    };
    const auto put_text = [&](std::string_view text) {
        for (const char c : text) {
            put(c);
        }
    };
    const auto put_number = [&](unsigned value) {
        char digits[10];
        std::size_t count = 0;
        do {
            digits[count++] = static_cast<char>('0' + value % 10);
            value /= 10;
        } while (value != 0);
        while (count > 0) {
            put(digits[--count]);
        }
    };
    if (out.empty()) {
        return 0;
    }
    put_text(kEndRecordPrefix);
    put_text(end_kind_name(record.kind));
    put('=');
    switch (record.kind) {
        case EndKind::kExit:
        case EndKind::kSignal: put_number(static_cast<unsigned>(record.value) & 0xff); break;
        case EndKind::kError:
            put_number(static_cast<unsigned>(record.value) & 0xff);
            put(' ');
            [[fallthrough]];
        case EndKind::kPanic:
        case EndKind::kOutOfMemory: put_text(record.reason); break;
    }
    out[used++] = '\n';
    return used;
}

// Reads one line (with or without its newline). Nothing where it is no well-formed end record; the
// reason points into `line`.
constexpr std::optional<EndRecord> parse_end_record(std::string_view line) {
    if (!line.starts_with(kEndRecordPrefix)) {
        return std::nullopt;
    }
    line.remove_prefix(kEndRecordPrefix.size());
    if (line.ends_with('\n')) {
        line.remove_suffix(1);
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view name = line.substr(0, equals);
    std::string_view rest = line.substr(equals + 1);

    for (const EndKind kind : {EndKind::kExit, EndKind::kSignal, EndKind::kPanic,
                               EndKind::kOutOfMemory, EndKind::kError}) {
        if (name != end_kind_name(kind)) {
            continue;
        }
        if (kind == EndKind::kPanic || kind == EndKind::kOutOfMemory) {
            return EndRecord{kind, 0, rest};
        }
        int value = 0;
        std::size_t digits = 0;
        while (digits < rest.size() && digits < 4 && rest[digits] >= '0' && rest[digits] <= '9') {
            value = value * 10 + (rest[digits] - '0');
            ++digits;
        }
        rest.remove_prefix(digits);
        const bool separated = rest.empty() || (kind == EndKind::kError && rest.starts_with(' '));
        if (digits == 0 || !separated || value > 255) {
            return std::nullopt;
        }
        if (!rest.empty()) {
            rest.remove_prefix(1);
        }
        return EndRecord{kind, value, rest};
    }
    return std::nullopt;
}

}  // namespace kiln::abi
