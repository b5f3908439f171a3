#!/usr/bin/python3
"""Kconfig processing: from a configs/*.config fragment to one small header per option.

usage: kconfig.py generate --srctree DIR --config FILE --out DIR [--set SYM=VALUE]...
       kconfig.py menuconfig --srctree DIR --config FILE
       kconfig.py symbols --srctree DIR

`generate` writes OUT/include/config/<symbol>.hpp and .h, OUT/config.cmake and OUT/config.full.
A file is rewritten only when its content changes, so that ninja rebuilds what includes it and nothing else.
An unknown symbol, or an assignment that does not take effect, is an error that names the symbol.
"""
import argparse
import os
import re
import sys

try:
    import kconfiglib
except ImportError:
    sys.exit("kconfig: the Python module kconfiglib is missing for %s: install python3-kconfiglib "
             "(make setup does) and run with /usr/bin/python3" % sys.executable)

ASSIGNMENT = re.compile(r"^(?:CONFIG_)?([A-Za-z0-9_]+)\s*=\s*(.*)$")
NOT_SET = re.compile(r"^# CONFIG_([A-Za-z0-9_]+) is not set$")
TYPES = {kconfiglib.BOOL: "bool", kconfiglib.INT: "int", kconfiglib.HEX: "hex",
         kconfiglib.STRING: "string"}


def fail(message):
    sys.exit("kconfig: error: " + message)


def load_tree(srctree):
    os.environ["srctree"] = srctree
    os.environ["KCONFIG_WARN_UNDEF"] = "y"
    os.environ["CONFIG_"] = "CONFIG_"
    try:
        tree = kconfiglib.Kconfig(os.path.join(srctree, "Kconfig"), warn_to_stderr=False)
    except kconfiglib.KconfigError as error:
        fail(str(error).strip())
    if tree.warnings:
        fail("\n".join(tree.warnings))
    return tree


def read_assignments(path):
    """[(where, symbol, value)], in file order."""
    found = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            where = "%s:%d" % (path, number)
            unset = NOT_SET.match(line)
            if unset:
                found.append((where, unset.group(1), "n"))
            elif line and not line.startswith("#"):
                match = ASSIGNMENT.match(line)
                if not match or not line.startswith("CONFIG_"):
                    fail("%s: not of the form CONFIG_SYMBOL=value: %s" % (where, line))
                found.append((where, match.group(1), match.group(2)))
    return found


def unquote(value):
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return kconfiglib.unescape(value[1:-1])
    return value


def same(symbol, wanted):
    if symbol.type == kconfiglib.HEX:
        return int(symbol.str_value, 16) == int(wanted, 16)
    return symbol.str_value == wanted


def why_not(symbol):
    if symbol.choice and symbol.type == kconfiglib.BOOL:
        chosen = symbol.choice.selection
        return "its choice has %s selected" % (chosen.name if chosen else "nothing")
    dependency = kconfiglib.expr_str(symbol.direct_dep)
    if kconfiglib.expr_value(symbol.direct_dep) == 0:
        return "it depends on: " + dependency
    if symbol.rev_dep is not symbol.kconfig.n and kconfiglib.expr_value(symbol.rev_dep) > 0:
        return "it is selected by: " + kconfiglib.expr_str(symbol.rev_dep)
    return "the value is outside its type or range"


def apply_config(tree, path, overrides):
    assignments = read_assignments(path)
    for text in overrides:
        match = ASSIGNMENT.match(text)
        if not match:
            fail("--set %s: not of the form SYMBOL=value" % text)
        assignments.append(("--set " + text, match.group(1), match.group(2)))
    last = {}
    for where, name, value in assignments:
        symbol = tree.syms.get(name)
        if symbol is None or not symbol.nodes:
            fail("%s: unknown symbol CONFIG_%s: no Kconfig file defines it" % (where, name))
        earlier = last.get(name)
        if earlier and not where.startswith("--set"):
            fail("%s: CONFIG_%s is already assigned at %s" % (where, name, earlier[0]))
        last[name] = (where, unquote(value))
    for name, (where, value) in last.items():
        if not tree.syms[name].set_value(value):
            fail("%s: CONFIG_%s=%s: not a valid %s" %
                 (where, name, value, TYPES.get(tree.syms[name].type, "value")))
    for name, (where, value) in last.items():
        symbol = tree.syms[name]
        if not same(symbol, value):
            fail("%s: CONFIG_%s=%s does not take effect (its value is %s): %s" %
                 (where, name, value, symbol.str_value or "empty", why_not(symbol)))


