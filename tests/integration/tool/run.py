#!/usr/bin/python3
"""The tool `kiln` against a stand-in for QEMU: statuses, signals, stdin and stdout, clean-up, --dry-run, bad input.
usage: run.py [PATTERN…]"""
import json
import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from suite import Suite, expect  # noqa: E402

KILN = os.path.join(TOP, "build/bin/kiln")
SCRATCH = tempfile.mkdtemp(prefix="kiln-tool-test-")


def path(*parts):
    return os.path.join(SCRATCH, *parts)


def write(name, data, mode=0o755):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "wb") as f:
        f.write(data)
    os.chmod(path(name), mode)
    return path(name)


def environment(fake="end exit=0", **more):
    result = dict(os.environ, KILN_QEMU=os.path.join(HERE, "fake_qemu.py"), FAKE_QEMU=fake,
                  KILN_KERNEL_DIR=path("kernels"), XDG_CACHE_HOME=path("cache"), XDG_STATE_HOME=path("state"))
    result.update(more)
    return result


def kiln(*words, fake="end exit=0", stdin=b"", timeout=60, **more):
    done = subprocess.run([KILN, *words], input=stdin, capture_output=True, timeout=timeout,
                          env=environment(fake, **more), check=False)
    done.errors = done.stderr.decode()
    return done


def run(*words, **keywords):
    return kiln("run", *words, **keywords)


def expect_status(done, status, *texts):
    expect(done.returncode == status, f"status {done.returncode}, not {status}; stderr: {done.errors}")
    for text in texts:
        expect(text in done.errors, f"no {text!r} in {done.errors!r}")


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    expect(False, f"{what} did not happen in {seconds} s")


def read(name):
    try:
        with open(name, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}") or read(f"/proc/{pid}/stat").split(")")[-1].split()[0] == "Z"


def start(name, fake, *words, **popen):
    """A run in the background; gives the process and the pid of its stand-in."""
    record = path(f"record-{name}")
    process = subprocess.Popen([KILN, "run", *words, HELLO], env=environment(f"record {record}; {fake}"), **popen)
    pid = int(wait_for(lambda: read(record), "QEMU's start").splitlines()[0])
    return process, pid


# ---- statuses

def check_status(fake, status, text=""):
    done = run(HELLO, fake=fake)
    expect_status(done, status, text)
    expect(bool(done.stderr) == bool(text), f"stderr: {done.errors!r}")
    expect(done.errors.count("\n") <= 1 or "last words" in done.errors, f"more than a line: {done.errors!r}")


def check_bad_target(words, status, text):
    done = run(*words, fake="end exit=0")
    expect_status(done, status, text)
    expect(done.errors.startswith("kiln: ") and done.errors.count("\n") == 1, f"not one line: {done.errors!r}")


# ---- console

def check_output():
    done = run(HELLO, fake="say hello; flood 3000000; end exit=0")
    expect(done.stdout == b"hello\n" + b"x" * 3000000, f"{len(done.stdout)} bytes of output")


def check_input():
    data = bytes(range(256)) * 2000 + b"\x10\x04\x10"
    done = run(HELLO, fake="echo; end exit=0", stdin=data)
    expect_status(done, 0)
    expect(done.stdout == data, f"{len(done.stdout)} bytes came back of {len(data)}")


def check_no_input():
    done = subprocess.run(["sh", "-c", shlex.join([KILN, "run", HELLO]) + " <&-"], env=environment("echo; end exit=5"),
                          capture_output=True, timeout=30, check=False)
    expect(done.returncode == 5, f"status {done.returncode} with a closed stdin")


def check_broken_pipe():
    done = subprocess.run(["bash", "-c", shlex.join([KILN, "run", HELLO]) + " | head -c 5; echo ${PIPESTATUS[0]}"],
                          env=environment("flood 3000000; sleep"), capture_output=True, timeout=30, check=False)
    expect(done.stdout == b"xxxxx141\n", f"{done.stdout!r}")


