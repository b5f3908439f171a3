#!/usr/bin/python3
"""Rules about what may be included where, which the compiler alone does not see.

usage: check_includes.py LIBRARIES_JSON…     as CMake writes them, build/host/libraries.json for one

 undeclared-include     <kiln/…> is a header of the library itself or of one it names in DEPS or OPTIONAL_DEPS
                        (in tests also TEST_DEPS); headers that come along transitively are not enough
 relative-include       "…" includes stay within the library's own folder
 freestanding-headers   kernel code includes only the allocation-free part of the C++ library
 tools-see-abi          tools/ and apps' hosted parts include headers of abi/ only
 cpu-code               assembler and CPU #ifdefs only in arch/ and plat/ (or a library's src/arch/<cpu>/)
 file-length            a source file stays below 800 lines
"""
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
CPU_CODE = re.compile(r"\b(?:asm|__asm__)\b(?:\s+(?:volatile|goto))*\s*[({]|__(?:x86_64|aarch64)__|<(?:immintrin|cpuid|x86intrin)\.h>")
# An empty asm with a memory clobber is a compiler barrier and names no CPU's instruction.
COMPILER_BARRIER = re.compile(r'asm\s+volatile\s*\(\s*""')
TEST_FILE = re.compile(r"_(test|fuzz)\.[ch]pp$|/test_[^/]*\.hpp$")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
MAX_LINES = 800
FREESTANDING = set("""
algorithm array atomic bit climits compare concepts coroutine cstdarg cstddef cstdint cstdlib cstring initializer_list
iterator limits memory new numeric optional ratio source_location span string_view tuple type_traits utility variant version
stddef.h stdint.h stdarg.h limits.h stdbool.h
""".split())
# In kernel code on the host the C library stands in for the machine; only files that are host-only may use it.
SUFFIXES = (".cpp", ".hpp", ".h", ".S")


def files_below(folder, skip=()):
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if os.path.join(path, f) not in skip)
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                yield os.path.join(path, name)


class Checker:
    def __init__(self, libraries):
        # The same folder in several builds is one library; `arch` is another folder in each architecture.
        self.libraries = {lib["dir"]: lib for lib in libraries}
        self.problems = []
        self.stand_ins = {lib["name"] for lib in libraries if lib["stand_in"]}
        self.owners = {}
        for header in files_below(os.path.join(ROOT, "kernel", "arch")):
            if "/include/kiln/" in header:
                self.owners.setdefault(header.split("/include/")[1], set()).add("arch")
        for lib in self.libraries.values():
            base = os.path.join(lib["dir"], "include")
            for header in files_below(base):
                self.owners.setdefault(os.path.relpath(header, base), set()).add(lib["name"])

    def problem(self, path, line, rule, text):
        self.problems.append("%s:%d: %s: %s" % (os.path.relpath(path, ROOT), line, rule, text))

    def check_library(self, lib):
        nested = set(self.libraries) - {lib["dir"]}
        host_only = set(lib["host_only"])
        seen = {lib["name"], *lib["deps"], *lib["optional_deps"]}
        in_tests = seen | set(lib["test_deps"]) | self.stand_ins
        for path in files_below(lib["dir"], nested):
            test = (TEST_FILE.search(path) or path in host_only or "/tests/" in path
                    or lib["stand_in"])
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.check_file(path, text, lib, in_tests if test else seen, test)

    def check_file(self, path, text, lib, seen, test):
        in_arch = re.search(r"/kernel/(arch|plat)/|/src/arch/", path)
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            kind, name = match.groups()
            if kind == '"':
                target = os.path.normpath(os.path.join(os.path.dirname(path), name))
                if not target.startswith(lib["dir"] + "/") and not lib["stand_in"]:
                    self.problem(path, line, "relative-include", '"%s" leaves the folder of %s' % (name, lib["name"]))
            elif name.startswith("kiln/"):
                self.check_kiln_include(path, line, name, lib, seen)
            elif not test and not name.startswith("config/") and name not in FREESTANDING and not (
                    in_arch and name == "cpuid.h"):
                self.problem(path, line, "freestanding-headers",
                             "<%s> is not among the headers that kernel code may use" % name)
        if not in_arch and not test and not path.endswith(".S") and "/abi/" not in path:
            code = COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)
            for match in CPU_CODE.finditer(code):
                if not COMPILER_BARRIER.match(code, match.start()):
                    self.problem(path, code.count("\n", 0, match.start()) + 1, "cpu-code",
                                 "`%s` outside arch/ and plat/: put it behind hal/" % match.group().strip())
        self.check_length(path, text)

    def check_kiln_include(self, path, line, name, lib, seen):
        owners = self.owners.get(name)
        if not owners:
            self.problem(path, line, "undeclared-include", "no library has a header %s" % name)
        elif not owners & seen and not (name.startswith("kiln/arch/") and lib["arch_includes"]):
            self.problem(path, line, "undeclared-include",
                         "<%s> belongs to %s, which library %s does not name in its DEPS"
                         % (name, " or ".join(sorted(owners)), lib["name"]))

    def check_length(self, path, text):
        lines = text.count("\n")
        if lines > MAX_LINES:
            self.problem(path, lines, "file-length", "%d lines; above %d it is asking to be two" %
                         (lines, MAX_LINES))

    def check_tools(self):
        for path in files_below(os.path.join(ROOT, "tools")):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            for match in INCLUDE.finditer(text):
                owners = self.owners.get(match.group(2), set())
                if owners and "abi" not in owners:
                    self.problem(path, text.count("\n", 0, match.start()) + 1, "tools-see-abi",
                                 "<%s> belongs to the kernel library %s" % (match.group(2), min(owners)))
            self.check_length(path, text)


def main():
    libraries = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            libraries += json.load(file)
    checker = Checker(libraries)
    for lib in checker.libraries.values():
        checker.check_library(lib)
    checker.check_tools()
    print("\n".join(checker.problems), end="\n" if checker.problems else "")
    sys.exit(1 if checker.problems else 0)


if __name__ == "__main__":
    main()