def write_if_changed(path, content):
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == content:
                return
    except FileNotFoundError:
        pass
    temporary = path + ".new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(content)
    os.replace(temporary, path)


def cpp_header(symbol):
    name, value = symbol.name.lower(), symbol.str_value
    head = "#pragma once\n"
    if symbol.type == kconfiglib.BOOL:
        body = "inline constexpr bool %s = %s;" % (name, "true" if value == "y" else "false")
    elif symbol.type == kconfiglib.STRING:
        head += "#include <string_view>\n"
        body = 'inline constexpr std::string_view %s{"%s"};' % (name, kconfiglib.escape(value))
    elif symbol.type == kconfiglib.HEX:
        body = "inline constexpr unsigned long %s = %s;" % (name, value or "0x0")
    else:
        body = "inline constexpr int %s = %s;" % (name, value or "0")
    return head + "namespace kiln::config {\n" + body + "\n}  // namespace kiln::config\n"


def c_header(symbol):
    name, value = symbol.name, symbol.str_value
    if symbol.type == kconfiglib.BOOL:
        body = "#define CONFIG_%s 1" % name if value == "y" else "/* CONFIG_%s is not set */" % name
    elif symbol.type == kconfiglib.STRING:
        body = '#define CONFIG_%s "%s"' % (name, kconfiglib.escape(value))
    else:
        body = "#define CONFIG_%s %s" % (name, value or "0")
    return "#pragma once\n" + body + "\n"


def generate(tree, out):
    folder = os.path.join(out, "include", "config")
    os.makedirs(folder, exist_ok=True)
    cmake, full, kept = [], [], set()
    for symbol in tree.unique_defined_syms:
        if symbol.type not in TYPES:
            continue
        base = symbol.name.lower()
        for suffix, content in ((".hpp", cpp_header(symbol)), (".h", c_header(symbol))):
            kept.add(base + suffix)
            write_if_changed(os.path.join(folder, base + suffix), content)
        if symbol.type == kconfiglib.BOOL:
            cmake.append("set(CONFIG_%s %s)" % (symbol.name, "ON" if symbol.str_value == "y" else "OFF"))
        else:
            cmake.append('set(CONFIG_%s "%s")' % (symbol.name, kconfiglib.escape(symbol.str_value)))
        quoted = '"%s"' % kconfiglib.escape(symbol.str_value)
        full.append("CONFIG_%s=%s" % (symbol.name, quoted if symbol.type == kconfiglib.STRING
                                      else symbol.str_value))
    for stale in set(os.listdir(folder)) - kept:
        os.remove(os.path.join(folder, stale))
    write_if_changed(os.path.join(out, "config.cmake"), "\n".join(cmake) + "\n")
    write_if_changed(os.path.join(out, "config.full"), "\n".join(full) + "\n")


def menuconfig(tree, path):
    import menuconfig as screen
    header = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#") or NOT_SET.match(line.strip()):
                break
            header.append(line)
    # The screen saves full configurations; a file here holds what differs from the defaults.
    kconfiglib.Kconfig.write_config = (
        lambda self, filename=None, **_: self.write_min_config(filename or path, "".join(header)))
    os.environ["KCONFIG_CONFIG"] = path
    os.environ["MENUCONFIG_STYLE"] = "default"
    screen.menuconfig(tree)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("generate", "menuconfig", "symbols"))
    parser.add_argument("--srctree", required=True)
    parser.add_argument("--config")
    parser.add_argument("--out")
    parser.add_argument("--set", action="append", default=[], metavar="SYMBOL=VALUE")
    args = parser.parse_args()
    tree = load_tree(os.path.abspath(args.srctree))
    if args.command == "symbols":
        print("\n".join(symbol.name for symbol in tree.unique_defined_syms))
        return
    if not args.config or not os.path.exists(args.config):
        names = sorted(n[:-7] for n in os.listdir(os.path.join(args.srctree, "configs"))
                       if n.endswith(".config"))
        fail("no configuration %s; there are: %s" % (args.config, " ".join(names)))
    apply_config(tree, args.config, args.set)
    if args.command == "menuconfig":
        menuconfig(tree, args.config)
    else:
        generate(tree, args.out)


if __name__ == "__main__":
    main()
