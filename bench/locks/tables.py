#!/usr/bin/env python3
"""Makes the tables of what the programs of this folder have printed: tables.py [--into PAGE] FILE...

FILE: uncontended.json, contended.json, handoff.json, waiters.json, timeouts.json, all of them. The tables are printed, or
put into PAGE between the lines that name this folder.
"""

import json
import math
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from report import Goals, Table, machine, quantile, rows_of, write

OURS = "underthread::Lock, acquire"
LOCK = "underthread::Lock"
BARE = "bare: compare-and-swap, exchange"
FUTEX = "bare futex"

# What is wanted of a lock that nobody else wants: the work, ours, beside what, and how many times that it may take.
ALONE = [
    ("acquire + release", f"pair/{OURS}", f"pair/{BARE}", 1.10),
    ("", f"pair/{OURS}", "pair/std::mutex", 0.8),
    ("", f"pair/{OURS}", "pair/absl::Mutex", 0.35),
    ("", f"pair/{OURS}", "pair/parking_lot (Rust)", 1.0),
    ("RLock, first hold", "pair/underthread::RLock", f"pair/{OURS}", 1.3),
    ("RLock, re-entry", "re-entry/underthread::RLock", "re-entry/std::recursive_mutex", 0.6),
    ("try_lock() that fails", "failing try/underthread::Lock, lock", "look/bare: load", 2.0),
    ("acquire(false) that fails", f"failing try/{OURS}", "look/bare: load", 2.0),
    ("locked()", "look/underthread::Lock, locked", "look/bare: load", 2.0),
    ("get_ident()", "ident/get_ident", "ident/pthread_self", 2.0),
    ("get_native_id()", "ident/get_native_id", "ident/pthread_self", 2.0),
]


def median(row, what="ns"):
    return statistics.median(row[what])


def uncontended(file):
    times = {}
    for run in json.loads(file.read_text())["benchmarks"]:
        if run["run_type"] == "iteration":
            times.setdefault(run["run_name"], []).append(run["cpu_time"])
    medians = {work: statistics.median(found) for work, found in times.items()}

    yield "### Nobody else wants it"
    repetitions = max(map(len, times.values()))
    yield (
        f"In a process that has started a thread. Medians of {repetitions} repetitions, all works in a random order; ns of "
        f"a processor."
    )
    goals = Goals()
    for what, ours, peer, wanted in ALONE:
        if peer in medians:
            goals.add(what, peer.split("/", 1)[1], medians[ours] / medians[peer], wanted)
    yield str(goals)
    table = Table("lock and unlock", "ns", "a quarter is below", "above", "a try that fails, ns")
    for work in sorted(filter(lambda work: work.startswith("pair/"), times), key=medians.get):
        lock = work.split("/", 1)[1]
        failing = medians.get(f"failing try/{lock}")
        table.add(
            lock,
            f"{medians[work]:.2f}",
            f"{quantile(times[work], 0.25):.2f}",
            f"{quantile(times[work], 0.75):.2f}",
            f"{failing:.2f}" if failing else "–",
        )
    yield str(table)


def contended(file):
    cells = rows_of(file)
    locks = list(next(iter(cells.values())))
    ratios = {
        cell: median(rows[OURS], "per_second") / median(rows["std::mutex"], "per_second") for cell, rows in cells.items()
    }
    worst = min(ratios, key=ratios.get)
    many = [rows for cell, rows in cells.items() if cell.startswith("32 ")]

    def beats(theirs, ours):
        return all(median(theirs, what) > median(ours, what) for what in ("per_second", "fairness"))

    better = [
        f"{lock} ({cell})"
        for cell, rows in cells.items()
        for lock in locks
        if lock != OURS and beats(rows[lock], rows[OURS])
    ]
    yield "### Several threads want it"
    yield (
        "Each takes it, counts, gives it back and works a number of empty loops outside; all locks have their turn in each "
        f"of {len(next(iter(many))[OURS]['per_second'])} rounds, medians. Fairness is how often the least lucky thread had "
        "it, of how often the luckiest had."
    )
    goals = Goals()
    mean = math.exp(statistics.mean(map(math.log, ratios.values())))
    goals.add("throughput, geometric mean", "std::mutex", mean, 1.2, at_least=True)
    goals.add(f"throughput, worst: {worst}", "std::mutex", ratios[worst], 0.9, at_least=True)
    fairness = min(median(rows[OURS], "fairness") for rows in many)
    goals.add("fairness with 32 threads, worst", "", fairness, 0.3, at_least=True)
    goals.add("cells where a peer has more of both", "", len(better), 0)
    yield str(goals)
    if better:
        yield "More of both: " + ", ".join(better) + "."
    yield "![Throughput and fairness of each lock](performance-fairness.svg)"
    for title, what, scale, digits in (
        ("taken in a second, millions", "per_second", 1e-6, 2),
        ("fairness", "fairness", 1, 2),
        ("99.9 % of all waits are shorter than, µs", "wait", 1e-3, 1),
    ):
        table = Table(title, *locks)
        for cell, rows in cells.items():
            table.add(cell, *(f"{median(rows[lock], what) * scale:,.{digits}f}" for lock in locks))
        yield str(table)