def check_slow_reader():
    process = subprocess.Popen([KILN, "run", HELLO], env=environment("flood 500000; end exit=0"), stdout=subprocess.PIPE)
    time.sleep(1)
    output = process.stdout.read()
    expect(len(output) == 500000, f"{len(output)} bytes")
    expect(process.wait(timeout=20) == 0, "status")


def check_terminal():
    """On a terminal: raw mode while it runs, the launch record says so, Ctrl-C ends it, the mode comes back."""
    import termios
    record = path("record-terminal")
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(KILN, [KILN, "run", HELLO], environment(f"record {record}; say ready; sleep", TERM="vt100"))
    output = b""
    deadline = time.monotonic() + 20
    while b"ready" not in output and time.monotonic() < deadline:
        if select.select([fd], [], [], 0.5)[0]:
            output += os.read(fd, 4096)
    expect(b"ready\n" in output, f"output {output!r}")
    mode = termios.tcgetattr(fd)
    expect(not mode[3] & (termios.ICANON | termios.ECHO), "not in raw mode")
    expect(not mode[1] & termios.OPOST, "output is changed on the way")
    os.write(fd, b"\x03")
    _, status = os.waitpid(pid, 0)
    expect(os.waitstatus_to_exitcode(status) == 130, f"status {os.waitstatus_to_exitcode(status)}")
    mode = termios.tcgetattr(fd)
    expect(mode[3] & termios.ICANON and mode[3] & termios.ECHO, "the terminal was left raw")
    os.close(fd)
    qemu = int(read(record).splitlines()[0])
    expect(is_gone(qemu), "QEMU is still there")


# ---- ends

def check_signal(number, status):
    process, pid = start(f"signal{number}", "say on; sleep", stdout=subprocess.PIPE)
    process.stdout.read(3)
    process.send_signal(number)
    expect(process.wait(timeout=10) == status, f"status {process.returncode}")
    expect(is_gone(pid), "QEMU is still there")


def check_second_signal():
    process, pid = start("second", "stubborn")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    expect(process.poll() is None, "ended though QEMU did not")
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    expect(process.wait(timeout=10) == 130, f"status {process.returncode}")
    expect(time.monotonic() - begin < 2, "the second signal did not kill at once")
    expect(is_gone(pid), "QEMU is still there")


def check_stubborn():
    process, pid = start("stubborn", "stubborn")
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    expect(process.wait(timeout=10) == 143, f"status {process.returncode}")
    expect(is_gone(pid), "QEMU is still there")


def check_killed():
    """QEMU dies with a tool that is killed, and no file is left."""
    before = sorted(os.listdir(path("cache/kiln")))
    process, pid = start("killed", "sleep")
    process.kill()
    process.wait()
    wait_for(lambda: is_gone(pid), "QEMU's end")
    expect(sorted(os.listdir(path("cache/kiln"))) == before, "something was left in the cache")


def check_timeout():
    begin = time.monotonic()
    expect_status(run("--timeout", "0.5", HELLO, fake="sleep"), 124, "0.5 s")
    expect(time.monotonic() - begin < 5, "late")


def check_ctrl_c_then_end():
    """A program that ends in the moment of the signal keeps its own status."""
    process, _ = start("race", "end exit=9; sleep")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    expect(process.wait(timeout=10) == 9, f"status {process.returncode}")


def check_nothing_left():
    before = {d: sorted(os.listdir(d)) for d in (path("cache/kiln"), tempfile.gettempdir())}
    for fake in ("end exit=1", "crash", "end panic=x"):
        run(HELLO, fake=fake)
    after = {d: sorted(os.listdir(d)) for d in before}
    for folder, names in before.items():
        new = [n for n in after[folder] if n not in names and n.startswith(("kiln", "scratch"))]
        new = [n for n in new if not n.startswith("kiln-test-")]
        expect(not new, f"left in {folder}: {new}")


# ---- what goes to the machine

def arguments_of(name, *words, **more):
    record = path(f"record-{name}")
    expect_status(run(*words, fake=f"record {record}; end exit=0", **more), 0)
    return read(record).splitlines()[1:]


