#!/usr/bin/python3
"""Spelling of configuration options: what sources name exists, and what Kconfig declares is used.

usage: check_symbols.py

 unknown-symbol      CONFIG_X, config::x, <config/x.hpp> or CONFIG X in kiln_library() names an option that no Kconfig defines
 unused-symbol       a Kconfig option that nothing outside Kconfig and configs/ looks at
 missing-include     a file that says config::x includes <config/x.hpp> itself
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kconfig  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MACRO = re.compile(r"\bCONFIG_([A-Z0-9][A-Z0-9_]*)\b")
CONSTANT = re.compile(r"\bconfig::([a-z0-9_]+)\b")
HEADER = re.compile(r"[<\"]config/([a-z0-9_]+)\.(?:hpp|h)[>\"]")
LIBRARY = re.compile(r"\bCONFIG\s+([A-Z0-9_]+)")
# Other programs' options.
FOREIGN = {"CONFIG_KVM"}


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split("\n")
    return [name for name in listed if name and os.path.isfile(os.path.join(ROOT, name))]


def mentions(name, text):
    """(symbol, offset) pairs."""
    code = name.endswith((".cpp", ".hpp", ".h", ".S", ".ld"))
    if code or name.endswith((".cmake", "CMakeLists.txt", ".sh", "Makefile", ".config")):
        for match in MACRO.finditer(text):
            yield match.group(1), match.start()
    if code:
        for match in CONSTANT.finditer(text):
            yield match.group(1).upper(), match.start()
        for match in HEADER.finditer(text):
            yield match.group(1).upper(), match.start()
    if name.endswith("CMakeLists.txt"):
        for match in LIBRARY.finditer(text):
            yield match.group(1), match.start()


def main():
    tree = kconfig.load_tree(ROOT)
    defined = {symbol.name: symbol for symbol in tree.unique_defined_syms}
    used, problems = set(), []
    for name in tracked_files():
        if name.startswith(("tests/build/", "scripts/")):
            continue
        try:
            with open(os.path.join(ROOT, name), encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            continue
        for symbol, offset in mentions(name, text):
            where = "%s:%d" % (name, text.count("\n", 0, offset) + 1)
            if symbol not in defined:
                if "CONFIG_" + symbol not in FOREIGN:
                    problems.append("%s: unknown-symbol: CONFIG_%s: no Kconfig file defines it" % (where, symbol))
            elif not name.endswith(".config"):
                used.add(symbol)
        if name.endswith((".cpp", ".hpp")):
            included = set(HEADER.findall(text))
            for constant in sorted(set(CONSTANT.findall(text)) - included):
                problems.append("%s:1: missing-include: uses config::%s without <config/%s.hpp>"
                                % (name, constant, constant))
    for name, symbol in defined.items():
        choice_used = symbol.choice and any(other.name in used for other in symbol.choice.syms)
        if name not in used and not choice_used:
            node = symbol.nodes[0]
            problems.append("%s:%d: unused-symbol: nothing looks at CONFIG_%s" % (node.filename, node.linenr, name))
    print("\n".join(problems), end="\n" if problems else "")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
