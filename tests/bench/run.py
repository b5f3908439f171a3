#!/usr/bin/python3
"""Counts guest instructions, memory and bytes, beside Linux's in the same QEMU.

Every count is taken twice and must be the same to the instruction (Linux and Kiln alike: QEMU's -icount and
fixed seeds make a run repeatable). The limits stand in BUDGETS.md; a number above its limit, a budget that
could not be measured, or a count that does not repeat ends in exit status 1. Results: build/bench.json.

usage: run.py [--only NAME]… [--linux | --kiln] [--profile BENCHMARK]
"""

import argparse
import concurrent.futures
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import budgets  # noqa: E402
import debian  # noqa: E402
import elf  # noqa: E402
import image  # noqa: E402
import qemu  # noqa: E402

OUT = os.path.join(qemu.BUILD, "bench")
PLUGIN = os.path.join(OUT, "kiln_count.so")
BENCH_DATA = b"k" * (64 * image.PAGE)
MARK_ENTRY, MARK_MAIN = 200, 1
# benchmark: (first marker, rounds); the second marker is the first plus one
MICRO = {
    "null_syscall": (4, 1000),
    "anonymous_fault": (6, 256),
    "file_fault": (26, 64),
    "yield_switch": (8, 400),
    "futex_round_trip": (10, 200),
    "thread_create_join": (12, 50),
    "pipe_write_read": (14, 200),
    "clock_gettime": (16, 1000),
    "mmap_munmap": (18, 200),
    "open_close": (20, 200),
    "pread_4k": (22, 200),
    "stat": (24, 200),
    "signal": (28, 200),
}
PYTHON_PACKAGES = ["python3-minimal", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib",
                   "python3.11", "python3", "libpython3-stdlib"]
PYTHON = ["/usr/bin/python3", "-c", "print(1)"]
PYTHON_ENV = ["PATH=/usr/bin", "PYTHONHASHSEED=0", "LC_ALL=C.UTF-8"]


class BenchError(Exception):
    pass


def build_programs():
    os.makedirs(OUT, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", PLUGIN,
                    os.path.join(HERE, "plugin", "kiln_count.c")], check=True)
    for source in glob.glob(os.path.join(HERE, "src", "*.c")):
        program = os.path.join(OUT, os.path.basename(source)[:-2])
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static-pie", "-fPIE", "-o", program,
                        source], check=True)
        subprocess.run(["strip", program], check=True)


class Records:
    """What the plugin wrote in one run."""

    def __init__(self, path):
        self.markers = []  # (number, total instructions so far)
        self.low = None  # instructions in the lower half of the address space: the application's
        self.pages = []
        self.blocks = []
        self.total = None
        with open(path) as f:
            for line in f:
                words = line.split()
                if words[0] == "marker":
                    self.markers.append((int(words[1]), int(words[2]) + int(words[3])))
                elif words[0] == "page":
                    self.pages.append(int(words[1], 16))
                elif words[0] == "block":
                    self.blocks.append((int(words[1], 16), int(words[2])))
                elif words[0] == "end":
                    self.low = int(words[2])
                    self.total = int(words[2]) + int(words[3])
        if self.total is None:
            raise BenchError("the plugin wrote no end line")

    def at(self, number):
        for marker, count in self.markers:
            if marker == number:
                return count
        raise BenchError(f"marker {number} was not reached")

    def between(self, first, second):
        return self.at(second) - self.at(first)


def counted(run_it, options):
    """Runs run_it(extra QEMU arguments) with the plugin. Returns (its result, Records)."""
    with tempfile.NamedTemporaryFile(prefix="kiln-bench-") as record:
        plugin = ",".join([PLUGIN, "out=" + record.name, *options])
        result = run_it(["-plugin", plugin, *qemu.REPEATABLE])
        try:
            return result, Records(record.name)
        except BenchError as error:
            raise BenchError(f"{error}; console: {result.console[-800:]!r} {result.errors[-400:]!r}") from error


class Linux:
    """The baseline: Debian's cloud kernel, the benchmark as /init, in the same QEMU."""

    name = "linux"

    def __init__(self):
        self.kernel = debian.cloud_kernel()

    def run(self, program, options=()):
        archive = image.Cpio().directory("dev").device("dev/console", 5, 1).file("bench.dat", BENCH_DATA)
        with open(os.path.join(OUT, program), "rb") as f:
            archive.file("init", f.read(), 0o755)
        # The end of init is a panic, which restarts the machine, which ends QEMU.
        return counted(lambda extra: qemu.run(
            self.kernel, machine="microvm-full", memory="256M", append="console=ttyS0 quiet panic=-1",
            initrd=archive.bytes(), timeout=300, extra=extra, debugcon=False, debug_exit=False),
            [f"at=100000:{MARK_ENTRY}", *options])


