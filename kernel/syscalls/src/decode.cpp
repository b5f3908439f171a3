#include "decode.hpp"

#include <cstddef>

#include <kiln/hal/user_access.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/mem/user_ptr.hpp>

namespace kiln::syscalls {
namespace {

constexpr std::size_t kStringMax = 64;  ///< bytes of a string or buffer shown

struct Name {
    std::uint32_t value;
    const char* name;
};

constexpr Name kErrnoNames[] = {
    {1, "EPERM"},
    {2, "ENOENT"},
    {3, "ESRCH"},
    {4, "EINTR"},
    {5, "EIO"},
    {6, "ENXIO"},
    {7, "E2BIG"},
    {8, "ENOEXEC"},
    {9, "EBADF"},
    {10, "ECHILD"},
    {11, "EAGAIN"},
    {12, "ENOMEM"},
    {13, "EACCES"},
    {14, "EFAULT"},
    {15, "ENOTBLK"},
    {16, "EBUSY"},
    {17, "EEXIST"},
    {18, "EXDEV"},
    {19, "ENODEV"},
    {20, "ENOTDIR"},
    {21, "EISDIR"},
    {22, "EINVAL"},
    {23, "ENFILE"},
    {24, "EMFILE"},
    {25, "ENOTTY"},
    {26, "ETXTBSY"},
    {27, "EFBIG"},
    {28, "ENOSPC"},
    {29, "ESPIPE"},
    {30, "EROFS"},
    {31, "EMLINK"},
    {32, "EPIPE"},
    {33, "EDOM"},
    {34, "ERANGE"},
    {35, "EDEADLK"},
    {36, "ENAMETOOLONG"},
    {37, "ENOLCK"},
    {38, "ENOSYS"},
    {39, "ENOTEMPTY"},
    {40, "ELOOP"},
    {61, "ENODATA"},
    {62, "ETIME"},
    {75, "EOVERFLOW"},
    {88, "ENOTSOCK"},
    {95, "EOPNOTSUPP"},
    {97, "EAFNOSUPPORT"},
    {110, "ETIMEDOUT"},
    {111, "ECONNREFUSED"},
    {114, "EALREADY"},
    {115, "EINPROGRESS"},
    {125, "ECANCELED"},
    {130, "EOWNERDEAD"},
    {512, "ERESTARTSYS"},
    {513, "ERESTARTNOINTR"},
    {514, "ERESTARTNOHAND"},
    {516, "ERESTART_RESTARTBLOCK"},
};

constexpr Name kOpenFlags[] = {
    {0100, "O_CREAT"},        {0200, "O_EXCL"},        {0400, "O_NOCTTY"},
    {01000, "O_TRUNC"},       {02000, "O_APPEND"},     {04000, "O_NONBLOCK"},
    {010000, "O_DSYNC"},      {040000, "O_DIRECT"},    {0100000, "O_LARGEFILE"},
    {0200000, "O_DIRECTORY"}, {0400000, "O_NOFOLLOW"}, {01000000, "O_NOATIME"},
    {02000000, "O_CLOEXEC"},  {04000000, "O_SYNC"},    {010000000, "O_PATH"},
    {020000000, "O_TMPFILE"},
};
constexpr Name kProtections[] = {{1, "PROT_READ"}, {2, "PROT_WRITE"}, {4, "PROT_EXEC"}};
constexpr Name kMapFlags[] = {
    {1, "MAP_SHARED"},         {2, "MAP_PRIVATE"},         {0x10, "MAP_FIXED"},
    {0x20, "MAP_ANONYMOUS"},   {0x40, "MAP_32BIT"},        {0x100, "MAP_GROWSDOWN"},
    {0x800, "MAP_DENYWRITE"},  {0x1000, "MAP_EXECUTABLE"}, {0x2000, "MAP_LOCKED"},
    {0x4000, "MAP_NORESERVE"}, {0x8000, "MAP_POPULATE"},   {0x10000, "MAP_NONBLOCK"},
    {0x20000, "MAP_STACK"},    {0x40000, "MAP_HUGETLB"},   {0x100000, "MAP_FIXED_NOREPLACE"},
};
constexpr Name kCloneFlags[] = {
    {0x100, "CLONE_VM"},
    {0x200, "CLONE_FS"},
    {0x400, "CLONE_FILES"},
    {0x800, "CLONE_SIGHAND"},
    {0x4000, "CLONE_VFORK"},
    {0x10000, "CLONE_THREAD"},
    {0x40000, "CLONE_SYSVSEM"},
    {0x80000, "CLONE_SETTLS"},
    {0x100000, "CLONE_PARENT_SETTID"},
    {0x200000, "CLONE_CHILD_CLEARTID"},
    {0x1000000, "CLONE_CHILD_SETTID"},
};
constexpr Name kFutexOperations[] = {
    {0, "FUTEX_WAIT"},
    {1, "FUTEX_WAKE"},
    {3, "FUTEX_REQUEUE"},
    {4, "FUTEX_CMP_REQUEUE"},
    {5, "FUTEX_WAKE_OP"},
    {6, "FUTEX_LOCK_PI"},
    {7, "FUTEX_UNLOCK_PI"},
    {8, "FUTEX_TRYLOCK_PI"},
    {9, "FUTEX_WAIT_BITSET"},
    {10, "FUTEX_WAKE_BITSET"},
    {11, "FUTEX_WAIT_REQUEUE_PI"},
    {12, "FUTEX_CMP_REQUEUE_PI"},
};
constexpr Name kClocks[] = {
    {0, "CLOCK_REALTIME"},          {1, "CLOCK_MONOTONIC"},     {2, "CLOCK_PROCESS_CPUTIME_ID"},
    {3, "CLOCK_THREAD_CPUTIME_ID"}, {4, "CLOCK_MONOTONIC_RAW"}, {5, "CLOCK_REALTIME_COARSE"},
    {6, "CLOCK_MONOTONIC_COARSE"},  {7, "CLOCK_BOOTTIME"},
};
constexpr Name kFcntlCommands[] = {
    {0, "F_DUPFD"},         {1, "F_GETFD"},
    {2, "F_SETFD"},         {3, "F_GETFL"},
    {4, "F_SETFL"},         {5, "F_GETLK"},
    {6, "F_SETLK"},         {7, "F_SETLKW"},
    {8, "F_SETOWN"},        {9, "F_GETOWN"},
    {36, "F_OFD_GETLK"},    {37, "F_OFD_SETLK"},
    {38, "F_OFD_SETLKW"},   {1030, "F_DUPFD_CLOEXEC"},
    {1031, "F_SETPIPE_SZ"}, {1032, "F_GETPIPE_SZ"},
    {1033, "F_ADD_SEALS"},  {1034, "F_GET_SEALS"},
};
constexpr Name kIoctls[] = {
    {0x5401, "TCGETS"},    {0x5402, "TCSETS"},    {0x5403, "TCSETSW"},    {0x5404, "TCSETSF"},
    {0x540F, "TIOCGPGRP"}, {0x5410, "TIOCSPGRP"}, {0x5413, "TIOCGWINSZ"}, {0x541B, "FIONREAD"},
    {0x5421, "FIONBIO"},   {0x5450, "FIONCLEX"},  {0x5451, "FIOCLEX"},    {0x5452, "FIOASYNC"},
};
constexpr Name kArchCodes[] = {
    {0x1001, "ARCH_SET_GS"},    {0x1002, "ARCH_SET_FS"},     {0x1003, "ARCH_GET_FS"},
    {0x1004, "ARCH_GET_GS"},    {0x3001, "ARCH_CET_STATUS"}, {0x1011, "ARCH_GET_CPUID"},
    {0x1012, "ARCH_SET_CPUID"},
};
constexpr Name kWhences[] = {
    {0, "SEEK_SET"}, {1, "SEEK_CUR"}, {2, "SEEK_END"}, {3, "SEEK_DATA"}, {4, "SEEK_HOLE"}};
constexpr const char* kSignals[] = {
    "0",         "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};

const char* find_name(std::span<const Name> names, std::uint64_t value) {
    for (const Name& n : names) {
        if (n.value == value) return n.name;
    }
    return nullptr;
}

void named(Line& line, std::span<const Name> names, std::uint64_t value) {
    if (const char* name = find_name(names, value)) {
        line.text(name);
    } else {
        line.format("0x{:x}", value);
    }
}

/// `first` is what was already written before the flags, or empty.
void flags(Line& line, std::span<const Name> names, std::uint64_t value, std::string_view first) {
    bool any = !first.empty();
    line.text(first);
    for (const Name& n : names) {
        if ((value & n.value) != n.value) continue;
        if (any) line.character('|');
        line.text(n.name);
        value &= ~std::uint64_t{n.value};
        any = true;
    }
    if (value != 0 || !any) line.format(any ? "|0x{:x}" : value ? "0x{:x}" : "{}", value);
}

void quoted(Line& line, std::span<const char> bytes, bool cut) {
    line.character('"');
    for (const char c : bytes) {
        const auto u = static_cast<unsigned char>(c);
        if (c == '\n') {
            line.text("\\n");
        } else if (c == '\t') {
            line.text("\\t");
        } else if (c == '"' || c == '\\') {
            line.character('\\');
            line.character(c);
        } else if (u < 0x20 || u >= 0x7f) {
            line.format("\\x{:02x}", u);
        } else {
            line.character(c);
        }
    }
    line.text(cut ? "\"..." : "\"");
}

void buffer(Line& line, std::uintptr_t address, std::uint64_t length) {
    char bytes[kStringMax];
    const std::size_t n = length < sizeof(bytes) ? length : sizeof(bytes);
    if (!mem::UserPtr<const char>(address).copy_in(bytes, n).ok()) {
        line.format("0x{:x}", address);
        return;
    }
    quoted(line, {bytes, n}, n < length);
}

void string(Line& line, std::uintptr_t address) {
    if (address == 0) {
        line.text("NULL");
        return;
    }
    char bytes[kStringMax];
    std::size_t n = 0;
    // Byte by byte: the string may end right before an unmapped page.
    for (; n < sizeof(bytes); n++) {
        auto c = mem::UserPtr<const char>(address + n).read();
        if (!c.ok() && n == 0) {
            line.format("0x{:x}", address);
            return;
        }
        if (!c.ok() || *c == '\0') break;
        bytes[n] = *c;
    }
    quoted(line, {bytes, n}, n == sizeof(bytes));
}

void string_array(Line& line, std::uintptr_t address) {
    line.character('[');
    for (unsigned i = 0; i < 8; i++) {
        auto p = mem::UserPtr<const std::uintptr_t>(address + i * sizeof(std::uintptr_t)).read();
        if (!p.ok() || *p == 0) {
            line.character(']');
            return;
        }
        if (i) line.text(", ");
        string(line, *p);
    }
    line.text(", ...]");
}

void io_vector(Line& line, std::uintptr_t address, std::uint64_t count) {
    line.character('[');
    for (std::uint64_t i = 0; i < count && i < 4; i++) {
        auto vec = mem::UserPtr<const mem::IoVec>(address + i * sizeof(mem::IoVec)).read();
        if (!vec.ok()) break;
        if (i) line.text(", ");
        line.text("{");
        buffer(line, vec->base, vec->length);
        line.format(", {}", vec->length);
        line.text("}");
    }
    line.text(count > 4 ? ", ...]" : "]");
}

void time_spec(Line& line, std::uintptr_t address) {
    struct TimeSpec {
        std::int64_t seconds, nanoseconds;
    };
    auto t = mem::UserPtr<const TimeSpec>(address).read();
    if (address == 0) {
        line.text("NULL");
    } else if (!t.ok()) {
        line.format("0x{:x}", address);
    } else {
        line.text("{");
        line.format("{}s {}ns", t->seconds, t->nanoseconds);
        line.text("}");
    }
}

}  // namespace

std::string_view errno_name(int number) {
    const char* name = find_name(kErrnoNames, static_cast<std::uint64_t>(number));
    return name ? name : "";
}

void decode_argument(Line& line, char letter, std::uint64_t value, const DecodeContext& context) {
    const auto as_int = static_cast<std::int32_t>(value);
    switch (letter) {
        case 'a':
            if (as_int == -100) {
                line.text("AT_FDCWD");
                break;
            }
            [[fallthrough]];
        case 'f': line.format("{}", as_int); break;
        case 'd':
            // Most are int; an off_t that does not fit one is shown whole.
            if (static_cast<std::int64_t>(value) == as_int || value >> 32 == 0) {
                line.format("{}", as_int);
            } else {
                line.format("{}", static_cast<std::int64_t>(value));
            }
            break;
        case 'u': line.format("{}", value); break;
        case 'o': {
            char digits[24];
            std::size_t n = 0;
            std::uint64_t rest = value & 0xffffffff;
            do {
                digits[n++] = static_cast<char>('0' + rest % 8);
                rest /= 8;
            } while (rest != 0);
            line.character('0');
            while (n > 0) line.character(digits[--n]);
            break;
        }
        case 'p':
            if (value == 0) {
                line.text("NULL");
                break;
            }
            [[fallthrough]];
        case 'x': line.format("0x{:x}", value); break;
        case 's': string(line, value); break;
        case 'b': buffer(line, value, context.next); break;
        case 'B':
            if (context.result >= 0) {
                buffer(line, value, static_cast<std::uint64_t>(context.result));
            } else {
                line.format("0x{:x}", value);
            }
            break;
        case 'O': {
            const std::uint64_t mode = value & 3;
            flags(line, kOpenFlags, (value & ~std::uint64_t{3}) & 0xffffffff,
                  mode == 0   ? "O_RDONLY"
                  : mode == 1 ? "O_WRONLY"
                  : mode == 2 ? "O_RDWR"
                              : "3");
            break;
        }
        case 'P':
            if (value == 0) {
                line.text("PROT_NONE");
            } else {
                flags(line, kProtections, value, "");
            }
            break;
        case 'M': flags(line, kMapFlags, value, ""); break;
        case 'k': flags(line, kCloneFlags, value & ~0xffull, ""); break;
        case 'S':
            if (value < std::size(kSignals)) {
                line.text(kSignals[value]);
            } else {
                line.format("{}", as_int);
            }
            break;
        case 'F':
            named(line, kFutexOperations, value & 0x7f);
            if (value & 128) line.text("|PRIVATE");
            if (value & 256) line.text("|CLOCK_REALTIME");
            break;
        case 'C': named(line, kClocks, value); break;
        case 'T': time_spec(line, value); break;
        case 'n': named(line, kFcntlCommands, value & 0xffffffff); break;
        case 'I': named(line, kIoctls, value & 0xffffffff); break;
        case 'm': named(line, kWhences, value); break;
        case 'A': named(line, kArchCodes, value); break;
        case 'v': io_vector(line, value, context.next); break;
        case 'V': string_array(line, value); break;
        default: line.format("?{:x}", value); break;
    }
}

void decode_call(Line& line, std::string_view name, std::string_view letters,
                 const std::uint64_t (&arguments)[6], std::int64_t result) {
    line.text(name);
    line.character('(');
    for (std::size_t i = 0; i < letters.size() && i < 6; i++) {
        if (i) line.text(", ");
        decode_argument(line, letters[i], arguments[i], {i < 5 ? arguments[i + 1] : 0, result});
    }
    line.character(')');
}

void decode_result(Line& line, std::string_view name, std::int64_t result) {
    if (result < 0 && result >= -4095) {
        const int number = static_cast<int>(-result);
        const std::string_view error = errno_name(number);
        line.format(" = -1 {} ({})", error.empty() ? std::string_view("error") : error, number);
    } else if (name == "mmap" || name == "brk" || name == "mremap" || name == "shmat") {
        line.format(" = 0x{:x}", static_cast<std::uint64_t>(result));
    } else {
        line.format(" = {}", result);
    }
}

}  // namespace kiln::syscalls
