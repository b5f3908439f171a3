"""Boot modules made from the formats' definitions, without the product's own tools.

An initrd for the kernel is a sequence of parts, each starting at a multiple of 4096: an EROFS image (the
root file system), cpio "newc" archives (unpacked above it), one launch record (abi/formats/launch.hpp).
"""

import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile

PAGE = 4096
LAUNCH_MAGIC = b"KILNLNCH"
LAUNCH_VERSION = 1
FIXED_TIME = 1767225600  # 2026-01-01
# What the standard streams are: an escaped pipe, a terminal; without flags /dev/null and a pipe.
STDIN_ESCAPED, STDIN_TERMINAL, STDOUT_TERMINAL = 1, 2, 4
STDIN_END = b"\x10\x04"


def pad(data, alignment=PAGE):
    return data + b"\0" * (-len(data) % alignment)


class Cpio:
    """Writes a cpio archive in the "newc" format (cpio(5))."""

    def __init__(self):
        self._data = bytearray()
        self._ino = 0

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self._ino += 1
        encoded = name.encode() + b"\0"
        fields = (self._ino, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(encoded), 0)
        self._data += b"070701" + b"".join(b"%08x" % f for f in fields) + encoded
        self._data += b"\0" * (-len(self._data) % 4)
        self._data += data
        self._data += b"\0" * (-len(self._data) % 4)
        return self

    def directory(self, name, mode=0o755):
        return self._entry(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o644):
        return self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        return self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor, mode=0o600):
        return self._entry(name, stat.S_IFCHR | mode, device=(major, minor))

    def bytes(self):
        saved = bytes(self._data), self._ino
        self._entry("TRAILER!!!", 0)
        result = pad(bytes(self._data), 512)
        self._data, self._ino = bytearray(saved[0]), saved[1]
        return result


def launch_record(program, argv, env=(), cwd="/", hostname="kiln", uid=0, gid=0, flags=0):
    """The launch record of abi/formats/launch.hpp: fixed header, then NUL-terminated strings."""
    strings = [program, cwd, hostname, *argv, *env]
    body = b"".join((s if isinstance(s, bytes) else s.encode()) + b"\0" for s in strings)
    header = struct.Struct("<8s7I2H")
    total = header.size + len(body)
    return header.pack(LAUNCH_MAGIC, LAUNCH_VERSION, total, len(argv), len(env), flags, uid, gid, 25, 80) + body


def erofs(root):
    """An uncompressed EROFS image of the directory `root`, everything owned by root, with the files' own times
    (Python's compiled modules are valid for the time of their source only)."""
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "root.erofs")
        subprocess.run(
            ["mkfs.erofs", "--all-root", "-U", "00000000-0000-0000-0000-000000000001", path, root],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with open(path, "rb") as f:
            return f.read()


def populate(root, files):
    """Fills the directory `root`. files: {path in the root: host path | bytes | ("link", target) |
    ("program", bytes)}."""
    for name in ("dev", "proc", "sys", "tmp", "etc", "root"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(os.path.join(root, "usr", name), exist_ok=True)
        os.symlink("usr/" + name, os.path.join(root, name))
    for name, source in files.items():
        path = os.path.join(root, name.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(source, tuple) and source[0] == "program":
            with open(path, "wb") as f:
                f.write(source[1])
            os.chmod(path, 0o755)
        elif isinstance(source, tuple):
            if not os.path.lexists(path):  # /lib and its like are there already
                os.symlink(source[1], path)
        elif isinstance(source, bytes):
            with open(path, "wb") as f:
                f.write(source)
        else:
            shutil.copy2(source, path)
    # what was made here has a fixed time, so that the same files give the same image
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            if not isinstance(files.get(path[len(root):]), str):
                os.utime(path, (FIXED_TIME, FIXED_TIME), follow_symlinks=False)
    os.utime(root, (FIXED_TIME, FIXED_TIME))


def initrd(files=None, launch=None, cpio=None):
    """The bytes of an initrd: EROFS of `files`, the archive `cpio`, the launch record `launch`."""
    parts = b""
    if files is not None:
        with tempfile.TemporaryDirectory() as root:
            os.chmod(root, 0o755)
            populate(root, files)
            parts += pad(erofs(root))
    if cpio is not None:
        parts += pad(cpio)
    if launch is not None:
        parts += pad(launch)
    return parts


def needed_libraries(path):
    """{path in the root: host path} of the interpreter and shared libraries of a dynamic ELF."""
    result = {}
    named = re.search(rb"/lib[0-9a-z/]*/ld-[0-9A-Za-z_.-]+", open(path, "rb").read(65536))
    if named and os.path.exists(named.group().decode()):
        result[named.group().decode()] = os.path.realpath(named.group().decode())
    listing = subprocess.run(["ldd", path], capture_output=True, text=True)
    if listing.returncode != 0:
        return result
    for line in listing.stdout.splitlines():
        words = line.split()
        if "=>" in words and len(words) > 2 and words[2].startswith("/"):
            result[words[2]] = os.path.realpath(words[2])
        elif words and words[0].startswith("/"):
            result[words[0]] = os.path.realpath(words[0])
    return result
