#!/usr/bin/python3
"""Makes the symbol table that goes into a kernel image (read by kernel/kallsyms).

usage: kallsyms.py table NM_OUTPUT TABLE ASSEMBLER     from the output of `nm -n` to a table and a .S that includes it
       kallsyms.py compare NM_OUTPUT NM_OUTPUT         fails unless the functions lie at the same addresses

Layout, little endian; functions in order of address, in groups of 64:
  u64 base; u32 count; u32 end   address of the first function; how many; where the last ends, relative to base
  u32 offset_bytes; u32 zero     2 or 4
  u32 begin[groups]              of the first function of each group, relative to base
  u32 name[groups]               where in names that function's name begins
  u16 token_offset[257]          token t is tokens[token_offset[t] .. token_offset[t + 1])
  u16 or u32 offset[count]       of each function from the begin of its group
  u8  tokens[…]
  u8  names[…]                   per function: u8 length, then so many token numbers
A token is a string that occurs often: pairs of tokens are joined as long as there are numbers for them (byte pair encoding).
"""
import collections
import re
import struct
import subprocess
import sys

GROUP = 64
LONGEST = 200
REACH = 1 << 31
TOKENS = 256
PAIRS_AT_ONCE = 6  # joined between two counts: nearly as good as one, and quicker
FIRST_TOKEN = 0xe000  # tokens are private-use characters while they are made


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
    """The tokens as strings, and each name as a list of token numbers."""
    text = "\n".join(names)
    letters = sorted(set(text) - {"\n"})
    tokens = list(letters)
    text = text.translate({ord(c): chr(FIRST_TOKEN + i) for i, c in enumerate(letters)})
    while len(tokens) < TOKENS:
        pairs = collections.Counter(zip(text, text[1:]))
        best = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        used, joined = set(), 0
        for (first, second), times in best:
            if "\n" in (first, second) or used & {first, second}:
                continue
            if times < 3 or joined == PAIRS_AT_ONCE or len(tokens) == TOKENS:
                break
            used |= {first, second}
            text = text.replace(first + second, chr(FIRST_TOKEN + len(tokens)))
            tokens.append(tokens[ord(first) - FIRST_TOKEN] + tokens[ord(second) - FIRST_TOKEN])
            joined += 1
        if not joined:
            break
    return tokens, [[ord(c) - FIRST_TOKEN for c in line] for line in text.split("\n")]


def make_table(functions, end):
    names = demangle([name.encode("ascii", "replace").decode() for _, name in functions])
    # A part that the compiler split off lies behind its function, and has its name.
    kept = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    addresses = [functions[i][0] for i in kept]
    tokens, encoded = choose_tokens([names[i].encode("ascii", "replace").decode() for i in kept]) if kept else ([], [])
    base = addresses[0] if kept else 0
    begins = [addresses[i] - base for i in range(0, len(kept), GROUP)]
    offsets = [address - base - begins[i // GROUP] for i, address in enumerate(addresses)]
    width, letter = (2, "H") if max(offsets, default=0) < 1 << 16 else (4, "I")
    name_begins, blob = [], bytearray()
    for i, numbers in enumerate(encoded):
        if i % GROUP == 0:
            name_begins.append(len(blob))
        blob += bytes([len(numbers)] + numbers)
    token_offsets, token_bytes = [0], b""
    for token in tokens + [""] * (TOKENS - len(tokens)):
        token_bytes += token.encode()
        token_offsets.append(len(token_bytes))
    return b"".join((struct.pack("<QIIII", base, len(kept), end - base if kept else 0, width, 0),
                     struct.pack("<%dI" % len(begins), *begins), struct.pack("<%dI" % len(name_begins), *name_begins),
                     struct.pack("<257H", *token_offsets), struct.pack("<%d%s" % (len(offsets), letter), *offsets),
                     token_bytes, bytes(blob)))


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
