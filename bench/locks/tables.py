#!/usr/bin/env python3
"""Makes the tables of what locks_uncontended and locks_contended have printed.

    tables.py [--into PAGE] UNCONTENDED CONTENDED

They are printed, or put into PAGE between the lines that name this folder.
"""

import argparse
import json
import math
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from report import Table, machine, put_into, quantile

OURS = "underthread::Lock, acquire"
PEER = "std::mutex"
BARE = "bare: compare-and-swap, exchange"

# What is wanted: the work, ours, beside what, and how many times that it may take.
GOALS = [
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


def times_of(measured):
    """Each work's times, ns, one for each repetition."""
    times = {}
    for run in measured["benchmarks"]:
        if run["run_type"] == "iteration":
            times.setdefault(run["run_name"], []).append(run["cpu_time"])
    return times


def goals(times):
    table = Table("what", "beside", "ns", "of that", "wanted", "")
    for title, ours, peer, goal in GOALS:
        if peer not in times:
            continue
        ratio = statistics.median(times[ours]) / statistics.median(times[peer])
        table.add(
            title,
            peer.split("/", 1)[1],
            f"{statistics.median(times[ours]):.2f}",
            f"{ratio:.2f}",
            f"{goal:g}",
            "kept" if ratio <= goal else "not kept",
        )
    return str(table)


def pairs(times):
    table = Table("lock and unlock", "ns: median", "a quarter is below", "above", "try that fails")
    works = sorted((name for name in times if name.startswith("pair/")), key=lambda name: statistics.median(times[name]))
    for work in works:
        lock = work.split("/", 1)[1]
        failing = times.get(f"failing try/{lock}")
        table.add(
            lock,
            f"{statistics.median(times[work]):.2f}",
            f"{quantile(times[work], 0.25):.2f}",
            f"{quantile(times[work], 0.75):.2f}",
            f"{statistics.median(failing):.2f}" if failing else "",
        )
    return str(table)


class Contended:
    def __init__(self, lines):
        self.cells = {}
        for row in map(json.loads, lines):
            self.cells.setdefault((row["threads"], row["work"]), {})[row["lock"]] = row
        self.locks = list(next(iter(self.cells.values())))

    def median(self, cell, lock, what):
        return statistics.median(self.cells[cell][lock][what])

    def table(self, title, text):
        table = Table(title, *self.locks)
        for cell in self.cells:
            table.add(f"{cell[0]} threads, {cell[1]} loops", *(text(cell, lock) for lock in self.locks))
        return str(table)

    def tables(self):
        ratios = [
            self.median(cell, OURS, "per_second") / self.median(cell, PEER, "per_second") for cell in self.cells
        ]
        mean = math.exp(statistics.mean(map(math.log, ratios)))
        many = max(threads for threads, _ in self.cells)
        fairness = min(self.median(cell, OURS, "fairness") for cell in self.cells if cell[0] == many)
        better = [
            f"{lock} ({cell[0]} threads, {cell[1]} loops)"
            for cell in self.cells
            for lock in self.locks
            if lock != OURS
            and all(self.median(cell, lock, what) > self.median(cell, OURS, what) for what in ("per_second", "fairness"))
        ]
        table = Table("what", "measured", "wanted", "")
        table.add(f"throughput, of {PEER}'s: geometric mean", f"{mean:.2f}", "1.2", "kept" if mean >= 1.2 else "not kept")
        table.add("the same, worst cell", f"{min(ratios):.2f}", "0.9", "kept" if min(ratios) >= 0.9 else "not kept")
        table.add(
            f"fairness with {many} threads, worst", f"{fairness:.2f}", "0.3", "kept" if fairness >= 0.3 else "not kept"
        )
        table.add(
            "cells in which a peer is better in both", str(len(better)), "0", "kept" if not better else "not kept"
        )
        yield str(table)
        yield self.table(
            "taken in a second, millions", lambda cell, lock: f"{self.median(cell, lock, 'per_second') / 1e6:.2f}"
        )
        yield self.table("least lucky ÷ luckiest thread", lambda cell, lock: f"{self.median(cell, lock, 'fairness'):.2f}")
        yield self.table("wait, 99.9 %, µs", lambda cell, lock: f"{self.median(cell, lock, 'wait') / 1000:,.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=pathlib.Path, metavar="PAGE")
    parser.add_argument("uncontended", type=pathlib.Path)
    parser.add_argument("contended", type=pathlib.Path)
    options = parser.parse_args()
    times = times_of(json.loads(options.uncontended.read_text()))
    repetitions = max(map(len, times.values()))
    rounds = Contended(options.contended.read_text().splitlines())
    text = "\n\n".join(
        [
            f"{machine()}. Made by `script/bench locks`.",
            "### Nobody else wants it",
            f"Medians of {repetitions} repetitions, all works in a random order; ns of a processor.",
            goals(times),
            pairs(times),
            "### Several threads want it",
            "Each takes it, counts, gives it back and works a number of empty loops outside; all locks have their turn in "
            "each round, medians of the rounds.",
            *rounds.tables(),
        ]
    )
    if options.into:
        put_into(options.into, "bench/locks", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
