#!/usr/bin/python3
"""Runs each conformance family on Linux first, where it must pass, and then in the guest.

usage: run_conformance.py [--linux] [--config NAME]… [--kind static|dynamic]… [--keep] [FAMILY[:CASE]…]

Every family is built twice: static-PIE and dynamic. In the guest: configuration default runs both kinds,
configuration user the static one. The last line is `N passed, N failed`.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import debian  # noqa: E402
import image  # noqa: E402
import qemu  # noqa: E402
import suite  # noqa: E402

OUT = os.path.join(qemu.BUILD, "conformance")
FLAGS = ["-std=gnu17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-nonnull", "-Wno-unused-result",
         "-Wno-null-dereference", "-Wno-array-bounds", "-Wno-stringop-overflow", "-Wno-stringop-overread", "-Wno-infinite-recursion",
         "-Wno-maybe-uninitialized", "-Wno-clobbered", "-Wno-format-truncation", "-pthread"]
KINDS = {"static": ["-static-pie", "-fPIE"], "dynamic": ["-pie", "-fPIE"]}
ENVIRONMENT = ["PATH=/usr/bin:/bin", "KILN_TEST_VALUE=a value, with = and spaces", "KILN_TEST_EMPTY="]
LIBGCC = "/lib/x86_64-linux-gnu/libgcc_s.so.1"  # pthread_cancel loads it
LINUX_SECONDS, GUEST_SECONDS = 60, 90
# Families that need more than the default memory of a test machine.
MEMORY = {"memory": "256M", "wild": "256M"}


# What cannot be as on Linux by design: {(configuration, family): {case: reason}}. Such a case must fail.
KNOWN_DIFFERENCES = {
    ("default", "system"): {"arch_prctl_gs": "in ring 0 the GS base is the kernel's; ARCH_SET_GS is EPERM"},
    ("user", "system"): {"arch_prctl_gs": "the GS base is not switched with threads yet; ARCH_SET_GS is EPERM"},
}


def families():
    return sorted(os.path.basename(f)[:-2] for f in glob.glob(os.path.join(HERE, "*.c")))


def binary(family, kind):
    return os.path.join(OUT, kind, family)


def build(names):
    jobs = []
    header = os.path.getmtime(os.path.join(HERE, "check.h"))
    for kind, flags in KINDS.items():
        os.makedirs(os.path.join(OUT, kind), exist_ok=True)
        for name in names:
            source, target = os.path.join(HERE, name + ".c"), binary(name, kind)
            if os.path.exists(target) and os.path.getmtime(target) > max(header, os.path.getmtime(source)):
                continue
            jobs.append(["gcc", *FLAGS, *flags, "-o", target, source])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        if any(pool.map(subprocess.call, jobs)):
            raise SystemExit("conformance: a test does not compile")


def fixture():
    """{path: content} of the files that tests find in fixture/."""
    files = {
        "fixture/file.txt": b"hello fixture\n",
        "fixture/big": bytes(i * 7 // 3 & 0xFF for i in range(100000)),
        "fixture/dir/a": b"a\n", "fixture/dir/b": b"b\n", "fixture/dir/c": b"c\n",
        "fixture/changing/old": b"old\n", "fixture/changing/kept": b"kept\n",
        "fixture/link": ("link", "file.txt"), "fixture/loop1": ("link", "loop2"), "fixture/loop2": ("link", "loop1"),
    }
    files.update({f"fixture/many/entry-{i}": b"x" for i in range(300)})
    return files


def judge(family, status, output, config=""):
    lines = output.replace("\r", "").splitlines()
    known = KNOWN_DIFFERENCES.get((config, family), {})
    if known:
        surprises = [c for c in known if any(re.fullmatch(rf"ok \d+ - {c}", l) for l in lines)]
        suite.expect(not surprises, f"no longer a difference from Linux: {surprises}")
        others = [l for l in lines if l.startswith("not ok ") and l.split(" - ")[-1] not in known]
        if status == 1 and not others and "not ok" in lines[-3:]:
            return
    problems = [l for l in lines if l.startswith(("not ok ", "# "))]
    passed = sum(l.startswith("ok ") for l in lines)
    if status == 0 and lines and "ok" in lines[-3:] and not any(l.startswith("not ok") for l in lines) and passed:
        return
    raise suite.Failed(f"{family}: status {status}, {passed} cases passed\n" +
                       "\n".join(problems or []) + "\nlast lines:\n" + "\n".join(lines[-6:]))


def on_linux(family, kind, cases):
    with tempfile.TemporaryDirectory(prefix="kiln-conformance-") as scratch:
        os.chmod(scratch, 0o755)
        for name, content in fixture().items():
            path = os.path.join(scratch, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if isinstance(content, tuple):
                os.symlink(content[1], path)
            else:
                with open(path, "wb") as f:
                    f.write(content)
        command = [binary(family, kind), *cases]
        if os.getuid() != 0:
            command = ["unshare", "-r", *command]
        try:
            result = subprocess.run(command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, timeout=LINUX_SECONDS,
                                    env=dict(e.split("=", 1) for e in ENVIRONMENT + ["KILN_TEST_LINUX=1"]))
        except subprocess.TimeoutExpired as late:
            raise suite.Failed("no end in time: " + (late.stdout or b"")[-500:].decode("utf-8", "replace"))
        judge(family, result.returncode, result.stdout.decode("utf-8", "replace"))


def in_linux_guest(family, kind, cases):
    """The same on Debian's kernel in the same QEMU: is it the test or the slow machine?"""
    init = os.path.join(OUT, "linux_init")
    archive, folders = image.Cpio(), set()

    def add(path, content, mode=0o644):
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in folders:
                folders.add(folder)
                archive.directory(folder)
        if isinstance(content, tuple):
            archive.symlink("/".join(parts), content[1])
        else:
            archive.file("/".join(parts), content, mode)

    program = "/test/" + family
    sources = {program: binary(family, kind), "/init": init}
    sources.update(image.needed_libraries(binary(family, kind)) if kind == "dynamic" else {})
    for path, source in sources.items():
        with open(source, "rb") as f:
            add(path, f.read(), 0o755)
    for name, content in fixture().items():
        add("work/" + name, content)
    add("init.args", "".join(w + "\n" for w in [program, *cases]).encode())
    add("init.env", "".join(w + "\n" for w in ENVIRONMENT).encode())
    for folder in ("proc", "sys", "tmp", "dev"):
        archive.directory(folder)
    archive.device("dev/console", 5, 1)
    run = qemu.run(debian.cloud_kernel(), machine="q35", memory="512M", timeout=GUEST_SECONDS,
                   append="console=ttyS0 quiet panic=-1 reboot=t", initrd=archive.bytes(), debug_exit=False)
    suite.expect(run.program_status is not None, f"ended with '{run.end}'\n{run.console[-2000:]}")
    judge(family, run.program_status, run.program_output())


