#!/usr/bin/python3
"""Bytes that each library puts into an image, from the linker's map. usage: size.py [-o json] KILN_MAP"""
import collections
import json
import re
import sys

KINDS = ("text", "rodata", "data", "bss")
# ` .text._ZN4kiln…   0xffffffff80100000   0x1b3 kernel/vfs/CMakeFiles/kiln_vfs.dir/src/inode.cpp.o`; a long name
# puts the rest on the next line.
ENTRY = re.compile(r"^ (\.[^\s]+|COMMON)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S+)$", re.M)
LIBRARY = re.compile(r"/CMakeFiles/(?:kiln_)?([^/]+)\.dir/")


def kind_of(section):
    if section.startswith((".debug", ".comment", ".note.GNU", ".symtab", ".strtab", ".shstrtab")):
        return None
    if section.startswith((".text", ".init.text", ".boot")):
        return "text"
    if section.startswith((".bss", "COMMON")):
        return "bss"
    if section.startswith((".data", ".percpu")) and not section.startswith(".data.rel.ro"):
        return "data"
    return "rodata"


def main():
    arguments = [a for a in sys.argv[1:] if a not in ("-o", "json")]
    with open(arguments[0], encoding="utf-8") as file:
        text = file.read()
    text = text[text.index("Linker script and memory map"):]
    text = re.sub(r"^( \.\S+)\n +", r"\1 ", text, flags=re.M)
    sizes = collections.defaultdict(lambda: dict.fromkeys(KINDS, 0))
    for section, address, size, path in ENTRY.findall(text):
        kind = kind_of(section)
        library = LIBRARY.search("/" + path)
        if kind and int(address, 16) and library:
            sizes[library.group(1)][kind] += int(size, 16)
    if "json" in sys.argv:
        print(json.dumps(sizes, indent=1, sort_keys=True))
        return
    print("%-24s %9s %9s %9s %9s %10s" % ("library", *KINDS, "in image"))
    rows = sorted(sizes.items(), key=lambda row: -sum(row[1][k] for k in KINDS[:3]))
    for name, row in rows:
        print("%-24s %9d %9d %9d %9d %10d" % (name, *(row[k] for k in KINDS), sum(row[k] for k in KINDS[:3])))
    totals = [sum(row[k] for row in sizes.values()) for k in KINDS]
    print("%-24s %9d %9d %9d %9d %10d" % ("all", *totals, sum(totals[:3])))


if __name__ == "__main__":
    main()
