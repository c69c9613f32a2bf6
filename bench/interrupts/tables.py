#!/usr/bin/env python3
"""Makes the tables of what measure.py has measured: tables.py [--into PAGE] FILE...

They are printed, or put into PAGE between the lines that name this folder. Exit status 1 if an interrupt was
lost, or came twice.
"""

import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from pythons import version
from report import Table, quantile, write


def late(numbers):
    return sum(ns > 20_000_000 for ns in numbers)


def us(ns):
    return f"{ns / 1000:,.0f}"


def of_python(measured):
    """The Python runs of all files, the oldest version first: name, rows on ours, rows on its own."""
    ours, stock = {}, {}
    for file in measured:
        for run in file["runs"]:
            if run["who"] != "C++":
                (ours if run["ours"] else stock)[run["who"]] = {row["wait"]: row for row in run["rows"]}
    return [(name, ours[name], stock.get(name, {})) for name in sorted(ours, key=version)]


def cell(row):
    return " · ".join(us(quantile(row["ns"], share)) for share in (0.5, 0.99, 1))


def stock_cell(row):
    if row is None:
        return "–"
    return "never" if row["lost"] else us(statistics.median(row["ns"]))


def tables(measured):
    first = measured[0]
    pythons = of_python(measured)
    runs = [run for file in measured for run in file["runs"] if run["ours"]]
    rows = [row for run in runs for row in run["rows"]]
    floors = [ns for row in rows for ns in row["floor"]]
    lost = sum(row["lost"] for row in rows)
    twice = sum(row["twice"] for row in rows)
    trials = [ns for row in rows for ns in row["ns"]]

    yield (
        f"{len(trials):,} interrupts, {first['trials']} for each wait: {lost} lost, {twice} twice. Microseconds from the "
        f"call that sends one to the first line of its handler: median · 99th percentile · longest. {first['machine']}. "
        f"Made by `script/bench interrupts`."
    )
    yield (
        f"What the machine alone takes (`pthread_kill`, an empty handler, EINTR, back from `read`; measured between "
        f"these trials, {len(floors):,} times): {us(quantile(floors, 0.5))} · {us(quantile(floors, 0.99))} · "
        f"{us(max(floors))}. More than 20 ms: {late(floors)} of its trials, and {late(trials)} of the interrupts."
    )

    table = Table("C++", "µs", "of the machine's median then")
    for run in measured[0]["runs"]:
        if run["who"] == "C++":
            for row in run["rows"]:
                ratio = statistics.median(row["ns"]) / statistics.median(row["floor"])
                table.add(f"`{row['wait']}`" if "," not in row["wait"] else row["wait"], cell(row), f"{ratio:.1f}")
    yield str(table)

    names = [name for name, _, _ in pythons]
    waits = [row["wait"] for row in rows if row["wait"] in pythons[-1][1]]
    waits = list(dict.fromkeys(waits))
    table = Table("Python, on underthread", *names)
    for wait in waits:
        table.add(wait, *(cell(ours[wait]) for _, ours, _ in pythons))
    yield str(table)

    table = Table("of the machine's median then", *names)
    of_another = ", another thread"
    kinds = (
        ("our waits; wanted: 2 at most", lambda row: row["kind"] == "ours" and of_another not in row["wait"]),
        ("the same in another thread", lambda row: row["kind"] == "ours" and of_another in row["wait"]),
        ("system calls; wanted: 4 at most", lambda row: row["kind"] == "system"),
    )
    for title, is_of_kind in kinds:
        ratios = []
        for _, ours, _ in pythons:
            of_kind = list(filter(is_of_kind, ours.values()))
            if not of_kind:
                continue
            each = [statistics.median(row["ns"]) / statistics.median(row["floor"]) for row in of_kind]
            ratios.append(f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})")
        if len(ratios) == len(pythons):
            table.add(title, *ratios)
    yield str(table)

    noticed = [row for _, _, stock in pythons for row in stock.values() if not row["lost"]]
    if not noticed:
        yield (
            f"On its own `_thread` each of these Pythons waited on, in each of these waits of the main thread, until the "
            f"wait was let go after {first['cap']:g} s."
        )
    else:
        table = Table("Python, on its own `_thread`", *names)
        for wait in waits:
            if any(wait in stock for _, _, stock in pythons):
                table.add(wait, *(stock_cell(stock.get(wait)) for _, _, stock in pythons))
        yield str(table)
        yield f"“never”: not within {first['cap']:g} s, when the wait was let go."

    if lost or twice:
        sys.exit(f"{lost} interrupts were lost, {twice} came twice")


def parts(files):
    return list(tables([json.loads(file.read_text()) for file in files]))


if __name__ == "__main__":
    write(__doc__, "bench/interrupts", parts)
