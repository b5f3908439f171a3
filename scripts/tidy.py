#!/usr/bin/python3
"""Runs clang-tidy over the compile databases given, remembering which files were clean.

usage: tidy.py [-j N] [--list] BUILD_DIR…

A file that several builds compile is looked at once, in the first of them. A verdict is kept in build/tidy/ under a
hash of the file, the project headers it reaches, its command and .clang-tidy, so that a second run costs nothing.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(ROOT, "build", "tidy")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)
# clang parses <algorithm> only with vector registers to be had, and needs none of the launchers and outputs.
DROPPED = ("-mgeneral-regs-only", "-malign-data=abi", "-Werror")


def entries(build_dirs):
    seen = set()
    for build in build_dirs:
        with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
            for entry in json.load(file):
                path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
                inside = path.startswith(ROOT + "/") and not path.startswith(os.path.join(ROOT, "build") + "/")
                if inside and path.endswith(".cpp") and not path.endswith("_test.cpp") and path not in seen:
                    seen.add(path)
                    yield path, entry["command"]


class Hasher:
    def __init__(self):
        self.contents = {}

    def read(self, path):
        if path not in self.contents:
            try:
                with open(path, encoding="utf-8") as file:
                    self.contents[path] = file.read()
            except OSError:
                self.contents[path] = None
        return self.contents[path]

    def key(self, path, command):
        folders = [word[2:] for word in shlex.split(command) if word.startswith("-I")]
        digest = hashlib.sha256((self.read(os.path.join(ROOT, ".clang-tidy")) + command).encode())
        open_files, done = [path], set()
        while open_files:
            current = open_files.pop()
            text = self.read(current)
            if current in done or text is None:
                continue
            done.add(current)
            digest.update(text.encode())
            for name in INCLUDE.findall(text):
                for folder in [os.path.dirname(current)] + folders:
                    candidate = os.path.normpath(os.path.join(folder, name))
                    if candidate.startswith(ROOT + "/") and self.read(candidate) is not None:
                        open_files.append(candidate)
                        break
        return digest.hexdigest()


def tidy(path, command):
    words = [word for word in shlex.split(command) if word not in DROPPED]
    while words and not re.search(r"(^|/)[a-z0-9-]*\+\+(-[0-9]+)?$", words.pop(0)):
        pass  # the launchers, up to and with the compiler
    if "-o" in words:
        del words[words.index("-o"):words.index("-o") + 2]
    words = [word for word in words if word != path]
    result = subprocess.run(["clang-tidy", "--quiet", path, "--", *words, "-Wno-unknown-warning-option",
                             "-Wno-unused-command-line-argument"],
                            capture_output=True, text=True, check=False)
    return result.returncode, result.stdout or result.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="list the files that would be looked at")
    parser.add_argument("build", nargs="+")
    args = parser.parse_args()
    os.makedirs(CACHE, exist_ok=True)
    hasher, work, total = Hasher(), [], 0
    for path, command in entries(args.build):
        total += 1
        stamp = os.path.join(CACHE, hasher.key(path, command))
        if not os.path.exists(stamp):
            work.append((path, command, stamp))
    if args.list:
        print("\n".join(path for path, _, _ in work))
        return
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        jobs = {pool.submit(tidy, path, command): stamp for path, command, stamp in work}
        for job in concurrent.futures.as_completed(jobs):
            status, output = job.result()
            if status:
                failed += 1
                print(output.replace(ROOT + "/", ""), flush=True)
            else:
                open(jobs[job], "w", encoding="utf-8").close()
    print("clang-tidy: %d files, %d looked at, %d with findings" % (total, len(work), failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