def in_guest(family, kind, config, cases):
    if config == "linux":
        in_linux_guest(family, kind, cases)
        return
    kernel = qemu.kernel_path(config)
    suite.expect(os.path.exists(kernel), f"no kernel: {kernel}")
    program = "/test/" + family
    files = {program: binary(family, kind)}
    if kind == "dynamic":
        files.update(image.needed_libraries(binary(family, kind)))
        files[LIBGCC] = LIBGCC
    files.update({"/work/" + name: content for name, content in fixture().items()})
    launch = image.launch_record(program, [program, *cases], ENVIRONMENT, cwd="/work")
    run = qemu.run(kernel, machine="microvm", memory=MEMORY.get(family, "128M"), initrd=image.initrd(files, launch),
                   timeout=GUEST_SECONDS)
    if run.timed_out:
        raise suite.Failed("no end in time; last output:\n" + "\n".join(run.console.splitlines()[-12:]))
    if run.program_status is None:
        raise suite.Failed(f"machine ended with '{run.end}'\n" + "\n".join(run.console.splitlines()[-25:]) + run.errors)
    judge(family, run.program_status, run.program_output(), config if not cases else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--linux", action="store_true", help="only on Linux")
    parser.add_argument("--guest", action="store_true", help="only in the guest")
    parser.add_argument("--config", action="append", help="guest configurations (default: default, user); linux: Debian's kernel in the same QEMU")
    parser.add_argument("--kind", action="append", choices=KINDS, help="static, dynamic")
    parser.add_argument("families", nargs="*", metavar="FAMILY[:CASE]")
    options = parser.parse_args()

    chosen = {}
    for word in options.families or families():
        name, _, case = word.partition(":")
        if name not in families():
            parser.error(f"no family {name}: " + ", ".join(families()))
        chosen.setdefault(name, [])
        if case:
            chosen[name].append(case)
    if not shutil.which("mkfs.erofs"):
        debian.install(["erofs-utils"])
    build(chosen)
    if "linux" in (options.config or []):
        subprocess.run(["gcc", "-O1", "-Wall", "-static", "-o", os.path.join(OUT, "linux_init"),
                        os.path.join(qemu.TOP, "tests", "lib", "linux_init.c")], check=True)
    tests = suite.Suite("conformance")
    for name, cases in chosen.items():
        if not options.guest:
            for kind in options.kind or KINDS:
                tests.add(f"{name} {kind} linux", on_linux, name, kind, cases)
        if not options.linux:
            for config in options.config or ["default", "user"]:
                for kind in options.kind or (KINDS if config == "default" else ["static"]):
                    tests.add(f"{name} {kind} {config}", in_guest, name, kind, config, cases)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
