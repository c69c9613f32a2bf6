"""The checker's command line, and that its documents say what is there. In builds that have the checker."""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])
EXPLORE = pathlib.Path(os.environ.get("UNDERTHREAD_BUILD_DIR", ROOT / "build" / "dev")) / "tests/explore/explore"
TRUST = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")


def explore(*arguments):
    return subprocess.run([EXPLORE, *arguments], capture_output=True, text=True, timeout=100)


@unittest.skipUnless(EXPLORE.exists(), "this build has no checker")
class CommandLine(unittest.TestCase):
    def rows(self):
        return [line.split()[0] for line in explore("--list").stdout.splitlines()]

    def test_a_row_prints_its_runs(self):
        done = explore("--row", "lock-2", "--bound", "2")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"\nlock-2 +\d+ +\d+ +\d+\.\d\d  ok\n$")

    def test_two_runs_are_the_same_but_for_the_time(self):
        arguments = ("--row", "lock-3", "--row", "join", "--bound", "2", "--no-times", "--jobs", "2")
        first = explore(*arguments)
        self.assertEqual(first.returncode, 0)
        self.assertEqual(first.stdout, explore(*arguments).stdout)

    def test_one_run_can_be_seen_as_it_goes(self):
        done = explore("--row", "lock-2", "--replay", "")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"T0 lock 0 -> 0x\w+  \(acquire\)   <- include/underthread/lock.h:\d+")
        self.assertTrue(done.stdout.endswith("\n    ok\n"))

    def test_a_row_stops_when_its_time_is_up(self):
        done = explore("--row", "lock-4", "--bound", "none", "--seconds", "0.2")
        self.assertEqual(done.returncode, 0)
        self.assertIn("ok so far", done.stdout)

    def test_wrong_arguments_are_refused(self):
        for arguments, message in [
            (["--bound", "-1"], "--bound: not -1"),
            (["--bound"], "--bound needs a value"),
            (["--memory", "arm"], "--memory: not arm"),
            (["--row", "nothing"], "there is no row nothing"),
            (["--replay", ""], "--replay is for one --row"),
            (["--jobs", "0"], "--jobs: not 0"),
            (["--nonsense"], "unknown: --nonsense"),
        ]:
            with self.subTest(arguments):
                done = explore(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(message, done.stderr)
                self.assertIn("usage: explore", done.stderr)
        done = explore("--row", "lock-2", "--replay", "nonsense")
        self.assertEqual(done.returncode, 1)
        self.assertIn("that is no seed: nonsense", done.stdout)

    def test_every_row_is_in_the_document(self):
        self.assertEqual(re.findall(r"^\| `([a-z0-9-]+)` \| \d", TRUST, re.MULTILINE), self.rows())


class Mutants(unittest.TestCase):
    def test_the_document_says_how_many_there_are(self):
        patches = list((ROOT / "tests" / "explore" / "mutants").glob("*.patch"))
        self.assertIn(f"{len(patches)} of {len(patches)} faults are caught", TRUST)

    def test_each_says_what_is_wrong_and_what_catches_it(self):
        for patch in (ROOT / "tests" / "explore" / "mutants").glob("*.patch"):
            with self.subTest(patch.name):
                text = patch.read_text()
                self.assertRegex(text, r"^[A-Z`].*\S\n")
                self.assertRegex(text, r"\nCaught by: (\S+, bound \d+, stale \d+|\w+_test, \S+)\n\ndiff --git ")


if __name__ == "__main__":
    unittest.main()
