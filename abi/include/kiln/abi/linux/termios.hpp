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
inline constexpr int kVINTR = 0, kVQUIT = 1, kVERASE = 2, kVKILL = 3, kVEOF = 4, kVTIME = 5,
                     kVMIN = 6;
inline constexpr int kVSWTC = 7, kVSTART = 8, kVSTOP = 9, kVSUSP = 10, kVEOL = 11, kVREPRINT = 12;
inline constexpr int kVDISCARD = 13, kVWERASE = 14, kVLNEXT = 15, kVEOL2 = 16;

// c_iflag
inline constexpr std::uint32_t kIGNBRK = 01, kBRKINT = 02, kIGNPAR = 04, kPARMRK = 010,
                               kINPCK = 020;
inline constexpr std::uint32_t kISTRIP = 040, kINLCR = 0100, kIGNCR = 0200, kICRNL = 0400;
inline constexpr std::uint32_t kIXON = 02000, kIXANY = 04000, kIXOFF = 010000, kIMAXBEL = 020000;
inline constexpr std::uint32_t kIUTF8 = 040000;
// c_oflag
inline constexpr std::uint32_t kOPOST = 01, kOLCUC = 02, kONLCR = 04, kOCRNL = 010, kONOCR = 020;
inline constexpr std::uint32_t kONLRET = 040;
// c_cflag
inline constexpr std::uint32_t kB38400 = 017, kB115200 = 010002, kCS8 = 060, kCREAD = 0200;
inline constexpr std::uint32_t kHUPCL = 02000, kCLOCAL = 04000;
// c_lflag
inline constexpr std::uint32_t kISIG = 01, kICANON = 02, kECHO = 010, kECHOE = 020, kECHOK = 040;
inline constexpr std::uint32_t kECHONL = 0100, kNOFLSH = 0200, kTOSTOP = 0400, kECHOCTL = 01000;
inline constexpr std::uint32_t kECHOKE = 04000, kIEXTEN = 0100000;

inline constexpr std::uint32_t kTCGETS = 0x5401, kTCSETS = 0x5402, kTCSETSW = 0x5403;
inline constexpr std::uint32_t kTCSETSF = 0x5404, kTCSBRK = 0x5409, kTCXONC = 0x540A;
inline constexpr std::uint32_t kTCFLSH = 0x540B, kTIOCSCTTY = 0x540E, kTIOCGPGRP = 0x540F;
inline constexpr std::uint32_t kTIOCSPGRP = 0x5410, kTIOCOUTQ = 0x5411, kTIOCGWINSZ = 0x5413;
inline constexpr std::uint32_t kTIOCSWINSZ = 0x5414, kFIONREAD = 0x541B, kFIONBIO = 0x5421;
inline constexpr std::uint32_t kTIOCNOTTY = 0x5422, kTIOCGSID = 0x5429, kFIONCLEX = 0x5450;
inline constexpr std::uint32_t kFIOCLEX = 0x5451, kFIOASYNC = 0x5452, kFIOQSIZE = 0x5460;

}  // namespace kiln::abi
