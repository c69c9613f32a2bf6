"""The tables of script/bench: made of what was measured, into the place that the page has for them."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])
TABLES = ROOT / "bench" / "interrupts" / "tables.py"


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
    def run_with(self, *arguments, **rows):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = pathlib.Path(folder.name) / "measured.json"
        given = dict(python_row=row("Queue.get", [30_000, 40_000, 50_000]), stock_row=row("Queue.get", [3e9], lost=1))
        file.write_text(json.dumps(measured(**given | rows)))
        return subprocess.run([sys.executable, TABLES, *arguments, file], capture_output=True, text=True)

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


if __name__ == "__main__":
    unittest.main()
