"""script/run, from a build that is there: the user's own program, and the main job."""

import json
import os
import shlex
import signal
import sys
import tempfile
import unittest
from pathlib import Path

import programs
from programs import SOURCE, Terminal, finish, run, start

RUN = str(SOURCE / "script" / "run")

SHOW_ITSELF = """
import _thread, json, os, sys
json.dump({
    "argv": sys.argv,
    "directory": os.getcwd(),
    "input": sys.stdin.read(),
    "name": __name__,
    "thread": _thread.__spec__.origin,
}, sys.stdout)
sys.exit(7)
"""

WAIT_FOR_EVER = """
import threading
print("waiting", flush=True)
threading.Event().wait()
"""


def environment():
    """As a user has it, with this Python first on PATH."""
    here = dict(os.environ)
    here.pop("PYTHONPATH", None)
    here["PATH"] = os.path.dirname(sys.executable) + os.pathsep + here["PATH"]
    return here


@unittest.skipUnless(programs.HAS_PACKAGE, programs.NO_PACKAGE)
class Run(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="with a space ")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name).resolve()

    def run_here(self, *arguments, text=None):
        return run(self, [RUN, *arguments], text, cwd=self.directory, env=environment())

    def check(self, shown, argv):
        self.assertEqual(shown["argv"], argv)
        self.assertEqual(shown["directory"], str(self.directory))
        self.assertEqual(shown["input"], "typed\n")
        self.assertEqual(shown["name"], "__main__")
        package = programs.BUILD / "python" / "underthread"
        self.assertEqual(os.path.dirname(shown["thread"]), str(package))

    def test_file(self):
        (self.directory / "it self.py").write_text(SHOW_ITSELF)
        status, out, err = self.run_here("it self.py", "-m", "--help", "a b", "", text="typed\n")
        self.assertEqual((status, err), (7, ""))
        self.check(json.loads(out), ["it self.py", "-m", "--help", "a b", ""])

    def test_module(self):
        (self.directory / "itself.py").write_text(SHOW_ITSELF)
        status, out, err = self.run_here("-m", "itself", "--help", text="typed\n")
        self.assertEqual((status, err), (7, ""))
        self.check(json.loads(out), [str(self.directory / "itself.py"), "--help"])

    def test_missing_file(self):
        status, out, err = self.run_here("nowhere.py")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("nowhere.py", err)

    def test_ctrl_c_ends_the_program_by_sigint(self):
        (self.directory / "wait.py").write_text(WAIT_FOR_EVER)
        process = start(self, [RUN, "wait.py"], cwd=self.directory, env=environment())
        self.assertEqual(process.stdout.readline(), b"waiting\n")
        process.send_signal(signal.SIGINT)
        status, _, err = finish(process)
        self.assertEqual(status, -signal.SIGINT)
        self.assertTrue(err.endswith("\nKeyboardInterrupt\n"), err)

    def test_help(self):
        status, out, err = self.run_here("--help")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("usage: script/run\n"), out)

    def test_main_job_through_a_link(self):
        link = self.directory / "run"
        link.symlink_to(RUN)
        status, out, err = run(self, [str(link)], cwd="/", env=environment())
        self.assertEqual(status, 0, out + err)
        lines = out.splitlines()
        self.assertRegex(lines[0], r"^ +Python, underthread +Python, its own +C\+\+, underthread$")
        self.assertRegex(lines[1], r"^time( +\d+\.\d\d s){3}$")
        table = [line.split()[0] for line in lines[: lines.index("")]]
        names = table[table.index("different") + 1 :]
        self.assertEqual(len(names), 20)
        self.assertIn("self", names)
        hangs = lines.index("And a program that hangs (examples/python/hangs/transfer.py):")
        self.assertRegex(lines[hangs - 2], r"^The same numbers three times, of all \d+ identifiers\.$")
        self.assertEqual(lines[hangs + 1], "underthread: deadlock: 2 threads wait for each other")
        self.assertRegex(lines[-1], r"at .*transfer.py:12 in move: with second:$")
        self.assertNotIn("\r", err, "a progress bar, and no terminal")

    def test_main_job_on_a_terminal_shows_progress_and_stops_at_ctrl_c(self):
        terminal = Terminal(self, [RUN], environment())
        terminal.read_until("MB")
        terminal.press(b"\x03")
        self.assertEqual(terminal.finish(), -signal.SIGINT)
        self.assertIn("PARTIAL: Ctrl-C", terminal.seen)
        self.assertNotIn("Traceback", terminal.seen)


@unittest.skipUnless(programs.HAS_PACKAGE, programs.NO_PACKAGE)
class SideBySide(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        (self.directory / "a.py").write_text("one two two")

    def compare(self, index_files):
        tool = str(SOURCE / "tools" / "side_by_side.py")
        return run(
            self,
            [sys.executable, tool, "--root", str(self.directory), "--index-files", index_files],
        )

    def index_files_that(self, does):
        script = self.directory / "index_files"
        script.write_text(f'#!/bin/bash\nset -e\n{shlex.quote(programs.IN_CPP[0])} "$@"\n{does}\n')
        script.chmod(0o755)
        return str(script)

    def test_same(self):
        status, out, err = self.compare(self.index_files_that("true"))
        self.assertEqual(status, 0, err)
        self.assertTrue(out.endswith("The same numbers three times, of all 2 identifiers.\n"))

    def test_difference_is_said(self):
        # $4 is the file of --index: what stands in it counts, even if the same was printed.
        status, out, err = self.compare(self.index_files_that('echo "1 three" >>"$4"'))
        self.assertEqual(status, 1)
        self.assertIn("DIFFERENT: three: Python, underthread and C++, underthread\n", err)
        self.assertIn("THE NUMBERS DIFFER", err)
        self.assertNotIn("The same", out)

    def test_failure_is_said(self):
        status, out, err = self.compare(self.index_files_that("exit 3"))
        self.assertEqual(status, 1)
        self.assertIn("C++, underthread ended with status 3", err)
        self.assertNotIn("The same", out)


if __name__ == "__main__":
    unittest.main()