class Kiln:
    """A kernel configuration, booted with an initrd made here."""

    def __init__(self, config):
        self.name = config
        self.kernel = qemu.kernel_path(config)
        if not os.path.exists(self.kernel):
            raise BenchError(f"no kernel of configuration {config}: {self.kernel}")

    def entry_option(self):
        address = elf.pvh_entry(self.kernel)
        if address is None:
            raise BenchError(f"{self.kernel} has no PVH note")
        return f"at={address:x}:{MARK_ENTRY}"

    def boot(self, files, argv, env=(), options=(), memory="64M", timeout=300, expect_status=0, flags=0):
        initrd = image.initrd(files, image.launch_record(argv[0], argv, env, flags=flags))
        result, records = counted(lambda extra: qemu.run(
            self.kernel, memory=memory, initrd=initrd, timeout=timeout, extra=extra),
            [self.entry_option(), *options])
        if result.program_status != expect_status:
            raise BenchError(f"{argv[0]}: ended with {result.end!r}: {result.console[-600:]!r}")
        return result, records

    def run(self, program, options=()):
        files = {"/" + program: os.path.join(OUT, program), "/bench.dat": BENCH_DATA}
        # on a terminal, as Linux's /init is
        return self.boot(files, ["/" + program], options=options, flags=image.STDIN_TERMINAL | image.STDOUT_TERMINAL)

    def run_piped(self, program):
        return self.boot({"/" + program: os.path.join(OUT, program)}, ["/" + program])


def twice(run_it, values_of):
    """Two runs in parallel, which must give the same values."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: values_of(*run_it()), range(2))
    if first != second:
        raise BenchError(f"does not repeat: {first} and {second}")
    return first


def hello_values(_, records):
    return {"entry_to_main": records.between(MARK_ENTRY, MARK_MAIN), "reset_to_main": records.at(MARK_MAIN),
            "reset_to_end": records.total}


def write6_values(_, records):
    return {"write6": round(records.between(2, 3) / 100, 1)}


def micro_values(result, records):
    match = re.search(r"micro ok ticks=(\d+)", result.console)
    if not match:
        raise BenchError(f"micro did not end well: {result.console[-400:]!r}")
    values = {name: round(records.between(mark, mark + 1) / rounds, 1) for name, (mark, rounds) in MICRO.items()}
    plugin, ticks = records.between(4, 5), int(match.group(1))
    if abs(plugin - ticks) > 0.001 * plugin + 20:
        raise BenchError(f"the plugin counts {plugin} instructions, the icount clock {ticks}")
    return values


def measure_common(system, results):
    for program, values_of in (("hello", hello_values), ("write6", write6_values), ("micro", micro_values)):
        try:
            for name, value in twice(lambda p=program: system.run(p), values_of).items():
                results[f"{system.name}.{name}"] = value
        except BenchError as error:
            print(f"bench: {system.name}: {program}: {error}", file=sys.stderr)


def write6_piped_values(result, records):
    return {"write6_pipe": write6_values(result, records)["write6"]}


def measure_write6_piped(kiln, results):
    """The same without a terminal's line discipline, as the tool gives it when its own output is no terminal."""
    for name, value in twice(lambda: kiln.run_piped("write6"), write6_piped_values).items():
        results[f"{kiln.name}.{name}"] = value


def linux_python():
    """User instructions of the same command on Linux: the same plugin in QEMU's user-mode emulator. Modules that
    were added to this machine are hidden: the guest's root has none."""
    emulator = os.path.join(debian.unpack("qemu-user"), "usr", "bin", "qemu-x86_64")
    with tempfile.NamedTemporaryFile(prefix="kiln-bench-") as record:
        hide = "for d in /usr/lib/python3/dist-packages /usr/local/lib/python3.11/dist-packages; do " \
               "[ ! -d $d ] || mount -t tmpfs none $d; done; exec \"$@\""
        out = subprocess.run(
            ["unshare", *([] if os.getuid() == 0 else ["-r"]), "-m", "sh", "-c", hide, "sh", "setarch", "-R", emulator, "-cpu", "max", "-seed", "1", "-plugin",
             f"{PLUGIN},out={record.name}", *PYTHON],
            check=True, capture_output=True, text=True, cwd="/", env=dict(e.split("=", 1) for e in PYTHON_ENV))
        if out.stdout != "1\n":
            raise BenchError(f"python3 printed {out.stdout!r}")
        return Records(record.name).total


