#!/usr/bin/env python3
"""Makes the table of what measure.py has measured: tables.py [--into PAGE] FILE...

It is printed, or put into PAGE between the lines that name this folder.
"""

import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from pythons import version
from report import Table, write

# What is wanted of ours, of the interpreter's own; from 3.14 on its own has become faster.
GOALS = {
    "acquire_release": (0.65, 1.0),
    "with_lock": (0.85, 1.0),
    "with_rlock": (0.85, 1.0),
    "with_rlock_again": (0.85, 1.0),
    "failing_try": (0.6, 1.0),
    "timed": (0.6, 1.0),
    "ping_pong_locks": (0.5, 0.5),
    "ping_pong_events": (0.5, 0.5),
    "ping_pong_condition": (0.5, 0.5),
    "queue_1": (0.9, 0.9),
    "queue_4": (0.9, 0.9),
    "pool_map": (1.0, 1.0),
    "start_join": (1.0, 1.0),
    "fairness_2": (1.0, 1.0),
    "fairness_4": (1.0, 1.0),
    "one_lock_2": (1.0, 1.0),
    "one_lock_8": (1.0, 1.0),
    "lock_each_2": (1.0, 1.0),
    "lock_each_8": (1.0, 1.0),
    "memory": (0.6, 0.6),
}

# ms that the .pth file adds to the start of a process.
START_GOAL = 1.0


def said(value, unit):
    if unit == "bytes":
        return f"{value:.0f} bytes"
    return f"{value:.0f} ns" if value < 10_000 else f"{value / 1000:,.0f} µs"


def tables(measured):
    runs = sorted((run for file in measured for run in file["runs"]), key=lambda run: version(run["python"]))
    yield (
        f"Ours ÷ the interpreter's own, medians of {measured[0]['rounds']} rounds in turns; in brackets what ours took. "
        f"Bold: more than is wanted. {measured[0]['machine']}. Made by `script/bench python`."
    )
    table = Table("work", "wanted (from 3.14 on)", *(run["python"] for run in runs))
    for work, (goal, goal_of_new) in GOALS.items():
        cells = []
        titles = [run["rows"][work]["work"] for run in runs if work in run["rows"]]
        if not titles:
            continue
        for run in runs:
            row = run["rows"].get(work)
            if row is None:
                cells.append("–")
                continue
            ours = statistics.median(row["ours"])
            ratio = ours / statistics.median(row["stock"])
            wanted = goal_of_new if version(run["python"]) >= [3, 14] else goal
            mark = "" if ratio <= wanted else "**"
            cells.append(f"{mark}{ratio:.2f}{mark} ({said(ours, row['unit'])})")
        wanted = f"{goal:g}" if goal == goal_of_new else f"{goal:g} ({goal_of_new:g})"
        table.add(titles[0], wanted, *cells)
    cells = []
    for run in runs:
        mark = "" if run["start"]["added_ms"] <= START_GOAL else "**"
        cells.append(f"{mark}{run['start']['added_ms']:+.1f} ms{mark} ({run['start']['on_ms']:.1f} ms)")
    table.add("start of the interpreter with `--site on`, beside without", f"{START_GOAL:+g} ms", *cells)
    yield str(table)
    yield "![Ours beside the interpreter's own, work by work](performance-pythons.svg)"

    yield (
        "Where the time goes: what an operation of `threading` or `queue` takes that nobody waits for, on ours, and how much "
        "of that is in calls of locks; in brackets the same on the interpreter's own. The rest is their own Python code."
    )
    table = Table("operation", *(run["python"] for run in runs))
    for number, first in enumerate(runs[0]["shares"]["ours"]):
        cells = []
        for run in runs:
            ours, stock = (run["shares"][whose][number] for whose in ("ours", "stock"))
            shares = [100 * row["in_calls"] / row["ns"] for row in (ours, stock)]
            cells.append(f"{ours['ns']:.0f} ns, {shares[0]:.0f} % ({stock['ns']:.0f} ns, {shares[1]:.0f} %)")
        table.add(first["work"], *cells)
    yield str(table)


def parts(files):
    return tables([json.loads(file.read_text()) for file in files])


if __name__ == "__main__":
    write(__doc__, "bench/python", parts)
