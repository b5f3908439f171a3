#!/usr/bin/python3
"""Runs unmodified programs in the guest through `kiln run` and compares with Linux.

usage: run_programs.py quick|long|all [--raw] [--list] [NAME…]

A definition is a file NAME.program of `key = value` lines:
    kind        quick (part of `make test`) or long
    packages    Debian packages that must be installed
    tools       COMMAND=PACKAGE …: the package is installed only when the command is missing
    build       a command that makes $OUT from $SRC (this folder's src/); $TMP is for its caches
    files       GUEST-PATH=GENERATOR.py:ARGUMENT[|FILTER] or GUEST-PATH=@FILE (of src/): files the program finds
    command     the program and its arguments, quoted as in a shell
    options     options for `kiln run`
    expect      linux: the same standard output and status as the same command here
    output      the exact output, with \\n; regex: a pattern found in the output
    decode      a host command which decodes the output; decodes-to: GENERATOR.py:ARGUMENT it must then equal
    status      the exit status (default 0); standard error arrives with the output, as on a terminal
    seconds     limit (default 60)
--raw boots the kernel directly with an image made by tests/lib, for when the tool is not there.
"""

import glob
import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import debian  # noqa: E402
import image  # noqa: E402
import qemu  # noqa: E402
import suite  # noqa: E402

SOURCES = os.path.join(HERE, "src")
OUT = os.path.join(qemu.BUILD, "programs")
KILN = os.path.join(qemu.BUILD, "bin", "kiln")
KEYS = {"kind", "packages", "tools", "build", "files", "command", "options", "expect", "output", "regex", "decode",
        "decodes-to", "status", "seconds"}


def load(path):
    definition = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if not line.strip() or line.startswith("#"):
                continue
            key, separator, value = line.partition("=")
            key = key.strip()
            if not separator or key not in KEYS or key in definition:
                raise SystemExit(f"{path}:{number}: not `key = value` with a known new key: {line.strip()}")
            definition[key] = value.strip()
    if definition.get("kind") not in ("quick", "long") or "command" not in definition:
        raise SystemExit(f"{path}: kind and command are needed")
    if not {"expect", "output", "regex", "decode", "status"} & set(definition):
        raise SystemExit(f"{path}: nothing is expected of it")
    return definition


def generated(source):
    """The path of a generated or checked-in input file."""
    if source.startswith("@"):
        return os.path.join(SOURCES, source[1:])
    path = os.path.join(OUT, "files", hashlib.sha256(source.encode()).hexdigest()[:16])
    if not os.path.exists(path):
        generator, _, filter_command = source.partition("|")
        script, _, argument = generator.partition(":")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = f"{path}.{os.getpid()}.{id(source)}"
        subprocess.run([sys.executable, os.path.join(SOURCES, script), part, *argument.split()], check=True)
        if filter_command:
            with open(part, "rb") as data, open(part + ".filtered", "wb") as filtered:
                subprocess.run(shlex.split(filter_command), stdin=data, stdout=filtered, check=True)
            os.replace(part + ".filtered", part)
        os.replace(part, path)
    return path


def prepare(name, definition):
    """Installs, builds, generates. Returns (argv, {guest path: host path})."""
    output = os.path.join(OUT, name)
    words = definition.get("build")
    if words:
        sources = [w for w in glob.glob(os.path.join(SOURCES, "*")) if os.path.basename(w) in words]
        newest = max(os.path.getmtime(f) for f in [*sources, os.path.join(HERE, name + ".program")])
        if not os.path.exists(output) or os.path.getmtime(output) < newest:
            values = {"$OUT": output, "$SRC": SOURCES, "$TMP": OUT}
            command = [expand(word, values) for word in shlex.split(words)]
            subprocess.run(command, check=True, capture_output=True)
    argv = [expand(word, {"$OUT": output}) for word in shlex.split(definition["command"])]
    files = {}
    entries = definition.get("files", "")
    # a filter is a command of several words: such an entry stands alone
    for entry in [entries] if "|" in entries else entries.split():
        guest, _, source = entry.partition("=")
        files[guest] = generated(source)
    return argv, files


def expand(word, values):
    for key, value in values.items():
        word = word.replace(key, value)
    return word


def on_linux(argv, files, seconds):
    """(standard output, status) here; the files' guest paths stand for their host paths."""
    def host(word):
        for guest, path in files.items():
            word = word.replace(guest, path)
        return word

    with tempfile.TemporaryDirectory(prefix="kiln-program-") as scratch:
        # The guest's /tmp is a folder of this run's; paths of this checkout stay, wherever it lies.
        own = "\0"
        argv = [host(word).replace(qemu.BUILD, own).replace("/tmp/", scratch + "/").replace(own, qemu.BUILD) for word in argv]
        result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, cwd=scratch)
    output = result.stdout
    for guest, path in files.items():
        output = output.replace(path.encode(), guest.encode())
    return output, result.returncode