def check_command():
    command = " ".join(arguments_of("command", "-m", "100M", "--cpus", "2", "--kernel-arg", "loglevel=info",
                                    "--machine", "q35", "--plat", "qemu", "--name", "box", HELLO))
    for part in ("-m 100M", "-smp 2", "-append loglevel=info", "-M q35", "-accel tcg", "-name box"):
        expect(part in command, f"no {part!r} in {command}")


def initrd_of(*words):
    done = run("--dry-run", *words)
    expect_status(done, 0)
    command = shlex.split(done.stdout.decode())
    with open(command[command.index("-initrd") + 1], "rb") as f:
        return f.read(), command


def launch_of(initrd):
    record = initrd[initrd.rindex(b"KILNLNCH"):]
    total, argc, envc = (int.from_bytes(record[n:n + 4], "little") for n in (12, 16, 20))
    strings = record[40:total].decode().split("\0")[:-1]
    return strings[:3], strings[3:3 + argc], strings[3 + argc:3 + argc + envc]


def check_dry_run():
    initrd, command = initrd_of(HELLO, "--rm", "-m", "a b", "it's")
    expect(command[0].endswith("fake_qemu.py"), f"{command[0]}")
    expect("stdio" in " ".join(command) and "fd=" not in " ".join(command), "not runnable by hand")
    places, arguments, variables = launch_of(initrd)
    expect(places == [HELLO, "/", "kiln"], f"{places}")
    expect(arguments == [HELLO, "--rm", "-m", "a b", "it's"], f"{arguments}")
    expect("HOME=/root" in variables and "HOSTNAME=kiln" in variables, f"{variables}")
    expect(int.from_bytes(initrd[1024:1028], "little") == 0xE0F5E1E2, "does not start with EROFS")


def check_environment():
    write("env", b"# comment\nFROM_FILE=1\nHERE\n\n  B=x\n", 0o644)
    done = subprocess.run([KILN, "run", "--dry-run", "--env-file", path("env"), "-e", "B=2 3", "-e", "HERE", "-e", "GONE",
                           "-w", "/work", "-u", "5:6", "--name", "box", HELLO],
                          env=environment(HERE="yes"), capture_output=True, check=True)
    command = shlex.split(done.stdout.decode())
    with open(command[command.index("-initrd") + 1], "rb") as f:
        initrd = f.read()
    places, _, variables = launch_of(initrd)
    expect(places == [HELLO, "/work", "box"], f"{places}")
    expect(variables[-3:] == ["FROM_FILE=1", "HERE=yes", "B=2 3"], f"{variables}")
    expect("HOME=/" in variables, f"{variables}")


def check_volume():
    write("volume/sub/file", b"contents of the volume", 0o644)
    initrd, _ = initrd_of("-v", path("volume") + ":/data:ro", HELLO)
    for part in (b"070701", b"data/sub/file\0", b"contents of the volume", b"TRAILER!!!"):
        expect(part in initrd, f"no {part} in the initrd")
    with tempfile.NamedTemporaryFile() as f:
        f.write(initrd[initrd.index(b"070701"):])
        f.flush()
        listing = subprocess.run(["cpio", "-itv", "--quiet"], stdin=open(f.name, "rb"), capture_output=True, check=False)
        expect(b"-r--r--r--" in listing.stdout, f"{listing.stdout}")


def check_cached():
    write("cached/prog", read_bytes(HELLO))
    first = run("--verbose", path("cached/prog"))
    expect(", cached" not in first.errors, first.errors)
    second = run("--verbose", path("cached/prog"))
    expect(", cached" in second.errors, second.errors)


def check_parallel():
    """Several runs that make the same image at once."""
    write("parallel/prog", read_bytes(HELLO))
    runs = [subprocess.Popen([KILN, "run", path("parallel/prog")], env=environment("end exit=4"), stdin=subprocess.DEVNULL)
            for _ in range(5)]
    expect([r.wait(timeout=60) for r in runs] == [4] * 5, "statuses")
    left = [n for n in os.listdir(path("cache/kiln")) if n.startswith("scratch")]
    expect(not left, f"{left}")


