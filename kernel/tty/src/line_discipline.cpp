#include <kiln/tty/line_discipline.hpp>

namespace kiln::tty {

using namespace abi;

namespace {

constexpr int kSigInt = 2;
constexpr int kSigQuit = 3;
constexpr int kSigTstp = 20;
constexpr char kDisabled = 0;  // _POSIX_VDISABLE of Linux

bool is_control_char(char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
}
bool is_utf8_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }
bool is_word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (static_cast<unsigned char>(c) & 0x80) != 0;
}

}  // namespace

// INIT_C_CC and tty_std_termios of Linux (include/asm-generic/termios.h, drivers/tty/tty_io.c).
Termios default_termios() {
    Termios t{};
    t.c_iflag = kICRNL | kIXON | kIUTF8;
    t.c_oflag = kOPOST | kONLCR;
    t.c_cflag = kB115200 | kCS8 | kCREAD | kHUPCL | kCLOCAL;
    t.c_lflag = kISIG | kICANON | kECHO | kECHOE | kECHOK | kECHOCTL | kECHOKE | kIEXTEN;
    constexpr std::uint8_t kChars[] = {003, 034, 0177, 025, 004, 0,   1,   0, 021,
                                       023, 032, 0,    022, 017, 027, 026, 0};
    for (std::size_t i = 0; i < sizeof(kChars); i++) t.c_cc[i] = kChars[i];
    return t;
}

void LineDiscipline::set_settings(const Termios& settings) {
    const bool was_canonical = is_canonical();
    termios_ = settings;
    if (was_canonical != is_canonical()) end_line();
    if ((termios_.c_iflag & kIXON) == 0) stopped_ = false;
}

bool LineDiscipline::is_control(char c, int index) const {
    const char control = static_cast<char>(termios_.c_cc[index]);
    return control != kDisabled && c == control;
}

bool LineDiscipline::can_receive() const {
    return head_ - tail_ < kBufferSize - 1 || (is_canonical() && line_end_ == tail_);
}

void LineDiscipline::push(char c) {
    // The last place is kept for the end of the line: what does not fit is dropped, as Linux does.
    const std::size_t limit = kBufferSize - (is_canonical() && c != '\n' ? 1 : 0);
    if (head_ - tail_ >= limit) return;
    at(head_) = c;
    eof_marks_[head_ % kBufferSize / 64] &= ~(std::uint64_t{1} << (head_ % 64));
    head_++;
}

void LineDiscipline::push_eof() {
    if (head_ - tail_ >= kBufferSize) return;
    at(head_) = kDisabled;
    eof_marks_[head_ % kBufferSize / 64] |= std::uint64_t{1} << (head_ % 64);
    head_++;
    end_line();
}

void LineDiscipline::echo_char(char c, EchoSink& echo) const {
    if ((termios_.c_lflag & kECHOCTL) != 0 && is_control_char(c) && c != '\t' && c != '\n') {
        const char text[2] = {'^', static_cast<char>(c ^ 0x40)};
        echo.echo({text, 2});
    } else {
        echo.echo({&c, 1});
    }
}

int LineDiscipline::signal_of(char c) const {
    if ((termios_.c_lflag & kISIG) == 0) return 0;
    if (is_control(c, kVINTR)) return kSigInt;
    if (is_control(c, kVQUIT)) return kSigQuit;
    if (is_control(c, kVSUSP)) return kSigTstp;
    return 0;
}

int LineDiscipline::receive(char c, EchoSink& echo) {
    if ((termios_.c_iflag & kISTRIP) != 0) c = static_cast<char>(c & 0x7f);
    const bool echoes = (termios_.c_lflag & kECHO) != 0;
    if (literal_next_) {
        literal_next_ = false;
        push(c);
        if (echoes) echo_char(c, echo);
        return 0;
    }
    if (c == '\r') {
        if ((termios_.c_iflag & kIGNCR) != 0) return 0;
        if ((termios_.c_iflag & kICRNL) != 0) c = '\n';
    } else if (c == '\n' && (termios_.c_iflag & kINLCR) != 0) {
        c = '\r';
    }
    if ((termios_.c_iflag & kIXON) != 0) {
        if (is_control(c, kVSTART)) {
            stopped_ = false;
            return 0;
        }
        if (is_control(c, kVSTOP)) {
            stopped_ = true;
            return 0;
        }
        if (stopped_ && (termios_.c_iflag & kIXANY) != 0) stopped_ = false;
    }
    if (const int signal = signal_of(c)) {
        if ((termios_.c_lflag & kNOFLSH) == 0) flush_input();
        stopped_ = false;
        if (echoes) echo_char(c, echo);
        return signal;
    }
    if (is_canonical() && receive_canonical(c, echo)) return 0;
    push(c);
    if (echoes) echo_char(c, echo);
    return 0;
}

