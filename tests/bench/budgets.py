"""Reads the limits from BUDGETS.md: table rows of the form | `name` | limit | unit | what |."""

import os
import re

import qemu

ROW = re.compile(r"^\|\s*`([a-z0-9_.]+)`\s*\|\s*([^|]+?)\s*\|")


def load(path=os.path.join(qemu.TOP, "BUDGETS.md")):
    """{name: limit}. A limit is a number, or None where the table says "-" (measured, no limit yet)."""
    limits = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            match = ROW.match(line)
            if not match:
                continue
            name, text = match.groups()
            if name in limits:
                raise ValueError(f"BUDGETS.md names {name} twice")
            limits[name] = None if text == "-" else float(text.replace(",", ""))
    if not limits:
        raise ValueError("BUDGETS.md has no budget rows")
    return limits