def python_files():
    files = debian.files(PYTHON_PACKAGES)
    for path in list(files):
        if isinstance(files[path], str) and (".so" in path or path.startswith("/usr/bin/")):
            files.update(image.needed_libraries(files[path]))
    return files


def measure_python(kiln, results):
    files = python_files()

    def run_it():
        return kiln.boot(files, PYTHON, PYTHON_ENV, memory="256M", timeout=600)

    values = twice(run_it, lambda result, records: (result.program_output(), records.total - records.at(MARK_ENTRY),
                                                    records.low))
    if values[0] != "1\n":
        raise BenchError(f"python3 printed {values[0]!r}")
    results["python.kiln_instructions"] = values[1]
    results["python.kiln_user_instructions"] = values[2]
    results["python.ratio"] = round(values[1] / results["linux.python_user_instructions"], 3)


def smallest_memory(works, low_kib, high_kib, step_kib=64):
    """The smallest memory, in KiB, with which works(kib) holds; every size is a multiple of step_kib."""
    if not works(high_kib):
        raise BenchError(f"does not work with {high_kib} KiB either")
    low, high = low_kib // step_kib, high_kib // step_kib
    while high - low > 1:
        middle = (low + high) // 2
        if works(middle * step_kib):
            high = middle
        else:
            low = middle
    return high * step_kib


def measure_hello_memory(kiln, results):
    initrd = image.initrd({"/hello": os.path.join(OUT, "hello")}, image.launch_record("/hello", ["/hello"]))

    def works(kib):
        run = qemu.run(kiln.kernel, memory=f"{kib}k", initrd=initrd, timeout=8)
        return run.program_status == 0 and run.program_output() == "hello\n"

    results["default.smallest_memory"] = 1024 * smallest_memory(works, 1024, 32768)


def tiny_image():
    """(image that boots, image with symbols) of apps/hello in configuration tiny."""
    path = os.path.join(qemu.BUILD, "kernel", "tiny", "hello.elf")
    if os.path.exists(path):
        return path, path + ".dbg"
    raise BenchError("no image of apps/hello in configuration tiny")


def measure_tiny(results):
    path, debug = tiny_image()
    results["tiny.image_bytes"] = elf.stripped_size(path)
    symbols = elf.symbols(debug)
    main = next((symbols[s] for s in ("kiln_application_main", "main") if s in symbols), None)
    if main is None:
        raise BenchError(f"{debug} has no kiln_application_main")
    options = [f"at={elf.pvh_entry(path):x}:{MARK_ENTRY}", f"at={main:x}:{MARK_MAIN}", f"pages={MARK_ENTRY}"]
    loaded = {page for kind, _, _, _, paddr, filesz, _ in elf.segments(path) if kind == 1
              for page in range(paddr & -image.PAGE, paddr + filesz, image.PAGE)}

    def values_of(result, records):
        if result.program_status != 0:
            raise BenchError(f"tiny: ended with {result.end!r}: {result.console[-400:]!r}")
        return {"entry_to_main": records.between(MARK_ENTRY, MARK_MAIN),
                # what the loader brought in counts as touched, whether executed or not
                "touched_bytes": image.PAGE * len(loaded | set(records.pages))}

    run_it = lambda: counted(lambda extra: qemu.run(path, memory="2M", extra=extra), options)  # noqa: E731
    for name, value in twice(run_it, values_of).items():
        results["tiny." + name] = value
    expected = qemu.run(path, memory="16M").program_output()

    def works(kib):
        run = qemu.run(path, memory=f"{kib}k", timeout=8)
        return run.program_status == 0 and run.program_output() == expected

    results["tiny.smallest_memory"] = 1024 * smallest_memory(works, 1024, 16384)


def guarded(what, function, *arguments):
    try:
        function(*arguments)
    except BenchError as error:
        print(f"bench: {what}: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"bench: {what}: {error} {(error.stderr or b'')!r}", file=sys.stderr)


def measure_linux(results):
    measure_common(Linux(), results)
    first, second = linux_python(), linux_python()
    if first != second:
        raise BenchError(f"python3 on Linux does not repeat: {first} and {second}")
    results["linux.python_user_instructions"] = first


def measure_kiln(results):
    for config in ("default", "user"):
        def one(config=config):
            kiln = Kiln(config)
            results[config + ".kernel_bytes"] = elf.stripped_size(kiln.kernel)
            measure_common(kiln, results)
            measure_write6_piped(kiln, results)
        guarded(config, one)
    guarded("hello memory", lambda: measure_hello_memory(Kiln("default"), results))
    guarded("tiny", measure_tiny, results)
    if "linux.python_user_instructions" in results:
        guarded("python", lambda: measure_python(Kiln("default"), results))


def show(value):
    if value is None:
        return "-"
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value:,}"


