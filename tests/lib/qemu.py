"""One run of QEMU: builds the command line, bounds it in time, reads the end record."""

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build")
QEMU = shutil.which("qemu-system-x86_64") or "qemu-system-x86_64"

MACHINES = {
    "microvm": ["-M", "microvm,acpi=off,pit=off,pic=off,x-option-roms=off,auto-kernel-cmdline=off"],
    "microvm-acpi": ["-M", "microvm,acpi=on,pit=off,pic=off,x-option-roms=off,auto-kernel-cmdline=off"],
    "microvm-full": ["-M", "microvm,auto-kernel-cmdline=off"],
    "q35": ["-M", "q35"],
    "pc": ["-M", "pc"],
}
# One guest instruction is one nanosecond and one TSC tick; fixed random numbers and date: a run repeats to
# the instruction.
REPEATABLE = ["-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "base=2026-01-01,clock=vm"]


def kernel_path(config):
    return os.path.join(BUILD, "kernel", config, "kiln.elf")


@dataclasses.dataclass
class Run:
    status: int  # QEMU's exit status; -1 when the time ran out and QEMU was killed
    console: str  # everything on the serial port
    end: str  # the end record without its prefix ("exit=0"), or "" when there is none
    errors: str  # QEMU's own messages
    seconds: float
    command: list

    @property
    def timed_out(self):
        return self.status == -1

    @property
    def program_status(self):
        """The program's exit status, or None when it did not end by itself."""
        match = re.match(r"exit=(\d+)", self.end)
        return int(match.group(1)) if match else None

    def program_output(self):
        """The console without the kernel's log lines and carriage returns."""
        lines = self.console.replace("\r", "").splitlines(keepends=True)
        return "".join(l for l in lines if not re.match(r"\[ *\d+\.\d{6}\] (error|warn|info|debug) ", l))


def run(kernel=None, *, machine="microvm", memory="64M", append="", initrd=None, timeout=60, extra=(),
        debug_exit=True, debugcon=True, cpu="max", stdin=None, serial=True):
    """Boots `kernel` and waits for the machine to end. initrd: bytes, a path, or None."""
    with tempfile.TemporaryDirectory(prefix="kiln-test-") as scratch:
        command = [QEMU, "-accel", "tcg", "-cpu", cpu, *MACHINES[machine], "-nodefaults", "-no-user-config",
                   "-no-reboot", "-m", str(memory), "-display", "none"]
        if serial:
            command += ["-serial", "stdio"]
        record = os.path.join(scratch, "debugcon")
        if debugcon:
            command += ["-chardev", "file,id=dbg,path=" + record,
                        "-device", "isa-debugcon,iobase=0xe9,chardev=dbg"]
        if debug_exit:
            command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        if kernel is not None:
            command += ["-kernel", kernel]
        if append:
            command += ["-append", append]
        if isinstance(initrd, (bytes, bytearray)):
            path = os.path.join(scratch, "initrd")
            with open(path, "wb") as f:
                f.write(initrd)
            initrd = path
        if initrd:
            command += ["-initrd", initrd]
        command += list(extra)
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            status = -1
        seconds = time.monotonic() - start
        end = ""
        if debugcon and os.path.exists(record):
            with open(record, "rb") as f:
                for line in f.read().decode("utf-8", "replace").splitlines():
                    if line.startswith("kiln-end ") and not end:  # the first one counts
                        end = line[len("kiln-end "):]
        return Run(status, out.decode("utf-8", "replace"), end, err.decode("utf-8", "replace"), seconds, command)
