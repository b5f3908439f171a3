#!/usr/bin/python3
"""Runs the test suites and adds up their results. usage: test.py [SUITE…]

A suite is a command whose last line reads `N passed, N failed` and whose status is 0 when nothing failed.
"""
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUITES = (
    ("build", ["tests/build/run.sh"], 600),
    ("unit", [sys.executable, "scripts/test_unit.py"], 900),
    ("tool", ["tests/integration/tool/run.py"], 300),
    ("guest", ["tests/run-guest.sh"], 1200),
    ("conformance", ["tests/run-conformance.sh"], 1200),
    ("programs", ["tests/run-programs.sh", "quick"], 1200),
)
RESULT = re.compile(r"^(\d+) passed, (\d+) failed", re.M)


def run(name, command, seconds, log_path):
    with open(log_path, "wb") as log:
        child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                 start_new_session=True)
        try:
            status = child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)
            child.wait()
            log.write(("\n%s: no end after %d s\n" % (name, seconds)).encode())
            status = 1
    with open(log_path, encoding="utf-8", errors="replace") as log:
        text = log.read()
    results = RESULT.findall(text)
    passed, failed = (int(n) for n in results[-1]) if results else (0, 0)
    if not results or (status and not failed):
        failed += 1  # a suite that ends without saying how is a failure
    return passed, failed, text


def main():
    wanted = sys.argv[1:]
    folder = os.path.join(ROOT, "build", "test")
    os.makedirs(folder, exist_ok=True)
    total_passed = total_failed = 0
    for name, command, seconds in SUITES:
        if wanted and name not in wanted:
            continue
        if command[0].startswith("tests/") and not os.path.exists(os.path.join(ROOT, command[0])):
            print("%-12s not there yet" % name, flush=True)
            continue
        log_path = os.path.join(folder, name + ".log")
        start = time.monotonic()
        passed, failed, text = run(name, command, seconds, log_path)
        if failed:
            print(text[-20000:])
        print("%-12s %5d passed %5d failed %6.1f s   build/test/%s.log"
              % (name, passed, failed, time.monotonic() - start, name), flush=True)
        total_passed += passed
        total_failed += failed
    if total_passed == 0:
        total_failed += 1
    print("%d passed, %d failed" % (total_passed, total_failed))
    sys.exit(1 if total_failed else 0)


if __name__ == "__main__":
    main()
