#include <kiln/base/format.hpp>

namespace kiln {
namespace {

class Writer {
public:
    explicit Writer(std::span<char> out) : out_(out) {}
    void put(char c) {
        if (used_ < out_.size()) out_[used_++] = c;
    }
    void put(std::string_view s) {
        for (char c : s) put(c);
    }
    void pad(char c, std::size_t n) {
        while (n-- > 0) put(c);
    }
    std::size_t used() const { return used_; }

private:
    std::span<char> out_;
    std::size_t used_ = 0;
};

struct Spec {
    bool zero = false;
    bool hex = false;
    std::size_t width = 0;
};

void put_number(Writer& w, std::uint64_t v, bool negative, Spec spec) {
    char digits[24];
    std::size_t n = 0;
    const unsigned base = spec.hex ? 16 : 10;
    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v != 0);
    const std::size_t length = n + (negative ? 1 : 0);
    const std::size_t padding = spec.width > length ? spec.width - length : 0;
    if (!spec.zero) w.pad(' ', padding);
    if (negative) w.put('-');
    if (spec.zero) w.pad('0', padding);
    while (n > 0) w.put(digits[--n]);
}

void put_arg(Writer& w, const FormatArg& arg, Spec spec) {
    switch (arg.kind) {
        case FormatArg::Kind::kUnsigned: put_number(w, arg.u, false, spec); break;
        case FormatArg::Kind::kSigned: {
            const bool negative = arg.i < 0 && !spec.hex;
            put_number(w,
                       negative ? 0 - static_cast<std::uint64_t>(arg.i)
                                : static_cast<std::uint64_t>(arg.i),
                       negative, spec);
            break;
        }
        case FormatArg::Kind::kString:
            w.put(arg.s);
            if (spec.width > arg.s.size()) w.pad(' ', spec.width - arg.s.size());
            break;
        case FormatArg::Kind::kChar: w.put(static_cast<char>(arg.u)); break;
        case FormatArg::Kind::kBool: w.put(arg.u ? "true" : "false"); break;
        case FormatArg::Kind::kPointer:
            w.put("0x");
            spec.hex = true;
            put_number(w, arg.u, false, spec);
            break;
    }
}

}  // namespace

std::size_t vformat_to(std::span<char> out, std::string_view format,
                       std::span<const FormatArg> args) {
    Writer w(out);
    std::size_t next_arg = 0;
    for (std::size_t i = 0; i < format.size(); ++i) {
        const char c = format[i];
        const bool doubled = i + 1 < format.size() && format[i + 1] == c;
        if (c == '}' && doubled) ++i;
        if (c != '{') {
            w.put(c);
            continue;
        }
        if (doubled) {
            w.put('{');
            ++i;
            continue;
        }
        Spec spec;
        for (++i; i < format.size() && format[i] != '}'; ++i) {
            const char s = format[i];
            if (s == 'x') {
                spec.hex = true;
            } else if (s == '0' && spec.width == 0) {
                spec.zero = true;
            } else if (s >= '0' && s <= '9') {
                spec.width = spec.width * 10 + static_cast<std::size_t>(s - '0');
            }
        }
        if (next_arg < args.size()) {
            put_arg(w, args[next_arg++], spec);
        } else {
            w.put("{?}");
        }
    }
    return w.used();
}

void assertion_failed(const char* expression, const char* file, int line) {
    panicf("assertion failed: {} ({}:{})", expression, file, line);
}

}  // namespace kiln