def by_tool(argv, files, options, seconds):
    suite.expect(os.path.exists(KILN), f"no tool: {KILN}")
    command = [KILN, "run", *shlex.split(options)]
    for guest, path in files.items():
        command += ["-v", f"{path}:{guest}:ro"]
    try:
        result = subprocess.run([*command, *argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired as late:
        raise suite.Failed(f"no end in {seconds} s; output: {(late.stdout or b'')[-800:]!r}")
    return result.stdout, result.returncode, result.stderr


def by_hand(argv, files, options, seconds, packages=()):
    contents = debian.closure_of_program(argv[0], packages) if "--bare" not in options else {}
    contents.update(image.needed_libraries(argv[0]))
    contents[argv[0]] = os.path.realpath(argv[0])
    contents.update(files)
    memory = re.search(r"-m (\S+)", options)
    launch = image.launch_record(argv[0], argv, ["PATH=/usr/bin:/bin", "HOME=/root", "TERM=linux"])
    run = qemu.run(qemu.kernel_path("default"), memory=memory.group(1) if memory else "512M",
                   initrd=image.initrd(contents, launch), timeout=seconds)
    suite.expect(not run.timed_out, f"no end in {seconds} s: {run.console[-800:]}")
    suite.expect(run.program_status is not None, f"ended with '{run.end}': {run.console[-1500:]} {run.errors}")
    return run.program_output().encode("utf-8", "replace"), run.program_status, b""


def check(name, definition, raw):
    argv, files = prepare(name, definition)
    seconds = int(definition.get("seconds", "60"))
    options = definition.get("options", "")
    if raw:
        output, status, errors = by_hand(argv, files, options, seconds, definition.get("packages", "").split())
    else:
        output, status, errors = by_tool(argv, files, options, seconds)
    lines = b"\n" in output and output.count(b"\n") == output.count(b"\r\n")
    if lines:  # a terminal's line ends
        output = output.replace(b"\r\n", b"\n")
    seen = f"\nstatus {status}, output {output[-1500:]!r}, errors {errors[-1500:]!r}"
    suite.expect(status == int(definition.get("status", "0")),
                 f"status {status}, expected {definition.get('status', '0')}{seen}")
    if definition.get("expect") == "linux":
        wanted, wanted_status = on_linux(argv, files, seconds)
        suite.expect(wanted_status == status, f"status {status}, on Linux {wanted_status}{seen}")
        suite.expect(output == wanted, f"output differs from Linux's {wanted[-1500:]!r}{seen}")
    if "output" in definition:
        wanted = definition["output"].encode().decode("unicode_escape").encode()
        suite.expect(output == wanted, f"output is not {wanted!r}{seen}")
    if "regex" in definition:
        found = re.search(definition["regex"], output.decode("utf-8", "replace") + errors.decode("utf-8", "replace"))
        suite.expect(found, f"no match of {definition['regex']}{seen}")
    if "decode" in definition:
        decoded = subprocess.run(shlex.split(definition["decode"]), input=output, capture_output=True)
        with open(generated(definition["decodes-to"]), "rb") as original:
            suite.expect(decoded.returncode == 0 and decoded.stdout == original.read(),
                         f"{len(output)} bytes do not decode to the input: {decoded.stderr!r}")


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    flags = set(sys.argv[1:]) - set(arguments)
    if not arguments or arguments[0] not in ("quick", "long", "all") or flags - {"--raw", "--list"}:
        print(__doc__, file=sys.stderr)
        return 2
    kind, names = arguments[0], arguments[1:]
    definitions = {os.path.basename(p)[:-len(".program")]: load(p) for p in sorted(glob.glob(os.path.join(HERE, "*.program")))}
    for name in names:
        if name not in definitions:
            raise SystemExit(f"no program {name}: " + ", ".join(definitions))
    chosen = {n: d for n, d in definitions.items() if (n in names if names else kind in ("all", d["kind"]))}
    if "--list" in flags:
        for name, definition in chosen.items():
            print(f"{definition['kind']:<6}{name:<22}{definition['command'][:90]}")
        return 0
    packages = {p for d in chosen.values() for p in d.get("packages", "").split()} | {"erofs-utils"}
    for entry in " ".join(d.get("tools", "") for d in chosen.values()).split():
        tool, _, package = entry.partition("=")
        if subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True).returncode != 0:
            packages.add(package)
    debian.install(sorted(packages))
    os.makedirs(OUT, exist_ok=True)
    tests = suite.Suite("programs")
    for name, definition in chosen.items():
        tests.add(name, check, name, definition, "--raw" in flags)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
