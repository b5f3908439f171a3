// Terminal settings and ioctl numbers.
// Sources: Linux include/uapi/asm-generic/{termbits.h,termbits-common.h,ioctls.h,termios.h}.
#pragma once

#include <cstdint>

namespace kiln::abi {

inline constexpr int kTermiosControlChars = 19;  // NCCS of the kernel's struct termios

struct Termios {
    std::uint32_t c_iflag;
    std::uint32_t c_oflag;
    std::uint32_t c_cflag;
    std::uint32_t c_lflag;
    std::uint8_t c_line;
    std::uint8_t c_cc[kTermiosControlChars];
};
static_assert(sizeof(Termios) == 36);

struct WinSize {
    std::uint16_t ws_row;
    std::uint16_t ws_col;
    std::uint16_t ws_xpixel;
    std::uint16_t ws_ypixel;
};
static_assert(sizeof(WinSize) == 8);

// Indices of c_cc.
inline constexpr int VINTR = 0, VQUIT = 1, VERASE = 2, VKILL = 3, VEOF = 4, VTIME = 5, VMIN = 6;
inline constexpr int VSWTC = 7, VSTART = 8, VSTOP = 9, VSUSP = 10, VEOL = 11, VREPRINT = 12;
inline constexpr int VDISCARD = 13, VWERASE = 14, VLNEXT = 15, VEOL2 = 16;

// c_iflag
inline constexpr std::uint32_t IGNBRK = 01, BRKINT = 02, IGNPAR = 04, PARMRK = 010, INPCK = 020;
inline constexpr std::uint32_t ISTRIP = 040, INLCR = 0100, IGNCR = 0200, ICRNL = 0400;
inline constexpr std::uint32_t IXON = 02000, IXANY = 04000, IXOFF = 010000, IMAXBEL = 020000;
inline constexpr std::uint32_t IUTF8 = 040000;
// c_oflag
inline constexpr std::uint32_t OPOST = 01, OLCUC = 02, ONLCR = 04, OCRNL = 010, ONOCR = 020;
inline constexpr std::uint32_t ONLRET = 040;
// c_cflag
inline constexpr std::uint32_t B38400 = 017, B115200 = 010002, CS8 = 060, CREAD = 0200;
inline constexpr std::uint32_t HUPCL = 02000, CLOCAL = 04000;
// c_lflag
inline constexpr std::uint32_t ISIG = 01, ICANON = 02, ECHO = 010, ECHOE = 020, ECHOK = 040;
inline constexpr std::uint32_t ECHONL = 0100, NOFLSH = 0200, TOSTOP = 0400, ECHOCTL = 01000;
inline constexpr std::uint32_t ECHOKE = 04000, IEXTEN = 0100000;

inline constexpr std::uint32_t TCGETS = 0x5401, TCSETS = 0x5402, TCSETSW = 0x5403;
inline constexpr std::uint32_t TCSETSF = 0x5404, TCSBRK = 0x5409, TCXONC = 0x540A;
inline constexpr std::uint32_t TCFLSH = 0x540B, TIOCSCTTY = 0x540E, TIOCGPGRP = 0x540F;
inline constexpr std::uint32_t TIOCSPGRP = 0x5410, TIOCOUTQ = 0x5411, TIOCGWINSZ = 0x5413;
inline constexpr std::uint32_t TIOCSWINSZ = 0x5414, FIONREAD = 0x541B, FIONBIO = 0x5421;
inline constexpr std::uint32_t TIOCNOTTY = 0x5422, TIOCGSID = 0x5429, FIONCLEX = 0x5450;
inline constexpr std::uint32_t FIOCLEX = 0x5451, FIOASYNC = 0x5452, FIOQSIZE = 0x5460;

}  // namespace kiln::abi
