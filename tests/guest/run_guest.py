#!/usr/bin/python3
"""Guest tests: every way to boot, every way to end, bad input, tests linked into the kernel.

usage: run_guest.py [--list] [PATTERN…]      a test runs when its name contains one of the patterns

Each test is one or more runs of QEMU, with a limit on time. The last line is `N passed, N failed`.
"""

import functools
import glob
import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import boot  # noqa: E402
import debian  # noqa: E402
import elf  # noqa: E402
import image  # noqa: E402
import qemu  # noqa: E402
import suite  # noqa: E402
from suite import expect  # noqa: E402

OUT = os.path.join(qemu.BUILD, "guest")
CONFIGS = ["default", "user", "ubsan"]
ENVIRONMENT = ["PATH=/usr/bin:/bin", "HOME=/root"]
SECONDS = 60
# The line the kernel writes for a machine's or a program's misfortune: a sentence, without addresses in front.
TAINTED = re.compile(r"(?i)\b(panic|assert|UBSan|runtime error)\b")


# ---- building blocks ----------------------------------------------------------------------------------------------

def build_probe():
    os.makedirs(OUT, exist_ok=True)
    source = os.path.join(HERE, "src", "probe.c")
    for name, flags in (("probe", ["-static-pie", "-fPIE"]), ("probe-dynamic", ["-pie", "-fPIE"]),
                        ("probe-nopie", ["-static", "-no-pie"])):
        target = os.path.join(OUT, name)
        if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
            subprocess.run(["gcc", "-O1", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls",
                            "-fno-delete-null-pointer-checks", "-Wall",
                            "-Wno-infinite-recursion", "-pthread", *flags, "-o", target, source], check=True)


def probe_bytes(name="probe"):
    with open(os.path.join(OUT, name), "rb") as f:
        return f.read()


@functools.lru_cache(maxsize=None)
def probe_root(name="probe"):
    files = {"/probe": os.path.join(OUT, name), "/etc/hostname": b"kiln\n"}
    if name == "probe-dynamic":
        files.update(image.needed_libraries(os.path.join(OUT, name)))
    return image.initrd(files)


def launch(*words, program="/probe", **keywords):
    return image.pad(image.launch_record(program, [program, *words], ENVIRONMENT, **keywords))


def start(*words, config="default", name="probe", timeout=SECONDS, flags=0, **keywords):
    kernel = qemu.kernel_path(config)
    expect(os.path.exists(kernel), f"no kernel: {kernel}")
    return qemu.run(kernel, initrd=probe_root(name) + launch(*words, flags=flags), timeout=timeout, **keywords)


def story(run):
    tail = "\n".join(run.console.splitlines()[-25:])
    return f"end record '{run.end}', QEMU's status {run.status}, {run.seconds:.1f} s\n{tail}\n{run.errors}"


def ended(run, record):
    expect(not run.timed_out, "the machine does not end\n" + story(run))
    expect(re.fullmatch(record, run.end), f"expected the end '{record}'\n" + story(run))


def no_panic(run):
    expect(not run.timed_out, "the machine does not end\n" + story(run))
    expect(run.end and not run.end.startswith("panic"), "a clear end was expected\n" + story(run))
    expect(not TAINTED.search(run.console), "the kernel complains\n" + story(run))


def says(run, pattern):
    expect(re.search(pattern, run.console + "\n" + run.end), f"nothing says '{pattern}'\n" + story(run))


# ---- booting ------------------------------------------------------------------------------------------------------

def boots(config, machine, name="probe"):
    run = start("hello", config=config, machine=machine, name=name)
    ended(run, "exit=0")
    expect(run.program_output() == "hello from the guest\n", "other output\n" + story(run))


def boots_with_memory(config, memory):
    run = start("memory", config=config, memory=memory)
    ended(run, "exit=0")
    total = int(re.search(r"total (\d+)", run.console).group(1)) / 1024
    megabytes = float(memory[:-1]) * (1024 if memory.endswith("G") else 1)
    expect(0.5 * megabytes < total <= megabytes, f"sysinfo says {total} MiB of {memory}\n" + story(run))


