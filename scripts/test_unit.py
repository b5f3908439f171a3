#!/usr/bin/python3
"""Runs the unit tests of build/host with ctest and counts test cases, not executables."""
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build", "host")


def main():
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0", UBSAN_OPTIONS="print_stacktrace=1")
    report = os.path.join(BUILD, "ctest.xml")
    if os.path.exists(report):
        os.remove(report)
    subprocess.run(["ctest", "--test-dir", BUILD, "-j", str(os.cpu_count()), "--output-on-failure", "--output-junit",
                    report, "--test-output-size-passed", "1000000", "--test-output-size-failed", "1000000"],
                   env=environment, check=False)
    passed = failed = 0
    for case in xml.parse(report).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        good = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) tests?", output, re.M))
        bad = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (\d+) tests?, listed below", output, re.M))
        if case.get("status") == "run":
            passed += max(good, 1)
        else:
            passed += good
            failed += max(bad, 1)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
