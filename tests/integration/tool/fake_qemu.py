#!/usr/bin/python3
"""Stands in for QEMU: takes the descriptors that kiln gives it and behaves as FAKE_QEMU says, a list of
actions separated by ';':

    end TEXT     write "kiln-end TEXT" to the debug port
    say TEXT     write TEXT and a newline to the console
    flood N      write N bytes to the console
    echo         copy the console's input back, up to the escaped end of input
    noise TEXT   write TEXT to stderr
    record PATH  write our pid and arguments to PATH
    sleep        for ever, ended by a signal
    stubborn     the same, but SIGTERM does nothing
    crash        die of SIGSEGV
    exit N       end with this status (1 without it)
"""
import os
import re
import resource
import signal
import sys
import time


def descriptor(name):
    for word in sys.argv:
        match = re.match(r"socket,id=%s,fd=(\d+)$" % name, word)
        if match:
            return int(match.group(1))
    sys.exit("fake_qemu: no chardev " + name)


def send(fd, data):
    while data:
        data = data[os.write(fd, data):]


def echo(fd):
    received = b""
    while not received.endswith(b"\x10\x04") or re.sub(rb"\x10\x10", b"", received)[-2:] != b"\x10\x04":
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        received += chunk
    send(fd, re.sub(rb"\x10\x10", b"\x10", received[:-2]))


def main():
    console, end = descriptor("console"), descriptor("end")
    send(end, b"kiln-input-ready\n")
    for action in os.environ["FAKE_QEMU"].split(";"):
        name, _, argument = action.strip().partition(" ")
        if name == "end":
            send(end, b"kiln-end " + argument.encode() + b"\n")
        elif name == "say":
            send(console, argument.encode() + b"\n")
        elif name == "flood":
            send(console, b"x" * int(argument))
        elif name == "echo":
            echo(console)
        elif name == "noise":
            print(argument, file=sys.stderr, flush=True)
        elif name == "record":
            with open(argument + ".partial", "w", encoding="utf-8") as f:
                f.write("\n".join([str(os.getpid())] + sys.argv[1:]))
            os.rename(argument + ".partial", argument)
        elif name in ("sleep", "stubborn"):
            if name == "stubborn":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(60)
        elif name == "crash":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.kill(os.getpid(), signal.SIGSEGV)
        elif name == "exit":
            sys.exit(int(argument))
        else:
            sys.exit("fake_qemu: unknown action " + name)
    sys.exit(1)


main()