def check_package():
    """A program of a Debian package brings it and what it depends on, without documentation."""
    done = run("--verbose", "/usr/bin/lua5.4" if os.path.exists("/usr/bin/lua5.4") else "/usr/bin/file")
    image = done.errors.split("image ")[1].split(" ")[0]
    listing = image_files(image)
    expect(any(n.endswith("/libc.so.6") for n in listing), "no libc")
    expect("/etc/passwd" in listing and "/etc/ld.so.cache" in listing, "no /etc")
    expect("/lib" in listing, "no /lib link")
    expect(not [n for n in listing if n.startswith(("/usr/share/doc/", "/usr/share/man/"))], "documentation in the image")


def image_files(image):
    """Mounting needs rights and a driver; dump.erofs does not list. So the names that stand in the folders' blocks."""
    with open(image, "rb") as f:
        data = f.read()
    return _walk_erofs(data)


def _walk_erofs(data):
    def u(offset, size):
        return int.from_bytes(data[offset:offset + size], "little")
    meta = u(1024 + 40, 4) * 4096

    def inode(nid):
        at = meta + nid * 32
        layout = u(at, 2) >> 1 & 7
        extended = u(at, 2) & 1
        mode, size = u(at + 4, 2), u(at + 8, 8) if extended else u(at + 8, 4)
        raw = u(at + 16, 4)
        header = 64 if extended else 32
        if layout == 0:
            content = data[raw * 4096:raw * 4096 + size]
        else:
            whole = size // 4096 * 4096
            content = data[raw * 4096:raw * 4096 + whole] + data[at + header:at + header + size - whole]
        return mode, content
    names = []

    def walk(nid, prefix):
        _, content = inode(nid)
        for block in range(0, len(content), 4096):
            part = content[block:block + 4096]
            count = int.from_bytes(part[8:10], "little") // 12
            for i in range(count):
                entry = part[i * 12:i * 12 + 12]
                start = int.from_bytes(entry[8:10], "little")
                end = int.from_bytes(part[i * 12 + 20:i * 12 + 22], "little") if i + 1 < count else len(part)
                name = part[start:end].split(b"\0")[0].decode()
                if name in (".", ".."):
                    continue
                names.append(prefix + "/" + name)
                if entry[10] == 2:
                    walk(int.from_bytes(entry[:8], "little"), prefix + "/" + name)
    walk(u(1024 + 14, 2), "")
    return names


def read_bytes(name):
    with open(name, "rb") as f:
        return f.read()


# ---- other commands

def check_json(*words):
    done = kiln(*words, "-o", "json")
    expect(done.returncode in (0, 1), f"status {done.returncode}")
    json.loads(done.stdout)


def check_completion(shell):
    done = kiln("completion", shell)
    expect_status(done, 0)
    if shutil.which(shell):
        syntax = subprocess.run([shell, "-n"], input=done.stdout, capture_output=True, check=False)
        expect(syntax.returncode == 0, f"{syntax.stderr}")
    if shell == "bash":
        script = done.stdout.decode() + """
COMP_WORDS=(kiln run --dr); COMP_CWORD=2; _kiln; echo "${COMPREPLY[@]}"
COMP_WORDS=(kiln do); COMP_CWORD=1; _kiln; echo "${COMPREPLY[@]}"
COMP_WORDS=(kiln run -m 64M --plat ''); COMP_CWORD=5; _kiln; echo "${COMPREPLY[@]}"
"""
        words = subprocess.run(["bash", "-c", script], capture_output=True, check=False).stdout.decode().splitlines()
        expect(words == ["--dry-run", "doctor", "auto qemu kvm"], f"{words}")