def boots_by_linux_protocol(config, machine):
    kernel = qemu.kernel_path(config)
    expect(os.path.exists(kernel), f"no kernel: {kernel}")
    with tempfile.TemporaryDirectory() as scratch:
        loaded = boot.make_linux64(kernel, os.path.join(scratch, "linux64.elf"))
        run = qemu.run(loaded, machine=machine, initrd=probe_root() + launch("arguments", "a b"), append="loglevel=warn",
                       timeout=SECONDS)
    ended(run, "exit=0")
    says(run, r"\[/probe\]\[arguments\]\[a b\]")


def boots_by_grub(config):
    kernel = qemu.kernel_path(config)
    expect(os.path.exists(kernel), f"no kernel: {kernel}")
    with tempfile.TemporaryDirectory() as scratch:
        iso = boot.make_iso(kernel, os.path.join(scratch, "kiln.iso"), "loglevel=warn",
                            probe_root() + launch("arguments", "by grub"))
        run = qemu.run(None, machine="q35", memory="256M", extra=["-cdrom", iso, "-boot", "d"], timeout=120)
    ended(run, "exit=0")
    says(run, r"\[/probe\]\[arguments\]\[by grub\]")


def boots_by_command_line():
    kernel = qemu.kernel_path("default")
    run = qemu.run(kernel, initrd=probe_root(), append='loglevel=warn -- /probe arguments "two words" back\\ slash',
                   timeout=SECONDS)
    ended(run, "exit=0")
    says(run, r"\[/probe\]\[arguments\]\[two words\]\[back slash\]")


def warns_of_unknown_keys():
    run = start("hello", append="nonsense=1 loglevel=warn")
    ended(run, "exit=0")
    says(run, r"nonsense")


def says_nothing_of_its_own():
    run = start("hello", append="")
    ended(run, "exit=0")
    expect(run.console.replace("\r", "") == "hello from the guest\n", "the console has more than the program's output\n" +
           repr(run.console) + story(run))


def old_processor(cpu):
    run = start("hello", cpu=cpu)
    ended(run, "exit=0")


def console_on_virtio():
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "console")
        run = start("hello", append="console=virtio", serial=False, extra=[
            "-device", "virtio-serial-device", "-chardev", f"file,id=con,path={out}", "-device", "virtconsole,chardev=con"])
        ended(run, "exit=0")
        with open(out) as f:
            text = f.read()
    expect(text == "hello from the guest\n", f"virtio-console got {text!r}\n" + story(run))


def reads_standard_input():
    text = b"a line\n\x03\x04\x10\x10\r\nthe end"
    run = start("cat", flags=image.STDIN_ESCAPED, stdin=text + image.STDIN_END)
    ended(run, "exit=0")
    expect(run.console == text.replace(b"\x10\x10", b"\x10").decode(), f"got {run.console!r}\n" + story(run))


def terminal_input():
    run = start("cat", flags=image.STDIN_TERMINAL | image.STDOUT_TERMINAL, stdin=b"typex\x7fd\r\x04")
    ended(run, "exit=0")
    # echo with the correction, then what the program wrote; a terminal ends lines with CR LF
    expect(run.console.endswith("typed\r\n") and run.console.count("typed") == 1 or
           run.console.count("\r\n") == 2, f"got {run.console!r}\n" + story(run))


def streams_are_what_the_record_says():
    both = image.STDIN_TERMINAL | image.STDOUT_TERMINAL
    for flags, wanted in ((0, "000 0 0\n"), (both, "111 25 80\r\n"), (image.STDIN_ESCAPED, "000 0 0\n")):
        run = start("streams", flags=flags, stdin=image.STDIN_END if flags == image.STDIN_ESCAPED else None)
        ended(run, "exit=0")
        expect(run.console == wanted, f"flags {flags}: {run.console!r} is not {wanted!r}\n" + story(run))


# ---- ending -------------------------------------------------------------------------------------------------------

def carries_status(config, status):
    run = start("exit", str(status), config=config)
    ended(run, f"exit={status}")
    expect(run.status == (min(status, 127) << 1 | 1), "isa-debug-exit carries another status\n" + story(run))


