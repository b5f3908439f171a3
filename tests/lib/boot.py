"""Other ways to boot a kernel than QEMU's -kernel: the 64-bit Linux boot protocol, and GRUB on an ISO."""

import os
import struct
import subprocess
import tempfile

import elf
import qemu

LOADER = os.path.join(qemu.TOP, "tests", "guest", "loader", "linux64.S")
LOADER_ADDRESS = 0x800000  # above the kernel, below the initrd; SeaBIOS clears conventional memory
LOADER_BYTES = 0x10000


def make_linux64(kernel, target):
    """An ELF for QEMU's -kernel that holds `kernel` and a loader which starts it by the 64-bit protocol."""
    with tempfile.TemporaryDirectory() as scratch:
        objects, flat = os.path.join(scratch, "loader.o"), os.path.join(scratch, "loader.bin")
        subprocess.run(["gcc", "-c", f"-Wa,--defsym,LOAD={LOADER_ADDRESS:#x}",
                        f"-Wa,--defsym,ENTRY={elf.entry(kernel):#x}", "-o", objects, LOADER], check=True)
        subprocess.run(["ld", f"-Ttext={LOADER_ADDRESS:#x}", "--oformat=binary", "-o", flat, objects], check=True,
                       stderr=subprocess.DEVNULL)
        with open(flat, "rb") as f:
            code = f.read()
    with open(kernel, "rb") as f:
        original = f.read()
    loads = [(paddr, original[offset:offset + filesz], memsz)
             for kind, _, offset, _, paddr, filesz, memsz in elf.segments(kernel) if kind == 1]
    loads.insert(0, (LOADER_ADDRESS, code, LOADER_BYTES))
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", LOADER_ADDRESS)
    headers = 1 + len(loads)
    at = 64 + 56 * headers
    table = struct.pack("<IIQQQQQQ", 4, 4, at, 0, 0, len(note), len(note), 4)
    body = note
    for paddr, data, memsz in loads:
        body += b"\0" * (-(at + len(body)) % 16)
        table += struct.pack("<IIQQQQQQ", 1, 7, at + len(body), paddr, paddr, len(data), memsz, 16)
        body += data
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, LOADER_ADDRESS, 64, 0, 0, 64, 56,
                         headers, 0, 0, 0)
    with open(target, "wb") as f:
        f.write(header + table + body)
    return target


def make_iso(kernel, target, append="", initrd=None):
    """A bootable ISO with GRUB, which starts `kernel` by multiboot2 with the module `initrd` (bytes)."""
    with tempfile.TemporaryDirectory() as scratch:
        grub = os.path.join(scratch, "boot", "grub")
        os.makedirs(grub)
        with open(kernel, "rb") as f, open(os.path.join(scratch, "boot", "kernel"), "wb") as out:
            out.write(f.read())
        lines = ["set timeout=0", "terminal_output console", f"multiboot2 /boot/kernel {append}"]
        if initrd is not None:
            with open(os.path.join(scratch, "boot", "initrd"), "wb") as out:
                out.write(initrd)
            lines.append("module2 /boot/initrd")
        lines.append("boot")
        with open(os.path.join(grub, "grub.cfg"), "w") as f:
            f.write("\n".join(lines) + "\n")
        subprocess.run(["grub-mkrescue", "-o", target, scratch, "--", "-volid", "KILN"], check=True,
                       capture_output=True)
    return target