def check_check():
    table = write("table.json", json.dumps({"syscalls": [
        {"nr": 231, "name": "exit_group", "level": "none", "note": ""},
        {"nr": 9, "name": "mmap", "level": "partial", "note": "only small"}] + [
        {"nr": n, "name": f"call{n}", "level": "full", "note": ""} for n in range(400) if n not in (9, 231)]}).encode(), 0o644)
    done = kiln("check", "--table", table, HELLO)
    expect_status(done, 1)
    expect(b"exit_group" in done.stdout and b"only small" in done.stdout and b"call1\n" not in done.stdout, f"{done.stdout}")
    found = json.loads(kiln("check", "--table", table, "-o", "json", "--all", HELLO).stdout)
    expect(found["missing"] == 1 and len(found["syscalls"]) == found["calls_found"], f"{found}")
    full = write("full.json", json.dumps({"syscalls": [
        {"nr": n, "name": f"call{n}", "level": "full", "note": ""} for n in range(500)]}).encode(), 0o644)
    expect_status(kiln("check", "--table", full, HELLO), 0)
    expect_status(kiln("check", HELLO), 125, "make kernel")
    expect_status(kiln("check", "--table", write("bad.json", b"{}", 0o644), HELLO), 125, "not a table")
    expect_status(kiln("check", "--table", full, path("elf32")), 126, "32-bit")


def check_usage(words, text):
    done = kiln(*words)
    expect_status(done, 125, text)


def check_help():
    for words in ([], ["run"], ["build"], ["check"], ["doctor"], ["version"], ["completion"]):
        done = kiln(*words, "--help")
        expect_status(done, 0)
        expect(b"Usage: kiln" in done.stdout, f"{words}: {done.stdout}")
    # After TARGET, --help is the program's.
    expect(launch_of(initrd_of(HELLO, "--help")[0])[1] == [HELLO, "--help"], "--help was taken")


def set_up():
    global HELLO
    write("hello.c", b"#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n", 0o644)
    HELLO = path("hello")
    subprocess.run(["cc", "-O1", "-static-pie", "-o", HELLO, path("hello.c")], check=True)
    write("kernels/default/kiln.elf", read_bytes(HELLO))
    good = read_bytes(HELLO)
    small = bytearray(good)
    small[4] = 1
    arm = bytearray(good)
    arm[18:20] = (183).to_bytes(2, "little")
    huge = bytearray(good)
    # Every PT_LOAD's p_memsz: 16 TiB for the last.
    offset = int.from_bytes(good[32:40], "little")
    loads = [offset + i * 56 for i in range(int.from_bytes(good[56:58], "little")) if good[offset + i * 56] == 1]
    huge[loads[-1] + 40:loads[-1] + 48] = (1 << 44).to_bytes(8, "little")
    write("elf32", bytes(small))
    write("arm", bytes(arm))
    write("huge", bytes(huge))
    write("cut", good[:4000])
    write("header-only", good[:64])
    write("no-x", good, 0o644)
    write("text", b"hello\n")
    write("empty", b"")
    write("script", b"#!/nonexistent/interpreter\n")
    write("loop", b"#!" + path("loop").encode() + b"\n")
    write("env-script", b"#!/usr/bin/env no-such-program-9\n")
    os.makedirs(path("rootfs/bin"))
    shutil.copy(HELLO, path("rootfs/bin/hello"))
    os.makedirs(path("not-a-root"))
    os.symlink("link", path("link"))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path("libgone.so"), "-x", "c", "-"], input=b"int f(void) { return 1; }", check=True)
    subprocess.run(["cc", "-o", path("no-lib"), "-x", "c", "-", "-x", "none", path("libgone.so")],
                   input=b"int f(void); int main(void) { return f(); }", check=True)
    os.remove(path("libgone.so"))
    subprocess.run(["cc", "-Wl,--dynamic-linker=/nonexistent/ld.so", "-o", path("no-ld"), path("hello.c")], check=True)
    run(HELLO)  # the image, once