def killed_by(config, number, *words):
    run = start(*words, config=config)
    ended(run, f"signal={number}")


def crash_has_backtrace(config, what, function, number=11, name="probe"):
    run = start(what, config=config, name=name)
    ended(run, f"signal={number}")
    says(run, r"SIGSEGV|segmentation|SIGABRT|SIGILL|signal \d+")
    says(run, function)
    expect(run.console.count("\n") < 80, "too long a story\n" + story(run))


def ends_without_debug_exit(machine, words, record, debugcon=True):
    run = start(*words, machine=machine, debug_exit=False, debugcon=debugcon, timeout=40)
    expect(not run.timed_out, "the machine does not end\n" + story(run))
    if debugcon:
        ended(run, record)


def out_of_memory(config, what):
    run = start(what, config=config, memory="48M", timeout=120)
    expect(not run.timed_out, "the machine does not end\n" + story(run))
    if run.end.startswith("exit="):
        ended(run, r"exit=(12|28)")  # the program was refused, and said so
    else:
        ended(run, r"oom=.*|signal=9")
        says(run, r"(?i)memory")
        says(run, r"(?i)\d+ *(KiB|MiB|kB|bytes|pages)")


def nothing_to_start(config):
    """A kernel without anything to start says so and ends."""
    run = qemu.run(qemu.kernel_path(config), timeout=SECONDS)
    expect(not run.timed_out, "the machine does not end\n" + story(run))
    expect(re.match(r"error=12[567] .+|panic=.+", run.end), "an error was expected\n" + story(run))


# ---- bad input: programs --------------------------------------------------------------------------------------------

def patched(data, *changes):
    data = bytearray(data)
    for offset, form, value in changes:
        struct.pack_into(form, data, offset, value)
    return bytes(data)


def first_header(data, kind):
    """Offset of the first program header of that type."""
    phoff, = struct.unpack_from("<Q", data, 32)
    count, = struct.unpack_from("<H", data, 56)
    for i in range(count):
        if struct.unpack_from("<I", data, phoff + 56 * i)[0] == kind:
            return phoff + 56 * i
    raise suite.Failed(f"the probe has no program header of type {kind}")


