"""Runs named checks two at a time and tells the sum in one plain last line: `N passed, N failed`."""

import concurrent.futures
import os
import subprocess
import sys
import threading
import time


class Failed(Exception):
    """A check that did not hold; its text says what was expected and what came."""


def expect(condition, message):
    if not condition:
        raise Failed(message)


class Suite:
    def __init__(self, name, jobs=None, only=()):
        self.name = name
        self.jobs = jobs or int(os.environ.get("KILN_TEST_JOBS", "2"))
        self.only = only
        self.cases = []
        self.skipped = []
        self._print_lock = threading.Lock()

    def add(self, name, function, *arguments, **keywords):
        if not self.only or any(pattern in name for pattern in self.only):
            self.cases.append((name, function, arguments, keywords))

    def skip(self, name, reason):
        """A case that cannot run here. Printed, and never counted as passed."""
        if not self.only or any(pattern in name for pattern in self.only):
            self.skipped.append((name, reason))

    def _one(self, case):
        name, function, arguments, keywords = case
        start = time.monotonic()
        problem = None
        try:
            function(*arguments, **keywords)
        except Failed as failure:
            problem = str(failure)
        except subprocess.CalledProcessError as error:
            output = error.stderr or error.stdout or b""
            text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
            problem = f"{error}\n{text}"
        except Exception as error:  # a broken test is a failed test, not the end of the suite
            problem = f"{type(error).__name__}: {error}"
        with self._print_lock:
            print(f"{'not ok' if problem else 'ok'} - {name} ({time.monotonic() - start:.1f} s)")
            if problem:
                print("".join(f"    # {line}\n" for line in problem.splitlines()[-30:]), end="")
            sys.stdout.flush()
        return name, problem

    def finish(self):
        """Runs everything; returns the exit status."""
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            results = list(pool.map(self._one, self.cases))
        failed = [name for name, problem in results if problem]
        for name, reason in self.skipped:
            print(f"skipped - {name}: {reason}")
        if failed:
            print(f"{self.name}: failed: " + ", ".join(failed))
        print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
        return 1 if failed or not results else 0