def handoff(file):
    works = rows_of(file)
    yield "### From one thread to another"
    yield (
        "Two threads hand each other the turn, each waiting for what the other releases: how long one hand-off takes, and how "
        "much of that the processors worked. “Cores free”: the scheduler puts the threads where it likes."
    )
    goals = Goals()
    for place, wanted in (("cores free", 0.5), ("a core each", 0.5), ("all cores busy", 1.25)):
        rows = works[f"hand-off, {place}"]
        goals.add(f"time, {place}", FUTEX, median(rows[LOCK]) / median(rows[FUTEX]), wanted)
        if "worked" in rows[LOCK]:
            worked = median(rows[LOCK], "worked") / median(rows[FUTEX], "worked")
            goals.add(f"work, {place}", FUTEX, worked, 2)
    yield str(goals)
    locks = list(next(iter(works.values())))
    table = Table("µs (worked)", *locks)
    for work, rows in works.items():
        cells = []
        for lock in locks:
            worked = f" ({median(rows[lock], 'worked') / 1000:.2f})" if "worked" in rows[lock] else ""
            cells.append(f"{median(rows[lock]) / 1000:,.2f}{worked}")
        table.add(work.split(", ", 1)[1], *cells)
    yield str(table)


def waiters(file):
    works = rows_of(file)
    yield "### While others wait"
    yield (
        "A release that wakes a thread, which slept: how long the call takes that releases, while so many threads wait, on "
        "other locks or on this one. All on one processor, where the one that wakes up does not run at once: on another it "
        "takes 1 µs or 7, as that is asleep itself or not."
    )
    goals = Goals()
    for where in ("on other locks", "on it"):
        few, most = works[f"10 wait {where}"], list(filter(lambda work: work.endswith(where), works))[-1]
        many = works[most]
        goals.add(f"{most}, of 10", "itself", median(many[LOCK]) / median(few[LOCK]), 1.3)
        goals.add("", FUTEX, median(many[LOCK]) / median(many[FUTEX]), 1.3)
    yield str(goals)
    yield "![What a release takes while others wait](performance-waiters.svg)"
    locks = list(next(iter(works.values())))
    table = Table("µs", *locks)
    for work, rows in works.items():
        table.add(work, *(f"{median(rows[lock]) / 1000:,.2f}" for lock in locks))
    yield str(table)


def timeouts(file):
    ((work, rows),) = rows_of(file).items()
    yield "### Time limits"
    goals = Goals()
    nap = median(rows["clock_nanosleep"])
    for who, row in rows.items():
        if who.startswith(LOCK):
            goals.add(f"too late after {work}", "clock_nanosleep", median(row) / nap, 1.1)
    yield str(goals)
    table = Table(f"too late after {work}", "µs", "99 % are below")
    for who, row in rows.items():
        table.add(who, f"{median(row) / 1000:.1f}", f"{quantile(row['ns'], 0.99) / 1000:.1f}")
    yield str(table)


def parts(files):
    by_name = {file.stem: file for file in files}
    wanted = (uncontended, contended, handoff, waiters, timeouts)
    missing = [f"{part.__name__}.json" for part in wanted if part.__name__ not in by_name]
    if missing:
        sys.exit(f"tables.py: also needs {', '.join(missing)}")
    yield f"{machine()}. Made by `script/bench locks`."
    for part in wanted:
        yield from part(by_name[part.__name__])


if __name__ == "__main__":
    write(__doc__, "bench/locks", parts)