// True: the byte was more than an ordinary one, and is dealt with.
bool LineDiscipline::receive_canonical(char c, EchoSink& echo) {
    const bool echoes = (termios_.c_lflag & kECHO) != 0;
    const bool extended = (termios_.c_lflag & kIEXTEN) != 0;
    if (is_control(c, kVERASE)) {
        erase_char(echo);
    } else if (is_control(c, kVKILL)) {
        erase_line(c, echo);
    } else if (extended && is_control(c, kVWERASE)) {
        erase_word(echo);
    } else if (extended && is_control(c, kVLNEXT)) {
        literal_next_ = true;
        if (echoes && (termios_.c_lflag & kECHOCTL) != 0) echo.echo("^\b");
    } else if (extended && is_control(c, kVREPRINT)) {
        if (echoes) {
            echo_char(c, echo);
            echo.echo("\n");
            for (std::uint32_t i = line_end_; i != head_; i++) echo_char(at(i), echo);
        }
    } else if (is_control(c, kVEOF)) {
        push_eof();
    } else if (c == '\n' || is_control(c, kVEOL) || (extended && is_control(c, kVEOL2))) {
        if (head_ - tail_ < kBufferSize) {
            at(head_) = c;
            eof_marks_[head_ % kBufferSize / 64] &= ~(std::uint64_t{1} << (head_ % 64));
            head_++;
        }
        end_line();
        if (echoes || (c == '\n' && (termios_.c_lflag & kECHONL) != 0)) echo_char(c, echo);
    } else {
        return false;
    }
    return true;
}

void LineDiscipline::erase_char(EchoSink& echo) {
    if (head_ == line_end_) return;
    char c = at(--head_);
    // One character of UTF-8 is several bytes and one place on the screen.
    while ((termios_.c_iflag & kIUTF8) != 0 && is_utf8_continuation(c) && head_ != line_end_)
        c = at(--head_);
    if ((termios_.c_lflag & kECHO) == 0) return;
    if ((termios_.c_lflag & kECHOE) == 0) {
        echo_char(static_cast<char>(termios_.c_cc[kVERASE]), echo);
        return;
    }
    const bool wide = is_control_char(c) && c != '\t' && (termios_.c_lflag & kECHOCTL) != 0;
    echo.echo(wide ? "\b \b\b \b" : "\b \b");
}

void LineDiscipline::erase_word(EchoSink& echo) {
    while (head_ != line_end_ && !is_word_char(at(head_ - 1))) erase_char(echo);
    while (head_ != line_end_ && is_word_char(at(head_ - 1))) erase_char(echo);
}

void LineDiscipline::erase_line(char c, EchoSink& echo) {
    const bool visibly = (termios_.c_lflag & kECHOKE) != 0 && (termios_.c_lflag & kECHOE) != 0;
    if (visibly || (termios_.c_lflag & kECHO) == 0) {
        while (head_ != line_end_) erase_char(echo);
        return;
    }
    head_ = line_end_;
    echo_char(c, echo);
    if ((termios_.c_lflag & kECHOK) != 0) echo.echo("\n");
}

std::size_t LineDiscipline::available() const {
    if (!is_canonical()) return head_ - tail_;
    std::size_t n = 0;
    for (std::uint32_t i = tail_; i != line_end_; i++) n += is_eof_mark(i) ? 0 : 1;
    return n;
}

std::size_t LineDiscipline::read(std::span<char> out) {
    const std::uint32_t end = is_canonical() ? line_end_ : head_;
    std::size_t n = 0;
    while (tail_ != end) {
        if (n == out.size()) break;
        if (is_eof_mark(tail_) && is_canonical()) {
            // At the end of a line it ends this read; alone it is this read.
            tail_++;
            break;
        }
        const char c = at(tail_++);
        out[n++] = c;
        if (is_canonical() && (c == '\n' || is_control(c, kVEOL) || is_control(c, kVEOL2))) break;
    }
    if (!is_canonical()) line_end_ = tail_;
    return n;
}

void LineDiscipline::flush_input() {
    tail_ = head_;
    line_end_ = head_;
    literal_next_ = false;
}

std::size_t LineDiscipline::process_output(std::string_view in, char* out) const {
    const std::uint32_t flags = termios_.c_oflag;
    std::size_t n = 0;
    // Nearly every terminal: at most a CR before each NL.
    if ((flags & kOPOST) == 0 || (flags & (kOCRNL | kOLCUC)) == 0) {
        const bool returns = (flags & (kOPOST | kONLCR)) == (kOPOST | kONLCR);
        for (const char c : in) {
            if (c == '\n' && returns) out[n++] = '\r';
            out[n++] = c;
        }
        return n;
    }
    for (char c : in) {
        if (c == '\n') {
            if ((flags & kONLCR) != 0) out[n++] = '\r';
        } else if (c == '\r') {
            if ((flags & kOCRNL) != 0) c = '\n';
        } else if ((flags & kOLCUC) != 0 && c >= 'a' && c <= 'z') {
            c = static_cast<char>(c - 'a' + 'A');
        }
        out[n++] = c;
    }
    return n;
}

}  // namespace kiln::tty
