#!/usr/bin/env python3
"""Makes the tables of what the programs of this folder have printed: tables.py [--into PAGE] FILE...

FILE: start.json, memory.json, wake.json, all of them. The tables are printed, or put into PAGE between the lines that
name this folder.
"""

import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from report import Goals, Table, machine, quantile, rows_of, write

# The file, ours, beside what, and how many times that it may be.
GOALS = [
    ("start", "underthread::Thread", "pthread_create", 1.05),
    ("start", "underthread::Thread", "std::thread", 1.0),
    ("memory", "underthread::Thread", "pthread in a futex", 1.1),
    ("wake", "underthread::interrupt", "bare futex", 1.5),
]


def parts(files):
    works = {}
    missing = {f"{name}.json" for name, *_ in GOALS} - {file.name for file in files}
    if missing:
        sys.exit(f"tables.py: also needs {', '.join(sorted(missing))}")
    for file in files:
        ((work, rows),) = rows_of(file).items()
        works[file.stem] = work, rows

    def figures(name, who):
        row = works[name][1][who]
        return row["bytes" if "bytes" in row else "ns"]

    yield f"{machine()}. Medians, the kinds in turns. Made by `script/bench threads`."
    goals = Goals()
    for name, ours, peer, wanted in GOALS:
        ratio = statistics.median(figures(name, ours)) / statistics.median(figures(name, peer))
        goals.add(works[name][0], peer, ratio, wanted)
    yield str(goals)
    for name, (work, rows) in works.items():
        in_bytes = name == "memory"
        table = Table(work, "bytes" if in_bytes else "µs", "a quarter is below", "above")
        for who in rows:
            shown = (statistics.median(figures(name, who)), *(quantile(figures(name, who), at) for at in (0.25, 0.75)))
            table.add(who, *(f"{figure:,.0f}" if in_bytes else f"{figure / 1000:.1f}" for figure in shown))
        yield str(table)


if __name__ == "__main__":
    write(__doc__, "bench/threads", parts)
