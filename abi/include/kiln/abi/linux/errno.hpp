// Linux error numbers (include/uapi/asm-generic/errno-base.h and errno.h).
#pragma once

#include <cstdint>

namespace kiln {

/// A Linux error number. Kernel code returns it inside a Result; it is turned into `-errno` in one
/// place, the system call dispatcher.
enum class Errno : std::int32_t {
    kOk = 0,
    kEPERM = 1,
    kENOENT = 2,
    kESRCH = 3,
    kEINTR = 4,
    kEIO = 5,
    kENXIO = 6,
    kE2BIG = 7,
    kENOEXEC = 8,
    kEBADF = 9,
    kECHILD = 10,
    kEAGAIN = 11,
    kENOMEM = 12,
    kEACCES = 13,
    kEFAULT = 14,
    kENOTBLK = 15,
    kEBUSY = 16,
    kEEXIST = 17,
    kEXDEV = 18,
    kENODEV = 19,
    kENOTDIR = 20,
    kEISDIR = 21,
    kEINVAL = 22,
    kENFILE = 23,
    kEMFILE = 24,
    kENOTTY = 25,
    kETXTBSY = 26,
    kEFBIG = 27,
    kENOSPC = 28,
    kESPIPE = 29,
    kEROFS = 30,
    kEMLINK = 31,
    kEPIPE = 32,
    kEDOM = 33,
    kERANGE = 34,
    kEDEADLK = 35,
    kENAMETOOLONG = 36,
    kENOLCK = 37,
    kENOSYS = 38,
    kENOTEMPTY = 39,
    kELOOP = 40,
    kENODATA = 61,
    kETIME = 62,
    kEPROTO = 71,
    kEBADMSG = 74,
    kEOVERFLOW = 75,
    kEILSEQ = 84,
    kELIBBAD = 80,
    kEUSERS = 87,
    kENOTSOCK = 88,
    kEDESTADDRREQ = 89,
    kEMSGSIZE = 90,
    kEPROTOTYPE = 91,
    kENOPROTOOPT = 92,
    kEPROTONOSUPPORT = 93,
    kESOCKTNOSUPPORT = 94,
    kEOPNOTSUPP = 95,
    kEPFNOSUPPORT = 96,
    kEAFNOSUPPORT = 97,
    kEADDRINUSE = 98,
    kEADDRNOTAVAIL = 99,
    kENETDOWN = 100,
    kENETUNREACH = 101,
    kENETRESET = 102,
    kECONNABORTED = 103,
    kECONNRESET = 104,
    kENOBUFS = 105,
    kEISCONN = 106,
    kENOTCONN = 107,
    kESHUTDOWN = 108,
    kETIMEDOUT = 110,
    kECONNREFUSED = 111,
    kEHOSTDOWN = 112,
    kEHOSTUNREACH = 113,
    kEALREADY = 114,
    kEINPROGRESS = 115,
    kESTALE = 116,
    kEUCLEAN = 117,
    kEDQUOT = 122,
    kECANCELED = 125,
    kEOWNERDEAD = 130,
    kENOTRECOVERABLE = 131,

    // Kernel-internal, never seen by a program (include/linux/errno.h): how an interrupted call is
    // restarted after a signal handler.
    kERESTARTSYS = 512,            ///< restart if SA_RESTART, else EINTR
    kERESTARTNOINTR = 513,         ///< always restart
    kERESTARTNOHAND = 514,         ///< restart only if no handler ran, else EINTR
    kERESTART_RESTARTBLOCK = 516,  ///< restart through restart_syscall(2), else EINTR
};

}  // namespace kiln