def main():
    suite = Suite("tool", only=sys.argv[1:])
    set_up()
    for fake, status, text in (
            ("end exit=0", 0, ""), ("end exit=3", 3, ""), ("end exit=255", 255, ""), ("end signal=11", 139, ""),
            ("end signal=9", 137, ""), ("end panic=a bug", 70, "the kernel panicked: a bug"),
            ("end oom=mmap asked for 4 GiB", 137, "out of memory: mmap asked for 4 GiB"),
            ("end error=126 not a program", 126, "not a program"), ("end error=127 no file", 127, "no file"),
            ("noise oops; exit 1", 125, "oops"), ("crash", 125, "signal 11"), ("end exit=bad; exit 0", 125, "status 0")):
        suite.add(f"status: {fake}", check_status, fake, status, text)
    for name, status, text in (
            ("elf32", 126, "32-bit"), ("arm", 126, "AArch64"), ("cut", 126, "cut short"), ("header-only", 126, "cut short"),
            ("no-x", 126, "not executable"), ("text", 126, "neither an ELF program nor a script"), ("empty", 126, "an empty file"),
            ("script", 127, "/nonexistent/interpreter"), ("loop", 126, "scripts"), ("env-script", 127, "no-such-program-9"),
            ("nothing", 127, "no such file"), ("link", 126, "circle"), ("no-lib", 127, "libgone.so is missing"),
            ("no-ld", 127, "/nonexistent/ld.so"), ("huge", 125, "larger than memory")):
        suite.add(f"bad target: {name}", check_bad_target, [path(name)], status, text)
    suite.add("bad target: in no PATH", check_bad_target, ["no-such-program-9"], 127, "no such program")
    suite.add("bad target: folder without program", check_bad_target, [path("rootfs")], 125, "say which program")
    suite.add("bad target: program not in folder", check_bad_target, [path("rootfs"), "/bin/x"], 127, "/bin/x")
    suite.add("bad target: too little memory", check_bad_target, ["-m", "1M", HELLO], 125, "too little")
    suite.add("a folder's program", check_bad_target_free, [path("rootfs"), "hello"])
    suite.add("output", check_output)
    suite.add("input", check_input)
    suite.add("input: closed", check_no_input)
    suite.add("output: reader gone", check_broken_pipe)
    suite.add("output: slow reader", check_slow_reader)
    suite.add("terminal", check_terminal)
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)):
        suite.add(f"signal {number.name}", check_signal, number, status)
    suite.add("second signal", check_second_signal)
    suite.add("QEMU ignores SIGTERM", check_stubborn)
    suite.add("killed tool", check_killed)
    suite.add("--timeout", check_timeout)
    suite.add("signal and end at once", check_ctrl_c_then_end)
    suite.add("nothing left behind", check_nothing_left)
    suite.add("QEMU command", check_command)
    suite.add("--dry-run", check_dry_run)
    suite.add("environment", check_environment)
    suite.add("volume", check_volume)
    suite.add("image cache", check_cached)
    suite.add("image cache: at once", check_parallel)
    suite.add("Debian package", check_package)
    suite.add("doctor -o json", check_json, "doctor")
    suite.add("version -o json", check_json, "version")
    suite.add("completion bash", check_completion, "bash")
    suite.add("completion zsh", check_completion, "zsh")
    suite.add("help", check_help)
    suite.add("check", check_check)
    for words, text in ((["run"], "say what to run"), (["run", "--foo", HELLO], "unknown option --foo"), (["--foo"], "--foo"),
                        (["nothing"], "nothing"), (["run", "-m", "x", HELLO], "not a size"), (["run", "--cpus", "0", HELLO], "--cpus"),
                        (["run", "--plat", "xen", HELLO], "--plat"), (["run", "--config", "nope", HELLO], "nope"),
                        (["run", "-v", "/x", HELLO], "-v"), (["run", "-t", HELLO], "not a terminal"),
                        (["run", "--deb", "no-such-package-9", HELLO], "no-such-package-9"),
                        (["run", "--name", "a b", HELLO], "--name"), (["completion", "fish"], "fish"),
                        (["build", "-o", "/nonexistent/x", HELLO], "no place for an image")):
        suite.add("usage: kiln " + " ".join(words).replace(SCRATCH, ""), check_usage, words, text)
    status = suite.finish()
    shutil.rmtree(SCRATCH)
    sys.exit(status)


def check_bad_target_free(words):
    expect_status(run(*words, fake="end exit=0"), 0)


if __name__ == "__main__":
    main()
