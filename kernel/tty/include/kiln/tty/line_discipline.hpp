// The line discipline: what a terminal does between its keyboard and a reading program (Linux's
// n_tty; POSIX.1-2017 chapter 11). Pure: no locks, no devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <kiln/abi/linux/termios.hpp>

namespace kiln::tty {

/// The settings of a fresh Linux console.
abi::Termios default_termios();

/// Takes what is to be shown: echo. Called while input is processed.
class EchoSink {
public:
    virtual void echo(std::string_view bytes) = 0;

protected:
    ~EchoSink() = default;
};

class LineDiscipline {
public:
    static constexpr std::size_t kBufferSize = 4096;  // as Linux's N_TTY_BUF_SIZE

    constexpr LineDiscipline() = default;

    const abi::Termios& settings() const { return termios_; }
    /// What was typed so far becomes readable when canonical mode changes.
    void set_settings(const abi::Termios& settings);

    /// True when receive() would not lose a byte: there is room, or a line that can still be edited.
    bool can_receive() const;
    /// A byte from the keyboard. Returns the signal that it stands for, or 0.
    int receive(char c, EchoSink& echo);

    /// Bytes that a read may take now. Canonical mode: of complete lines.
    std::size_t available() const;
    /// True if a read returns without waiting: bytes, or an end of file typed. Canonical mode only.
    bool has_line() const { return line_end_ != tail_; }
    bool is_canonical() const { return (termios_.c_lflag & abi::kICANON) != 0; }
    /// Takes bytes: in canonical mode up to the end of one line. An end of file typed alone gives 0.
    std::size_t read(std::span<char> out);
    void flush_input();
    /// ^S was typed and no ^Q yet.
    bool is_stopped() const { return stopped_; }
    void set_stopped(bool stopped) { stopped_ = stopped; }

    /// Output processing (OPOST): writes what `in` becomes to `out`, which holds twice as many bytes.
    std::size_t process_output(std::string_view in, char* out) const;

private:
    char& at(std::uint32_t position) { return buffer_[position % kBufferSize]; }
    bool is_eof_mark(std::uint32_t position) const {
        return (eof_marks_[position % kBufferSize / 64] >> (position % 64) & 1) != 0;
    }
    bool is_control(char c, int index) const;
    void push(char c);
    void push_eof();
    void end_line() { line_end_ = head_; }
    void echo_char(char c, EchoSink& echo) const;
    void erase_char(EchoSink& echo);
    void erase_word(EchoSink& echo);
    void erase_line(char c, EchoSink& echo);
    int signal_of(char c) const;
    bool receive_canonical(char c, EchoSink& echo);

    abi::Termios termios_{};
    // Positions count on without end; what lies in the buffer is [tail_, head_), complete lines are
    // [tail_, line_end_).
    std::uint32_t head_ = 0;
    std::uint32_t tail_ = 0;
    std::uint32_t line_end_ = 0;
    bool literal_next_ = false;
    bool stopped_ = false;
    std::uint64_t eof_marks_[kBufferSize / 64] = {};  // places where ^D was typed
    char buffer_[kBufferSize] = {};
};

}  // namespace kiln::tty