def print_table(results, limits):
    rows = []
    names = ["entry_to_main", "reset_to_main", "reset_to_end", "write6", "write6_pipe", *MICRO]
    for name in names:
        rows.append((name, results.get(f"default.{name}"), results.get(f"user.{name}"),
                     results.get(f"linux.{name}"), limits.get(f"default.{name}"), limits.get(f"user.{name}")))
    print(f"{'guest instructions':<24}{'default':>14}{'user':>14}{'linux':>18}{'budget':>14}{'(user)':>14}")
    for name, *values in rows:
        print(f"{name:<24}" + "".join(f"{show(v):>{w}}" for v, w in zip(values, (14, 14, 18, 14, 14))))
    print()
    print(f"{'other numbers':<38}{'value':>14}{'budget':>14}")
    shown = {f"{c}.{n}" for c in ("default", "user", "linux") for n in names}
    for name in sorted(set(results) | set(limits)):
        if name not in shown:
            print(f"{name:<38}{show(results.get(name)):>14}{show(limits.get(name)):>14}")


def judge(results, limits):
    """Names of the budgets that do not hold, with the reason."""
    problems = []
    for name, limit in limits.items():
        if name not in results:
            problems.append(f"{name}: not measured")
        elif limit is not None and results[name] > limit:
            problems.append(f"{name}: {show(results[name])} is above {show(limit)}")
    return problems


def symbolise(blocks, kernel):
    """Sums blocks by function. Returns [(instructions, name)], most first."""
    debug = kernel + ".dbg" if os.path.exists(kernel + ".dbg") else kernel
    table = sorted((address, name) for name, address in elf.symbols(debug).items())
    names = subprocess.run(["c++filt"], input="\n".join(n for _, n in table), capture_output=True, text=True,
                           check=True).stdout.splitlines()
    sums, index = {}, 0
    for address, count in sorted(blocks):
        while index + 1 < len(table) and table[index + 1][0] <= address:
            index += 1
        name = names[index] if address >= 1 << 63 and table[index][0] <= address else "(application)"
        sums[name] = sums.get(name, 0) + count
    return sorted(((count, name) for name, count in sums.items()), reverse=True)


def profile(benchmark, config):
    """Prints where the instructions of one benchmark go, by kernel function."""
    program, first, second = {"boot": ("hello", MARK_ENTRY, MARK_MAIN), "write6": ("write6", 2, 3)}.get(
        benchmark, ("micro", MICRO.get(benchmark, (0, 0))[0], MICRO.get(benchmark, (0, 0))[0] + 1))
    kiln = Kiln(config)
    _, records = kiln.run(program, [f"profile={first}:{second}"])
    total = records.between(first, second)
    print(f"{benchmark}, configuration {config}: {total:,} instructions")
    for count, name in symbolise(records.blocks, kiln.kernel)[:40]:
        print(f"{count:>12,} {100 * count / total:5.1f} %  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--linux", action="store_true", help="only the Linux side")
    parser.add_argument("--kiln", action="store_true", help="only Kiln; Linux's numbers from the last run")
    parser.add_argument("--profile", metavar="BENCHMARK", help="where the instructions of BENCHMARK go: boot, "
                        "write6, " + ", ".join(MICRO))
    parser.add_argument("--config", default="default", help="configuration for --profile")
    options = parser.parse_args()

    if not shutil.which("mkfs.erofs"):
        debian.install(["erofs-utils"])
    build_programs()
    if options.profile:
        profile(options.profile, options.config)
        return 0

    path = os.path.join(qemu.BUILD, "bench.json")
    results = {}
    if options.kiln and os.path.exists(path):
        with open(path) as f:
            results = {k: v for k, v in json.load(f)["results"].items() if k.startswith("linux.")}
    else:
        guarded("linux", measure_linux, results)
    if not options.linux:
        measure_kiln(results)

    limits = budgets.load()
    print_table(results, limits)
    problems = [] if options.linux else judge(results, limits)
    with open(path, "w") as f:
        json.dump({"results": results, "budgets": limits, "exceeded": problems}, f, indent=2, sort_keys=True)
        f.write("\n")
    for problem in problems:
        print("over budget: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        sys.exit(1)
