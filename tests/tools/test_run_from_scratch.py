"""script/run in a tree where nothing has been built yet."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ["UNDERTHREAD_SOURCE_DIR"])

ECHO = "import sys; print(sys.argv[1:], sys.stdin.read())"


class RunFromScratch(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="with a space ")
        self.addCleanup(directory.cleanup)
        self.tree = Path(directory.name).resolve() / "src" / "trée"
        shutil.copytree(SOURCE, self.tree, ignore=shutil.ignore_patterns("build", ".git"))

    def run_echo(self):
        environment = dict(os.environ)
        environment.pop("UNDERTHREAD_BUILD_DIR")
        return subprocess.run(
            [str(self.tree / "script" / "run"), "-c", ECHO, "an argument"],
            cwd="/",
            env=environment,
            input="typed",
            capture_output=True,
            text=True,
        )

    def test_builds_once_and_keeps_stdout_and_stdin_for_the_program(self):
        expected = "['an argument'] typed\n"
        # As greedy as apt-get, which takes what it finds on its standard input.
        setup = self.tree / "script" / "setup"
        setup.write_text(setup.read_text().replace("\nset -", "\ncat >/dev/null\nset -"))
        first = self.run_echo()
        self.assertEqual((first.returncode, first.stdout), (0, expected), first.stderr)
        self.assertEqual(
            first.stderr, f"script/run: building in {self.tree / 'build' / 'release'}\n"
        )
        second = self.run_echo()
        self.assertEqual((second.returncode, second.stdout, second.stderr), (0, expected, ""))

    def test_shows_why_the_build_failed(self):
        # Among the first to be compiled.
        (self.tree / "src" / "deadline.cpp").write_text("int main() { return nonsense; }\n")
        done = self.run_echo()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("nonsense", done.stderr)
        self.assertTrue(done.stderr.endswith("script/run: failed: cmake --build --preset release\n"))

    def test_stops_where_something_is_missing(self):
        setup = self.tree / "script" / "setup"
        setup.write_text('#!/bin/sh\necho "to install it, run: $*"\nexit 1\n')
        done = self.run_echo()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "to install it, run: --run\n")
        self.assertFalse((self.tree / "build").exists())


if __name__ == "__main__":
    unittest.main()
