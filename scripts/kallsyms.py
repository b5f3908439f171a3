#!/usr/bin/python3
"""Makes the symbol table that goes into a kernel image (read by kernel/kallsyms).

usage: kallsyms.py table NM_OUTPUT TABLE ASSEMBLER     from the output of `nm -n` to a table and a .S that includes it
       kallsyms.py compare NM_OUTPUT NM_OUTPUT         fails unless the functions lie at the same addresses

Layout, little endian:
  u64 base; u32 count; u32 names_bytes
  u32 offset[count + 1]          begin of function i relative to base, ascending; the last is the end of all
  u32 group[(count + 63) / 64]   where in names function 64*i begins
  u16 token_offset[257]          token t is tokens[token_offset[t] .. token_offset[t + 1])
  u8  tokens[…]
  u8  names[names_bytes]         per function: u8 length, then so many token numbers
"""
import collections
import re
import struct
import subprocess
import sys

GROUP = 64
LONGEST = 200
REACH = 1 << 31
WORD = re.compile(r"[A-Z]?[a-z0-9]+_?|::|[A-Z]+_?|.")


def read_functions(path):
    """[(address, raw name)] of the text symbols, ascending, one per address, and the end of the text."""
    found, end = {}, 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if len(fields) != 3:
                continue
            address, kind, name = int(fields[0], 16), fields[1], fields[2]
            if kind in "tTwW" and not name.startswith((".L", "$")):
                # Of several names for one address, a global one says more.
                if address not in found or (kind == "T" and found[address][0] != "T"):
                    found[address] = (kind, name)
            end = max(end, address) if kind in "tTwW" else end
    # Boot code that runs at its physical address is far from the rest, and gone when somebody asks for names.
    return [(address, found[address][1]) for address in sorted(found) if address > end - REACH], end + 16


def without_arguments(name):
    """kiln::a::f<int>(int (*)()) const [clone .part.0] -> a::f"""
    name = re.sub(r" \[clone [^\]]*\]", "", name).replace("(anonymous namespace)::", "")
    name = name.replace("operator()", "operator\0")
    out, depth, previous = [], 0, ""
    for i, c in enumerate(name):
        if c == "(":
            depth += 1
        elif c == "<" and not previous.endswith("operator"):
            depth += 1
        elif c == ")":
            depth -= 1
        elif c == ">" and name[i - 1] != "-" and depth:
            depth -= 1
        elif depth == 0:
            out.append(c)
            previous += c
    name = "".join(out).replace("\0", "()")
    name = re.sub(r" (const|volatile|&+)$", "", name.strip())
    name = name.split(" ")[-1] if "operator" not in name else name  # a template's return type
    return name.removeprefix("kiln::")[:LONGEST] or "?"


def demangle(names):
    result = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return [without_arguments(name) for name in result.stdout.split("\n")[:len(names)]]


def choose_tokens(names):
    """Single bytes that occur, and the words that save most."""
    letters = sorted({c for name in names for c in name})
    words = collections.Counter(word for name in names for word in WORD.findall(name) if len(word) > 1)
    best = sorted(words, key=lambda word: (-(len(word) - 1) * words[word], word))
    return letters + best[:256 - len(letters)]


def encode(name, number):
    out = bytearray()
    for word in WORD.findall(name):
        if word in number:
            out.append(number[word])
        else:
            out.extend(number[c] for c in word)
    return bytes([len(out)]) + bytes(out)


def make_table(functions, end):
    names = demangle([name.encode("ascii", "replace").decode() for _, name in functions])
    names = [name.encode("ascii", "replace").decode() for name in names]
    tokens = choose_tokens(names)
    number = {token: i for i, token in enumerate(tokens)}
    base = functions[0][0] if functions else 0
    offsets = [address - base for address, _ in functions] + [end - base if functions else 0]
    groups, blob = [], bytearray()
    for i, name in enumerate(names):
        if i % GROUP == 0:
            groups.append(len(blob))
        blob += encode(name, number)
    token_offsets, token_bytes = [0], b""
    for token in tokens + [""] * (256 - len(tokens)):
        token_bytes += token.encode()
        token_offsets.append(len(token_bytes))
    return b"".join((struct.pack("<QII", base, len(functions), len(blob)),
                     struct.pack("<%dI" % len(offsets), *offsets), struct.pack("<%dI" % len(groups), *groups),
                     struct.pack("<257H", *token_offsets), token_bytes, bytes(blob)))


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "table":
        with open(sys.argv[3], "wb") as file:
            file.write(make_table(*read_functions(sys.argv[2])))
        with open(sys.argv[4], "w", encoding="utf-8") as file:
            file.write('.section .rodata.kallsyms, "a"\n.balign 8\n.globl kiln_kallsyms_table\nkiln_kallsyms_table:\n'
                       '.incbin "%s"\n.section .note.GNU-stack, ""\n' % sys.argv[3])
    elif len(sys.argv) == 4 and sys.argv[1] == "compare":
        first, second = read_functions(sys.argv[2])[0], read_functions(sys.argv[3])[0]
        if first != second:
            moved = next((a for a, b in zip(first, second) if a != b), ("?", "?"))
            sys.exit("kallsyms: functions moved when the table was added (first: %s): the linker script must place "
                     ".text before .rodata" % moved[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
