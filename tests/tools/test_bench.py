"""The tables of script/bench: made of what was measured, into the place that the page has for them."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])
BENCH = ROOT / "bench"


def row(wait, ns, kind="ours", **other):
    return dict(wait=wait, kind=kind, ns=ns, floor=[10_000, 20_000, 30_000], lost=0, twice=0) | other


def measured(python_row, stock_row):
    return dict(
        trials=3,
        cap=2.0,
        machine="a machine",
        runs=[
            dict(who="C++", ours=True, rows=[row("read", [40_000, 50_000, 60_000], "system")]),
            dict(who="3.9.18", ours=True, rows=[python_row, row("os.read", [60_000], "system")]),
            dict(who="3.9.18", ours=False, rows=[stock_row]),
        ],
    )


class Tables(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_tables(self, what, files, *arguments):
        """`files`: what each is called, and the text in it."""
        for name, text in files.items():
            (self.folder / name).write_text(text)
        paths = [self.folder / name for name in files]
        return subprocess.run(
            [sys.executable, BENCH / what / "tables.py", *arguments, *paths], capture_output=True, text=True
        )

    def assertShown(self, done, *rows):
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for shown in rows:
            self.assertRegex(done.stdout, r"\| " + r" +\| +".join(shown) + r" +\|")


class Interrupts(Tables):
    def run_with(self, *arguments, **rows):
        given = dict(python_row=row("Queue.get", [30_000, 40_000, 50_000]), stock_row=row("Queue.get", [3e9], lost=1))
        return self.run_tables("interrupts", {"measured.json": json.dumps(measured(**given | rows))}, *arguments)

    def test_medians_percentiles_and_ratios_are_shown(self):
        done = self.run_with()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("7 interrupts, 3 for each wait: 0 lost, 0 twice.", done.stdout)
        self.assertRegex(done.stdout, r"\| `read` +\| 50 · 60 · 60 \| +2\.5 \|")
        self.assertRegex(done.stdout, r"\| Queue\.get +\| 40 · 50 · 50 \|")
        self.assertRegex(done.stdout, r"\| system calls; wanted: 4 at most +\| 3\.0 \(3\.0 to 3\.0\) \|")
        self.assertIn("On its own `_thread` each of these Pythons waited on", done.stdout)

    def test_what_the_interpreter_notices_by_itself_has_a_table(self):
        done = self.run_with(stock_row=row("Queue.get", [70_000, 80_000, 90_000]))
        self.assertRegex(done.stdout, r"\| Python, on its own `_thread` \| +3\.9\.18 \|\n\|[-|:]+\n\| Queue\.get +\| +80 \|")

    def test_a_lost_interrupt_is_told(self):
        done = self.run_with(python_row=row("Queue.get", [3e9], lost=1))
        self.assertEqual((done.returncode, done.stderr), (1, "1 interrupts were lost, 0 came twice\n"))

    def test_they_replace_what_the_page_had_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "page.md"
            page.write_text("before\n<!-- bench/interrupts -->\nold\n<!-- end of bench/interrupts -->\nafter\n")
            self.assertEqual(self.run_with("--into", page).returncode, 0)
            text = page.read_text()
            self.assertRegex(text, r"^before\n<!-- bench/interrupts -->\n\n7 interrupts")
            self.assertTrue(text.endswith("\n\n<!-- end of bench/interrupts -->\nafter\n"))
            self.assertNotIn("old", text)
            page.write_text("nothing\n")
            self.assertIn("has no place for it", self.run_with("--into", page).stderr)
            self.assertEqual(page.read_text(), "nothing\n")


def printed(work, **figures_of):
    """What a program prints of a work: a line for each who did it."""
    return "".join(json.dumps(dict(work=work, who=who, **figures)) + "\n" for who, figures in figures_of.items())


class Threads(Tables):
    def test_what_is_kept_and_what_is_not_are_told_apart(self):
        start = dict(ns=[20_000, 22_000, 24_000])
        files = {
            "start.json": printed(
                "start and join",
                **{"pthread_create": dict(ns=[20_000]), "std::thread": dict(ns=[30_000]), "underthread::Thread": start},
            ),
            "memory.json": printed(
                "memory", **{"pthread in a futex": dict(bytes=[8000]), "underthread::Thread": dict(bytes=[8400])}
            ),
            "wake.json": printed("wake", **{"bare futex": dict(ns=[100]), "underthread::interrupt": dict(ns=[150])}),
        }
        self.assertShown(
            self.run_tables("threads", files),
            ("start and join", "pthread_create", r"1\.10", r"≤ 1\.05", r"\*\*not kept\*\*"),
            ("start and join", "std::thread", r"0\.73", "≤ 1", "kept"),
            ("memory", "pthread in a futex", r"1\.05", r"≤ 1\.1", "kept"),
            ("wake", "bare futex", r"1\.50", r"≤ 1\.5", "kept"),
            ("underthread::Thread", r"22\.0", r"20\.0", r"24\.0"),
            ("underthread::Thread", "8,400", "8,400", "8,400"),
        )


class Locks(Tables):
    LOCKS = ("underthread::Lock, acquire", "std::mutex", "other")

    def files(self, ours=(200, 0.5), other=(150, 0.9)):
        works = {
            "pair/underthread::Lock, acquire": 4,
            "pair/bare: compare-and-swap, exchange": 5,
            "pair/std::mutex": 4,
            "pair/underthread::RLock": 5,
            "re-entry/underthread::RLock": 1,
            "re-entry/std::recursive_mutex": 4,
            "failing try/underthread::Lock, lock": 1,
            "failing try/underthread::Lock, acquire": 3,
            "look/bare: load": 1,
            "look/underthread::Lock, locked": 1,
            "ident/pthread_self": 1,
            "ident/get_ident": 1,
            "ident/get_native_id": 1,
        }
        runs = [dict(run_type="iteration", run_name=name, cpu_time=time) for name, time in works.items()]
        contended = "".join(
            printed(
                f"{threads} threads, 0 loops",
                **{
                    lock: dict(per_second=[taken * 1e6], fairness=[fairness], wait=[1000])
                    for lock, (taken, fairness) in zip(self.LOCKS, (ours, (100, 0.7), other))
                },
            )
            for threads in (2, 32)
        )
        handoff = "".join(
            printed(
                f"hand-off, {place}",
                **{"bare futex": dict(ns=[40_000], worked=[20_000]), "underthread::Lock": dict(ns=[200], worked=[200])},
            )
            for place in ("cores free", "a core each", "one core")
        ) + printed("hand-off, all cores busy", **{"bare futex": dict(ns=[20_000]), "underthread::Lock": dict(ns=[30_000])})
        waiters = "".join(
            printed(
                f"{number} wait {where}",
                **{"bare futex": dict(ns=[5000]), "underthread::Lock": dict(ns=[5000 if number == 10 else 7000])},
            )
            for where in ("on other locks", "on it")
            for number in (10, 10_000)
        )
        timeouts = printed(
            "a wait", **{"clock_nanosleep": dict(ns=[50_000]), "underthread::Lock, acquire(timeout)": dict(ns=[51_000])}
        )
        return {
            "uncontended.json": json.dumps(dict(benchmarks=runs)),
            "contended.json": contended,
            "handoff.json": handoff,
            "waiters.json": waiters,
            "timeouts.json": timeouts,
        }

    def test_each_goal_is_judged_by_the_medians(self):
        self.assertShown(
            self.run_tables("locks", self.files()),
            (r"acquire \+ release", "bare: compare-and-swap, exchange", r"0\.80", r"≤ 1\.1", "kept"),
            ("", r"std::mutex", r"1\.00", r"≤ 0\.8", r"\*\*not kept\*\*"),
            (r"acquire\(false\) that fails", "bare: load", r"3\.00", "≤ 2", r"\*\*not kept\*\*"),
            ("throughput, geometric mean", "std::mutex", r"2\.00", r"≥ 1\.2", "kept"),
            ("fairness with 32 threads, worst", "", r"0\.50", r"≥ 0\.3", "kept"),
            ("cells where a peer has more of both", "", r"0", "≤ 0", "kept"),
            ("time, a core each", "bare futex", r"0\.01", r"≤ 0\.5", "kept"),
            ("time, all cores busy", "bare futex", r"1\.50", r"≤ 1\.25", r"\*\*not kept\*\*"),
            ("10000 wait on it, of 10", "itself", r"1\.40", r"≤ 1\.3", r"\*\*not kept\*\*"),
            ("too late after a wait", "clock_nanosleep", r"1\.02", r"≤ 1\.1", "kept"),
        )

    def test_a_peer_that_has_more_of_both_is_named(self):
        done = self.run_tables("locks", self.files(other=(201, 0.6)))
        self.assertIn("More of both: other (2 threads, 0 loops), other (32 threads, 0 loops).", done.stdout)

    def test_a_file_that_is_missing_is_an_error(self):
        files = self.files()
        del files["waiters.json"]
        done = self.run_tables("locks", files)
        self.assertEqual((done.returncode, done.stderr), (1, "tables.py: also needs waiters.json\n"))


class Pythons(Tables):
    def test_newer_interpreters_have_goals_of_their_own_and_a_work_may_be_missing(self):
        def run(python, works, added):
            rows = {work: dict(work=title, unit="ns", ours=ours, stock=stock) for work, title, ours, stock in works}
            shares = [dict(work="an operation", ns=200, calls=2, in_calls=50)]
            start = dict(added_ms=added, on_ms=12)
            return dict(python=python, rows=rows, start=start, shares=dict(ours=shares, stock=shares))

        memory = ("memory", "memory", [50], [100])
        runs = [
            run("3.14.1", [("acquire_release", "a pair", [80, 90, 70], [100]), memory], 1.5),
            run("3.9.18", [("acquire_release", "a pair", [80], [100]), memory], 0.5),
            run("3.13.15t", [("one_lock_2", "2 threads take one lock", [120], [100]), memory], 1.0),
        ]
        done = self.run_tables("python", {"python.json": json.dumps(dict(machine="a machine", rounds=3, runs=runs))})
        self.assertShown(
            done,
            ("work", r"wanted \(from 3\.14 on\)", r"3\.9\.18", r"3\.13\.15t", r"3\.14\.1"),
            ("a pair", r"0\.65 \(1\)", r"\*\*0\.80\*\* \(80 ns\)", "–", r"0\.80 \(80 ns\)"),
            ("2 threads take one lock", "1", "–", r"\*\*1\.20\*\* \(120 ns\)", "–"),
            (".*", r"\+1 ms", r"\+0\.5 ms \(12\.0 ms\)", r"\+1\.0 ms \(12\.0 ms\)", r"\*\*\+1\.5 ms\*\* \(12\.0 ms\)"),
            ("an operation", *[r"200 ns, 25 % \(200 ns, 25 %\)"] * 3),
        )


if __name__ == "__main__":
    unittest.main()
