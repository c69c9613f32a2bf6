"""The differences from the interpreter's own `_thread` that are wanted: tables of docs/python.md."""

import os
import re
import sys
import sysconfig

_DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "python.md")

# In a table's second column: `all`, or words such as `3.9`, `3.9-3.12`, `3.14+`, `3.13t` (the free-threaded
# build). A word without `t` goes for both builds.
_WORD = re.compile(r"3\.(\d+)(t?)(?:(\+)|-3\.(\d+))?")
_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def is_here(where):
    """True if what a second column says goes for this interpreter."""
    if where == "all":
        return True
    minor, here = sys.version_info.minor, False
    for word in where.split():
        found = _WORD.fullmatch(word)
        if not found:
            raise ValueError(f"not versions: {where!r}")
        first, free_threaded, later, last = found.groups()
        within = int(first) <= minor <= (99 if later else int(last or first))
        here |= within and (_FREE_THREADED or not free_threaded)
    return here


def differences(heading):
    """What the first column of the table below that heading has in backquotes, for this interpreter."""
    with open(_DOCUMENT, encoding="utf-8") as file:
        _, found, rest = file.read().partition(f"\n## {heading}\n")
    if not found:
        raise ValueError(f"no such heading: {heading}")
    keys = []
    for line in rest.partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and is_here(cells[1]):
            keys += re.findall("`([^`]+)`", cells[0])
    return keys