def bad_programs():
    """{name: (bytes, end record)}; the kernel must answer with one clear line."""
    good, dynamic = probe_bytes(), probe_bytes("probe-dynamic")
    load, interp = first_header(good, 1), first_header(dynamic, 3)
    interp_offset, = struct.unpack_from("<Q", dynamic, interp + 8)
    refused, missing = r"error=126 .+", r"error=127 .+"
    broken = r"error=126 .+|signal=(11|7)"
    return {
        "empty file": (b"", refused),
        "four bytes": (b"\x7fELF", refused),
        "text": (b"just some text\n", refused),
        "random bytes": (bytes((i * 197 + i // 7) & 0xFF for i in range(5000)), refused),
        "cut in the header": (good[:40], refused),
        "cut in the program headers": (good[:100], refused),
        "cut in a segment": (good[:len(good) // 3], broken),
        "32-bit": (patched(good, (4, "<B", 1), (18, "<H", 3)), refused),
        "32-bit class alone": (patched(good, (4, "<B", 1)), refused),
        "aarch64": (patched(good, (18, "<H", 183)), refused),
        "big endian": (patched(good, (5, "<B", 2)), refused),
        "relocatable": (patched(good, (16, "<H", 1)), refused),
        "core file": (patched(good, (16, "<H", 4)), refused),
        "no program headers": (patched(good, (56, "<H", 0)), refused),
        "65535 program headers": (patched(good, (56, "<H", 65535)), refused),
        "odd size of program headers": (patched(good, (54, "<H", 55)), refused),
        "program headers out of file": (patched(good, (32, "<Q", 1 << 40)), refused),
        "program header offset wraps": (patched(good, (32, "<Q", (1 << 64) - 64)), refused),
        "segment out of file": (patched(good, (load + 8, "<Q", 1 << 40)), broken),
        "segment offset wraps": (patched(good, (load + 8, "<Q", (1 << 64) - 4096)), broken),
        "file size above memory size": (patched(good, (load + 40, "<Q", 1)), broken),
        "memory size huge": (patched(good, (load + 40, "<Q", 1 << 62)), broken),
        "memory size wraps": (patched(good, (load + 40, "<Q", (1 << 64) - 1)), broken),
        "segment in the kernel": (patched(probe_bytes("probe-nopie"), (first_header(probe_bytes("probe-nopie"), 1) + 16,
                                                                        "<Q", 0xFFFFFFFF80100000)), broken),
        "segment at the edge": (patched(probe_bytes("probe-nopie"), (first_header(probe_bytes("probe-nopie"), 1) + 16,
                                                                      "<Q", 0x7FFFFFFFF000)), broken),
        "odd alignment": (patched(good, (load + 48, "<Q", 3)), broken + "|exit=0"),
        "address unlike offset": (patched(good, (load + 16, "<Q", 0x123)), broken),
        "entry in nowhere": (patched(good, (24, "<Q", 0x7000000000)), broken),
        "entry in the kernel": (patched(probe_bytes("probe-nopie"), (24, "<Q", 0xFFFFFFFF80100000)), broken),
        "entry not canonical": (patched(probe_bytes("probe-nopie"), (24, "<Q", 1 << 63)), broken),
        "missing interpreter": (patched(dynamic, (interp_offset, "<8s", b"/nowhere")), missing),
        "interpreter without end": (patched(dynamic, (interp + 32, "<Q", 4)), r"error=12[67] .+"),
        "interpreter path huge": (patched(dynamic, (interp + 32, "<Q", 1 << 33)), r"error=12[67] .+"),
        "interpreter is empty": (patched(dynamic, (interp_offset, "<B", 0)), r"error=12[67] .+"),
        "interpreter out of file": (patched(dynamic, (interp + 8, "<Q", 1 << 50)), r"error=12[67] .+"),
        "interpreter is a directory": (patched(dynamic, (interp_offset, "<5s", b"/etc\0")), r"error=12[67] .+"),
        "script without interpreter": (b"#!/nowhere/at/all\n", missing),
        "script with an empty line": (b"#!\n", refused),
        "script of itself": (b"#!/probe\n", r"error=12[67] .+"),
        "script line without end": (b"#!" + b"/x" * 5000, r"error=12[67] .+"),
    }


def bad_program(data, record, config="default"):
    """Bytes as /probe: the end as given, said in one line."""
    initrd = image.initrd({"/probe": ("program", data), "/etc/x": b""}) + launch("exit", "0")
    run = qemu.run(qemu.kernel_path(config), initrd=initrd, timeout=SECONDS)
    no_panic(run)
    expect(re.fullmatch(record, run.end), f"expected the end '{record}'\n" + story(run))
    if run.end.startswith("error="):
        reason = run.end.split(" ", 1)[1]
        expect(len(reason) > 8 and "/" in reason, f"'{reason}' does not say what is wrong with which file\n" + story(run))


def missing_program():
    run = qemu.run(qemu.kernel_path("default"), initrd=probe_root() + launch("x", program="/not/there"), timeout=SECONDS)
    ended(run, r"error=127 .*/not/there.*")


def directory_as_program():
    run = qemu.run(qemu.kernel_path("default"), initrd=probe_root() + launch("x", program="/etc"), timeout=SECONDS)
    ended(run, r"error=126 .*/etc.*")


def program_without_permission():
    initrd = image.initrd({"/probe": b"#!/bin/x\n", "/etc/plain": b"text"}) + launch(program="/etc/plain")
    run = qemu.run(qemu.kernel_path("default"), initrd=initrd, timeout=SECONDS)
    ended(run, r"error=126 .*/etc/plain.*")


def missing_library():
    files = {"/probe": os.path.join(OUT, "probe-dynamic")}
    libraries = image.needed_libraries(os.path.join(OUT, "probe-dynamic"))
    files.update({k: v for k, v in libraries.items() if "ld-linux" in k})
    run = qemu.run(qemu.kernel_path("default"), initrd=image.initrd(files) + launch("hello"), timeout=SECONDS)
    ended(run, "exit=127")  # ld.so's own status and sentence
    says(run, r"error while loading shared libraries: libc\.so\.6")


def too_large_for_memory():
    big = patched(probe_bytes("probe-nopie"))
    # the last PT_LOAD wants 1 GiB of zeroed memory, which a machine of 64 MiB can promise but not give
    phoff, = struct.unpack_from("<Q", big, 32)
    count, = struct.unpack_from("<H", big, 56)
    last = max(phoff + 56 * i for i in range(count) if struct.unpack_from("<I", big, phoff + 56 * i)[0] == 1)
    run = qemu.run(qemu.kernel_path("default"), timeout=SECONDS,
                   initrd=image.initrd({"/probe": patched(big, (last + 40, "<Q", 1 << 40))}) + launch("hello"))
    no_panic(run)
    expect(re.match(r"error=126|oom=|exit=0|signal=", run.end), story(run))


def image_larger_than_memory():
    filler = bytes(range(256)) * 4096 * 40
    initrd = image.initrd({"/probe": os.path.join(OUT, "probe"), "/big": filler}) + launch("hello")
    run = qemu.run(qemu.kernel_path("default"), initrd=initrd, memory="16M", timeout=SECONDS)
    # QEMU itself may refuse; what may not happen is a hang or a wrong success
    expect(not run.timed_out, story(run))
    expect(run.end != "exit=0", story(run))


def image_does_not_fit():
    run = qemu.run(qemu.kernel_path("default"), memory="1536k", timeout=SECONDS)
    expect("does not fit into the machine's memory" in run.console, story(run))
    expect(run.end.startswith("kiln-end error=125 out of memory") or run.end.startswith("error=125 out of memory"), story(run))


def little_memory(kilobytes):
    run = start("hello", memory=f"{kilobytes}k", timeout=30)
    expect(not run.timed_out, "the machine does not end\n" + story(run))


# ---- bad input: images ----------------------------------------------------------------------------------------------

def walk_image(root, *more):
    run = qemu.run(qemu.kernel_path("default"), initrd=root + launch("walk", "/data", *more), timeout=SECONDS)
    expect(not run.timed_out, "the machine does not end\n" + story(run))
    return run


@functools.lru_cache(maxsize=None)
def data_root():
    files = {"/probe": os.path.join(OUT, "probe")}
    files.update({f"/data/{d}/{f}": bytes([d + f]) * (f * 700) for d in range(12) for f in range(20)})
    return image.initrd(files)


def walks_everything():
    run = walk_image(data_root())
    ended(run, "exit=0")
    says(run, "240 files, 13 folders, 0 errors")


def erofs_cut_short(part):
    root = data_root()
    no_panic(walk_image(image.pad(root[:int(len(root) * part)])))


def erofs_superblock(offset, form, value):
    root = bytearray(data_root())
    struct.pack_into(form, root, 1024 + offset, value)
    no_panic(walk_image(bytes(root)))


def erofs_damaged(seed):
    """Bytes changed here and there among the metadata; the walk may fail, the machine may not."""
    root = bytearray(data_root())
    state = seed * 2654435761 + 1
    metadata = min(len(root), 200000)
    for _ in range(60):
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        root[1152 + (state >> 33) % (metadata - 1152)] = state >> 24 & 0xFF
    no_panic(walk_image(bytes(root)))


def erofs_loop():
    """A directory that contains itself: dirents of /data/3 made to point at /data."""
    root = bytearray(data_root())
    # struct erofs_dirent: nid u64, nameoff u16, file_type u8, reserved u8 (fs/erofs/erofs_fs.h): entries of type 2
    # (directory) named by their digit. Let every directory entry but . and .. lead to the first one's inode.
    entries = []
    for at in range(4096, len(root) - 12, 4):
        nid, nameoff, kind, reserved = struct.unpack_from("<QHBB", root, at)
        if kind == 2 and reserved == 0 and nid < 4096 and 24 <= nameoff < 4096 and nid > 30:
            entries.append((at, nid))
    expect(len(entries) >= 12, "no directory entries found: the test must follow the format")
    for at, _ in entries:
        struct.pack_into("<Q", root, at, entries[0][1])
    no_panic(walk_image(bytes(root)))


def cpio_archives():
    """{name: (archive, whether the program must still run)}"""
    good = image.Cpio().directory("data").file("data/one", b"1" * 5000).symlink("data/two", "one").bytes()
    return {
        "good": (good, True),
        "cut in a header": (good[:150], False),
        "cut in content": (good[:3000], False),
        "size beyond the archive": (good[:54 + 110] + b"FFFFFFFF" + good[54 + 118:], False),
        "not hexadecimal": (good[:10] + b"zzzzzzzz" + good[18:], False),
        "climbs out": (image.Cpio().file("../../etc/out", b"x").bytes(), False),
        "name without end": (good[:94] + b"00001000" + good[102:], False),
        "loop of links": (image.Cpio().directory("data").symlink("data/a", "b").symlink("data/b", "a").bytes(), True),
        "file over directory": (image.Cpio().directory("data").file("data", b"x").bytes(), False),
        "file below a file": (image.Cpio().file("data", b"x").file("data/x", b"x").bytes(), False),
        "deep folders": (deep_cpio(200), False),
    }


def deep_cpio(depth):
    archive, path = image.Cpio(), "d"
    for _ in range(depth):
        archive.directory(path)
        path += "/d"
    return archive.bytes()


def cpio_part(archive, must_run):
    run = qemu.run(qemu.kernel_path("default"), timeout=SECONDS,
                   initrd=probe_root() + image.pad(archive) + launch("walk", "/data"))
    no_panic(run)
    if must_run:
        ended(run, "exit=0")


def launch_records():
    record = image.launch_record("/probe", ["/probe", "exit", "0"], ENVIRONMENT)
    return {
        "cut": record[:len(record) - 10],
        "cut in the header": record[:20],
        "other version": record[:8] + struct.pack("<I", 77) + record[12:],
        "length zero": record[:12] + struct.pack("<I", 0) + record[16:],
        "length huge": record[:12] + struct.pack("<I", 0xFFFFFFFF) + record[16:],
        "argument count huge": record[:16] + struct.pack("<I", 0xFFFFFFFF) + record[20:],
        "environment count huge": record[:20] + struct.pack("<I", 0x7FFFFFFF) + record[24:],
        "strings without end": record[:-1] + b"x" * 1,
        "no arguments": image.launch_record("", [], []),
    }


def bad_launch(record):
    # nothing follows the record: what it promises beyond its end is not there
    initrd = probe_root() + record
    run = qemu.run(qemu.kernel_path("default"), initrd=initrd, timeout=SECONDS)
    no_panic(run)
    ended(run, r"error=12[567] .+")


def trailing_garbage():
    run = qemu.run(qemu.kernel_path("default"), timeout=SECONDS,
                   initrd=probe_root() + image.pad(b"garbage" * 1000) + launch("exit", "5"))
    no_panic(run)


def long_arguments():
    words = ["x" * 1000] * 120
    run = start("arguments", *words)
    ended(run, "exit=0")
    expect(run.program_output().count("x" * 1000) == 120, "arguments were lost\n" + story(run))


# ---- randomisation --------------------------------------------------------------------------------------------------

def addresses_are_random():
    seen = [start("addresses").program_output() for _ in range(3)]
    expect(len(set(seen)) == 3, f"the same addresses each time: {seen}")
    columns = list(zip(*[line.split() for line in seen]))
    expect(all(len(set(c)) > 1 for c in columns), f"a column does not vary: {seen}")


def seed_fixes_addresses():
    seen = {start("addresses", append="seed=0123456789abcdef0123456789abcdef").program_output() for _ in range(2)}
    expect(len(seen) == 1, f"a fixed seed gives {seen}")


# ---- tests linked into the kernel -------------------------------------------------------------------------------------

def kernel_image(path):
    run = qemu.run(path, timeout=120)
    ended(run, "exit=0")
    expect(not re.search(r"^not ok", run.console, re.M), "failed cases\n" + story(run))
    expect(re.search(r"^ok", run.console, re.M), "no case ran\n" + story(run))


def kernel_panics(config, way, sentence, function):
    path = os.path.join(qemu.BUILD, "kernel", config, "panic_guest.elf")
    expect(os.path.exists(path), f"no image: {path}")
    run = qemu.run(path, append=f"seed={way}", timeout=SECONDS)
    ended(run, f"panic=.*{sentence}.*")
    says(run, f"kernel panic: .*{sentence}")
    if config != "tiny":  # which has no symbols
        says(run, f"# *\\d+ +[0-9a-f]+ +.*{function}")
    expect(run.status == (70 << 1 | 1), "another status than that of a panic\n" + story(run))


def apps_hello():
    path = os.path.join(qemu.BUILD, "kernel", "tiny", "hello.elf")
    expect(os.path.exists(path), f"no image: {path}")
    for machine in ("microvm", "q35"):
        run = qemu.run(path, machine=machine, memory="16M", timeout=SECONDS)
        ended(run, "exit=0")
        says(run, "(?i)hello")


# ---- the list -------------------------------------------------------------------------------------------------------

def add_all(tests):
    for config in CONFIGS:
        for machine in ("microvm", "q35"):
            tests.add(f"boot: PVH, {machine}, {config}", boots, config, machine)
        tests.add(f"boot: Linux protocol, microvm, {config}", boots_by_linux_protocol, config, "microvm")
        tests.add(f"boot: multiboot2 by GRUB, {config}", boots_by_grub, config)
        tests.add(f"boot: dynamic program, {config}", boots, config, "microvm", "probe-dynamic")
        tests.add(f"boot: program without PIE, {config}", boots, config, "microvm", "probe-nopie")
        tests.add(f"end: status 7, {config}", carries_status, config, 7)
        tests.add(f"end: SIGTERM, {config}", killed_by, config, 15, "signal", "15")
        tests.add(f"end: null write, backtrace, {config}", crash_has_backtrace, config, "null-write", "probe_null_write")
        tests.add(f"end: stack overflow, {config}", killed_by, config, 11, "overflow")
        tests.add(f"end: nothing to start, {config}", nothing_to_start, config)
    tests.add("boot: PVH, microvm with ACPI", boots, "default", "microvm-acpi")
    tests.add("boot: PVH, microvm with all devices", boots, "default", "microvm-full")
    tests.add("boot: PVH, pc", boots, "default", "pc")
    tests.add("boot: Linux protocol, q35", boots_by_linux_protocol, "default", "q35")
    tests.add("boot: program on the command line", boots_by_command_line)
    tests.add("boot: unknown key is named", warns_of_unknown_keys)
    tests.add("boot: silent", says_nothing_of_its_own)
    tests.add("boot: processor qemu64", old_processor, "qemu64")
    tests.add("boot: processor Nehalem", old_processor, "Nehalem")
    for memory in ("16M", "1G", "5G"):
        tests.add(f"boot: memory {memory}", boots_with_memory, "default", memory)
    tests.add("console: virtio", console_on_virtio)
    tests.add("console: standard input", reads_standard_input)
    tests.add("console: typing", terminal_input)
    tests.add("console: streams", streams_are_what_the_record_says)
    tests.add("launch: long arguments", long_arguments)
    tests.add("end: status 0", carries_status, "default", 0)
    tests.add("end: status 255", carries_status, "default", 255)
    tests.add("end: null jump, backtrace", crash_has_backtrace, "default", "null-jump", "probe_null_jump|main")
    tests.add("end: kernel write, backtrace", crash_has_backtrace, "user", "kernel-write", "probe_kernel_write")
    tests.add("end: fault in a thread, backtrace", crash_has_backtrace, "default", "thread-fault", "probe_null_write")
    tests.add("end: dynamic program's backtrace", crash_has_backtrace, "default", "null-write", "probe_null_write", 11,
              "probe-dynamic")
    tests.add("end: abort", killed_by, "default", 6, "abort")
    tests.add("end: SIGKILL to itself", killed_by, "default", 9, "signal", "9")
    tests.add("end: hlt in ring 3", killed_by, "user", 11, "privileged")
    for machine in ("microvm", "microvm-acpi", "q35", "pc"):
        tests.add(f"end: without debug exit, {machine}", ends_without_debug_exit, machine, ["exit", "0"], "exit=0")
    tests.add("end: without debug exit and debug port", ends_without_debug_exit, "microvm", ["exit", "0"], "", False)
    tests.add("end: crash without debug exit", ends_without_debug_exit, "microvm", ["null-write"], "signal=11")
    for config in ("default", "user"):
        tests.add(f"oom: touching too much, {config}", out_of_memory, config, "eat-memory")
    tests.add("oom: writing too much", out_of_memory, "default", "fill-tmp")
    tests.add("oom: the image does not fit", image_does_not_fit)
    for kilobytes in (2048, 3072, 4096, 6144):
        tests.add(f"oom: {kilobytes} KiB of memory", little_memory, kilobytes)
    for name, (data, record) in bad_programs().items():
        tests.add(f"bad program: {name}", bad_program, data, record)
    for name in ("entry in the kernel", "segment in the kernel", "memory size wraps"):
        data, record = bad_programs()[name]
        tests.add(f"bad program: {name}, user", bad_program, data, record, "user")
    tests.add("bad program: missing", missing_program)
    tests.add("bad program: directory", directory_as_program)
    tests.add("bad program: without permission", program_without_permission)
    tests.add("bad program: missing library", missing_library)
    tests.add("bad program: too large for memory", too_large_for_memory)
    tests.add("bad image: larger than memory", image_larger_than_memory)
    tests.add("image: everything is read", walks_everything)
    for part in (0.01, 0.1, 0.5, 0.9):
        tests.add(f"bad image: cut to {part:.0%}", erofs_cut_short, part)
    # struct erofs_super_block: blkszbits 12, root_nid 14, inos 16, blocks 36, meta_blkaddr 40
    for name, offset, form, value in (("block bits 0", 12, "<B", 0), ("block bits 255", 12, "<B", 255),
                                      ("root nid", 14, "<H", 0xFFFF), ("blocks huge", 36, "<I", 0xFFFFFFFF),
                                      ("blocks zero", 36, "<I", 0), ("metadata address", 40, "<I", 0xFFFFFF00),
                                      ("unknown features", 80, "<I", 0xFFFFFFFF)):
        tests.add(f"bad image: {name}", erofs_superblock, offset, form, value)
    for seed in range(1, 7):
        tests.add(f"bad image: damage {seed}", erofs_damaged, seed)
    tests.add("bad image: directories in a circle", erofs_loop)
    for name, (archive, must_run) in cpio_archives().items():
        tests.add(f"cpio: {name}", cpio_part, archive, must_run)
    for name, record in launch_records().items():
        tests.add(f"bad launch record: {name}", bad_launch, record)
    tests.add("initrd: an unknown part", trailing_garbage)
    tests.add("random: addresses differ", addresses_are_random)
    tests.add("random: a seed fixes them", seed_fixes_addresses)
    tests.add("tiny: apps/hello", apps_hello)
    for config in ("default", "tiny", "ubsan"):
        for way, (name, sentence, function) in enumerate((
                ("on demand", "the test asked for it", "panic_deep"),
                ("text is not writable", "page fault in the kernel", "write_to_text"),
                ("data is not executable", "page fault in the kernel", "kiln_main"),
                ("stack overflow", "stack overflow", "overflow_stack"),
                ("null read", "page fault in the kernel", "read_null"),
                ("assertion", "assertion failed: zero == 1", "kiln_application_main")), 1):
            tests.add(f"panic: {name}, {config}", kernel_panics, config, way, sentence, function)
    for path in sorted(glob.glob(os.path.join(qemu.BUILD, "kernel", "*", "*_guest_test.elf"))):
        tests.add(f"kernel: {os.path.basename(path)[:-4]}, {os.path.basename(os.path.dirname(path))}", kernel_image, path)


def main():
    patterns = [a for a in sys.argv[1:] if not a.startswith("--")]
    debian.install(["erofs-utils", "grub-pc-bin", "grub-common", "xorriso", "mtools"])
    build_probe()
    tests = suite.Suite("guest", only=patterns)
    add_all(tests)
    if "--list" in sys.argv:
        for name, *_ in tests.cases:
            print(name)
        return 0
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
