"""The little that tests need to know of an ELF file."""

import os
import struct
import subprocess
import tempfile


def _header(data):
    bits = {1: 32, 2: 64}[data[4]]
    if bits == 64:
        entry, phoff = struct.unpack_from("<QQ", data, 24)
        phentsize, phnum = struct.unpack_from("<HH", data, 54)
    else:
        entry, phoff = struct.unpack_from("<II", data, 24)
        phentsize, phnum = struct.unpack_from("<HH", data, 42)
    return bits, entry, phoff, phentsize, phnum


def segments(path):
    """[(type, flags, offset, vaddr, paddr, filesz, memsz)] of the program headers."""
    with open(path, "rb") as f:
        data = f.read()
    bits, _, phoff, size, count = _header(data)
    result = []
    for i in range(count):
        at = phoff + i * size
        if bits == 64:
            kind, flags, offset, vaddr, paddr, filesz, memsz = struct.unpack_from("<IIQQQQQ", data, at)
        else:
            kind, offset, vaddr, paddr, filesz, memsz, flags = struct.unpack_from("<IIIIIII", data, at)
        result.append((kind, flags, offset, vaddr, paddr, filesz, memsz))
    return result


def entry(path):
    with open(path, "rb") as f:
        return _header(f.read(64))[1]


def pvh_entry(path):
    """The 32-bit entry of the PVH note (owner "Xen", type 18, XEN_ELFNOTE_PHYS32_ENTRY), or None."""
    with open(path, "rb") as f:
        data = f.read()
    for kind, _, offset, _, _, filesz, _ in segments(path):
        at, end = offset, offset + filesz
        while kind == 4 and at + 12 <= end:
            namesz, descsz, note = struct.unpack_from("<III", data, at)
            name = data[at + 12:at + 12 + namesz]
            desc = at + 12 + (namesz + 3 & ~3)
            if name == b"Xen\0" and note == 18:
                return int.from_bytes(data[desc:desc + descsz], "little") & 0xFFFFFFFF
            at = desc + (descsz + 3 & ~3)
    return None


def symbols(path):
    """{name: address} as nm prints them."""
    out = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    result = {}
    for line in out.splitlines():
        words = line.split()
        if len(words) == 3:
            result[words[2]] = int(words[0], 16)
    return result


def stripped_size(path):
    """Bytes of the file after strip --strip-all."""
    with tempfile.NamedTemporaryFile() as scratch:
        subprocess.run(["strip", "--strip-all", "-o", scratch.name, path], check=True)
        return os.path.getsize(scratch.name)
