#include <gtest/gtest.h>

#include <string>

#include <kiln/arch/host.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/plat/host.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/tty/console.hpp>
#include <kiln/tty/line_discipline.hpp>

namespace kiln::tty {
namespace {

using namespace abi;

class Screen final : public EchoSink {
public:
    void echo(std::string_view bytes) override { text += bytes; }
    std::string text;
};

class Discipline : public ::testing::Test {
protected:
    Discipline() { d.set_settings(default_termios()); }
    int type(std::string_view bytes) {
        int signal = 0;
        for (const char c : bytes) {
            if (const int s = d.receive(c, screen)) signal = s;
        }
        return signal;
    }
    std::string read(std::size_t size = 4096) {
        std::string out(size, '\0');
        out.resize(d.read(out));
        return out;
    }
    void set_local(std::uint32_t clear, std::uint32_t set = 0) {
        Termios t = d.settings();
        t.c_lflag = (t.c_lflag & ~clear) | set;
        d.set_settings(t);
    }
    LineDiscipline d;
    Screen screen;
};

TEST_F(Discipline, LinesAreReadOneByOne) {
    type("one\rtwo\rthr");
    EXPECT_EQ(screen.text, "one\ntwo\nthr");
    EXPECT_EQ(d.available(), 8u);
    EXPECT_EQ(read(), "one\n");
    EXPECT_EQ(read(2), "tw");
    EXPECT_EQ(read(), "o\n");
    EXPECT_FALSE(d.has_line());
    type("ee\n");
    EXPECT_EQ(read(), "three\n");
}

TEST_F(Discipline, Editing) {
    type(
        "abc\x7f\x7f"
        "X\r");
    EXPECT_EQ(read(), "aX\n");
    EXPECT_EQ(screen.text, "abc\b \b\b \bX\n");
    type(
        "one two  \x17"
        "three\r");
    EXPECT_EQ(read(), "one three\n");
    type("gone\x15kept\r");
    EXPECT_EQ(read(), "kept\n");
    type(
        "\xc3\xa4\x7f"
        "a\r");  // one character of two bytes
    EXPECT_EQ(read(), "a\n");
    type("\x16\x03\r");  // ^V ^C
    EXPECT_EQ(read(), "\x03\n");
    type("\x7f\x7f\x7fx\r");  // never beyond the line
    EXPECT_EQ(read(), "x\n");
}

TEST_F(Discipline, EndOfFile) {
    type("\x04");
    EXPECT_TRUE(d.has_line());
    EXPECT_EQ(d.available(), 0u);
    EXPECT_EQ(read(), "");
    EXPECT_FALSE(d.has_line());
    type("abc\x04");
    EXPECT_EQ(read(), "abc");
    EXPECT_FALSE(d.has_line());
    type("abc\x04");
    EXPECT_EQ(read(3), "abc");
    EXPECT_TRUE(d.has_line());  // as on Linux: the end comes by itself
    EXPECT_EQ(read(), "");
}

TEST_F(Discipline, Signals) {
    EXPECT_EQ(type("abc\x03"), 2);
    EXPECT_EQ(screen.text, "abc^C");
    EXPECT_EQ(d.available(), 0u);
    EXPECT_EQ(type("\x1c"), 3);
    EXPECT_EQ(type("\x1a"), 20);
    set_local(kISIG);
    EXPECT_EQ(type("\x03"), 0);
    set_local(0, kISIG | kNOFLSH);
    type("\r");
    EXPECT_EQ(type("kept\x03"), 2);
    type("\r");
    EXPECT_EQ(read(), "\x03\n");
    EXPECT_EQ(read(), "kept\n");
}

TEST_F(Discipline, RawMode) {
    set_local(kICANON | kECHO | kISIG | kIEXTEN);
    type("a\x03\x04\x7f");
    EXPECT_EQ(d.available(), 4u);
    EXPECT_EQ(read(2), "a\x03");
    EXPECT_EQ(read(), "\x04\x7f");
    EXPECT_EQ(screen.text, "");
    // What was typed before the mode changed is not lost.
    type("rest");
    set_local(0, kICANON);
    EXPECT_EQ(read(), "rest");
}

TEST_F(Discipline, FullBuffer) {
    type(std::string(5000, 'x'));
    EXPECT_TRUE(d.can_receive());  // the line can still be ended
    type("\r");
    EXPECT_FALSE(d.can_receive());
    EXPECT_EQ(read(10000), std::string(4095, 'x') + "\n");
    EXPECT_TRUE(d.can_receive());
    // Positions wrap.
    for (int i = 0; i < 3000; i++) {
        type("ab\x04");
        EXPECT_EQ(read(), "ab");
        type("line\r");
        EXPECT_EQ(read(), "line\n");
    }
}

TEST_F(Discipline, FlowControl) {
    type("\x13");
    EXPECT_TRUE(d.is_stopped());
    type("\x11");
    EXPECT_FALSE(d.is_stopped());
    EXPECT_EQ(d.available(), 0u);
}

TEST_F(Discipline, Output) {
    char out[16];
    EXPECT_EQ(std::string(out, d.process_output("a\nb\n", out)), "a\r\nb\r\n");
    Termios t = d.settings();
    t.c_oflag = 0;
    d.set_settings(t);
    EXPECT_EQ(std::string(out, d.process_output("a\nb", out)), "a\nb");
}

class Console : public ::testing::Test {
protected:
    void SetUp() override {
        static const bool started = [] {
            mem::init();
            time::init();
            sched::init();
            return true;
        }();
        ASSERT_TRUE(started);
        set_input_mode(InputMode::kTerminal);
        (void)host::take_console_output();
    }
    static std::string read(vfs::File& f, std::size_t size = 100) {
        std::string text(size, '\0');
        mem::IoBuffer to = mem::IoBuffer::kernel(text.data(), size);
        const auto n = f.read_at_position(to);
        if (!n.ok()) return "errno " + std::to_string(static_cast<int>(n.error()));
        text.resize(n.value());
        return text;
    }
};

TEST_F(Console, TerminalReadsAndWrites) {
    Ref<vfs::File> f = open_terminal(kO_RDWR).value();
    mem::IoBuffer from = mem::IoBuffer::kernel(std::as_bytes(std::span("hi\n", 3)));
    EXPECT_EQ(f->write_at_position(from).value(), 3u);
    EXPECT_EQ(host::take_console_output(), "hi\r\n");
    const std::string big(1000, 'x');
    from = mem::IoBuffer::kernel(std::as_bytes(std::span(big)));
    EXPECT_EQ(f->write_at_position(from).value(), 1000u);
    EXPECT_EQ(host::take_console_output(), big);
    EXPECT_EQ(f->poll(nullptr) & vfs::kPollIn, 0u);
    host::type_on_console("hello\r");
    EXPECT_EQ(host::take_console_output(), "hello\r\n");
    EXPECT_EQ(f->poll(nullptr) & vfs::kPollIn, std::uint32_t{vfs::kPollIn});
    std::int32_t n = 0;
    EXPECT_TRUE(f->ioctl(kFIONREAD, reinterpret_cast<std::uintptr_t>(&n)).ok());
    EXPECT_EQ(n, 6);
    EXPECT_EQ(read(*f), "hello\n");
    f->set_flags(kO_RDWR | kO_NONBLOCK);
    EXPECT_EQ(read(*f), "errno 11");
    host::type_on_console("\x04");
    EXPECT_EQ(read(*f), "");
    // More than fits: the rest waits in the device and is not lost.
    std::string lines;
    for (int i = 0; i < 1000; i++) lines += "0123456789\n";
    host::type_on_console(lines);
    std::string got;
    for (std::string part = read(*f); part.find("errno") == std::string::npos; part = read(*f))
        got += part;
    EXPECT_EQ(got, lines);
}

TEST_F(Console, Ioctls) {
    Ref<vfs::File> f = open_terminal(kO_RDWR).value();
    set_window_size(24, 80);
    WinSize size{};
    EXPECT_TRUE(f->ioctl(kTIOCGWINSZ, reinterpret_cast<std::uintptr_t>(&size)).ok());
    EXPECT_EQ(size.ws_col, 80);
    static int signal;
    set_signal_hook([](int s, std::int32_t) { signal = s; });
    size.ws_row = 50;
    EXPECT_TRUE(f->ioctl(kTIOCSWINSZ, reinterpret_cast<std::uintptr_t>(&size)).ok());
    EXPECT_EQ(signal, 28);
    host::type_on_console("\x03");
    EXPECT_EQ(signal, 2);
    Termios t{};
    EXPECT_TRUE(f->ioctl(kTCGETS, reinterpret_cast<std::uintptr_t>(&t)).ok());
    EXPECT_NE(t.c_lflag & kICANON, 0u);
    const Termios saved = t;
    t.c_lflag &= ~(kICANON | kECHO);
    t.c_cc[kVMIN] = 0;
    EXPECT_TRUE(f->ioctl(kTCSETSF, reinterpret_cast<std::uintptr_t>(&t)).ok());
    EXPECT_EQ(read(*f), "");
    host::type_on_console("k");
    EXPECT_EQ(read(*f), "k");
    EXPECT_TRUE(f->ioctl(kTCSETS, reinterpret_cast<std::uintptr_t>(&saved)).ok());
    EXPECT_EQ(f->ioctl(0x1234, 0).error(), Errno::kENOTTY);
    EXPECT_EQ(f->ioctl(kTCGETS, 8).error(), Errno::kEFAULT);
}

TEST_F(Console, PipeWithEscapedEnd) {
    set_input_mode(InputMode::kEscaped);
    Ref<vfs::File> in = open_pipe_input().value();
    EXPECT_EQ(in->poll(nullptr), 0u);
    host::type_on_console(std::string_view("a\r\n\x03\x10\x10\x10xb", 9));
    EXPECT_EQ(read(*in), std::string("a\r\n\x03\x10\x10xb", 8));
    EXPECT_EQ(host::take_console_output(), "");  // no echo
    host::type_on_console("end\x10\x04");
    EXPECT_EQ(in->poll(nullptr) & vfs::kPollHup, std::uint32_t{vfs::kPollHup});
    EXPECT_EQ(read(*in), "end");
    EXPECT_EQ(read(*in), "");
    EXPECT_EQ(read(*in), "");
    EXPECT_EQ(in->ioctl(kTCGETS, 0).error(), Errno::kENOTTY);
    EXPECT_EQ(in->attributes().value().mode & vfs::kModeTypeMask, vfs::kModeFifo);
    Ref<vfs::File> out = open_pipe_output().value();
    mem::IoBuffer from = mem::IoBuffer::kernel(std::as_bytes(std::span("a\nb", 3)));
    EXPECT_EQ(out->write_at_position(from).value(), 3u);
    EXPECT_EQ(host::take_console_output(), "a\nb");
    EXPECT_EQ(read(*out), "errno 9");
}

}  // namespace
}  // namespace kiln::tty
