"""Which interpreters cmake/python.cmake builds for, on machines that have this and that."""

import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])

LIST = """
cmake_minimum_required(VERSION 3.25)
include("{root}/cmake/python.cmake")
set(UNDERTHREAD_PYTHON ON)
set(UNDERTHREAD_PYTHON_VERSIONS 3.11 3.13t)
underthread_find_pythons()
foreach(name IN LISTS UNDERTHREAD_PACKAGE_PYTHONS)
  list(GET UNDERTHREAD_PYTHON_${{name}} 0 path)
  list(GET UNDERTHREAD_PYTHON_${{name}} 2 suffix)
  message("${{name}} ${{path}} ${{suffix}}")
endforeach()
"""


class Pythons(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.machine = pathlib.Path(directory.name).resolve()
        self.headers = self.machine / "include"
        self.headers.mkdir()
        (self.headers / "Python.h").touch()
        (self.machine / "list.cmake").write_text(LIST.format(root=ROOT))

    def interpreter(self, path, version, free_threaded="", headers=None, kind="cpython"):
        """Puts something there that answers as that interpreter would."""
        path = self.machine / path
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = [path, kind, version, free_threaded, headers or self.headers, f".of-{version}{free_threaded}.so",
                  path.parent.parent]
        path.write_text(f"#!/bin/sh\nprintf %s '{';'.join(map(str, answer))}'\n")
        path.chmod(0o755)
        return path

    def found(self, words="found", environment=None):
        """What is found, without the machine's real interpreters; and all that was said."""
        done = subprocess.run(
            [os.environ.get("CMAKE_COMMAND", "cmake"), f"-DUNDERTHREAD_PYTHONS={words}", "-P", "list.cmake"],
            cwd=self.machine, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": f"{self.machine}/bin:/usr/bin:/bin", "HOME": f"{self.machine}/home", **(environment or {})})
        lines = [line.split() for line in done.stdout.splitlines() if f" {self.machine}" in line]
        mine = [line[0] for line in lines if line[0][0].isdigit()]
        return mine, done

    def test_those_on_the_path_and_those_of_a_version_manager(self):
        self.interpreter("bin/python3", "3.11.9")
        self.interpreter("tools/bin/python3.13t", "3.13.1", "t")
        (self.machine / "bin/python3.13t").symlink_to("../tools/bin/python3.13t")
        self.interpreter("home/.pyenv/versions/3.11.7/bin/python3", "3.11.7")
        mine, done = self.found()
        self.assertEqual((done.returncode, mine), (0, ["3.11.9", "3.13.1t", "3.11.7"]), done.stdout)
        mine, done = self.found("python3")
        self.assertEqual((done.returncode, mine), (0, ["3.11.9"]), done.stdout)

    def test_a_version_manager_may_live_elsewhere(self):
        self.interpreter("elsewhere/versions/3.11.7/bin/python3", "3.11.7")
        mine, done = self.found(environment={"PYENV_ROOT": f"{self.machine}/elsewhere"})
        self.assertEqual((done.returncode, mine), (0, ["3.11.7"]), done.stdout)

    def test_two_of_one_version_are_told_apart_and_one_with_two_names_is_one(self):
        one = self.interpreter("one/bin/python3", "3.11.9")
        two = self.interpreter("two/bin/python3", "3.11.9")
        mine, done = self.found(f"{one};{one.parent}/../bin/python3;{two}")
        self.assertEqual((done.returncode, mine), (0, ["3.11.9", "3.11.9-2"]), done.stdout)

    def test_what_cannot_be_built_for_is_left_out_with_a_notice(self):
        self.interpreter("bin/python3", "3.11.9")
        self.interpreter("home/.pyenv/versions/a/bin/python3", "3.8.1")
        self.interpreter("home/.pyenv/versions/b/bin/python3", "3.13.1")
        self.interpreter("home/.pyenv/versions/c/bin/python3", "3.11.1", kind="pypy")
        self.interpreter("home/.pyenv/versions/d/bin/python3", "3.11.2", headers="/nowhere")
        broken = self.interpreter("home/.pyenv/versions/e/bin/python3", "3.11.3")
        broken.write_text("#!/bin/sh\necho 'not installed' >&2; exit 127\n")
        mine, done = self.found()
        self.assertEqual((done.returncode, mine), (0, ["3.11.9"]), done.stdout)
        for what in ("is cpython 3.8.1:", "is cpython 3.13.1:", "is pypy 3.11.1:", "no headers (/nowhere/Python.h)"):
            self.assertIn(what, done.stdout)
        self.assertNotIn("not installed", done.stdout)

    def test_one_that_is_named_must_be_there_and_have_headers(self):
        bare = self.interpreter("bare/bin/python3", "3.11.9", headers="/nowhere")
        for named in (bare, "/nonexistent"):
            _, done = self.found(str(named))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("UNDERTHREAD_PYTHONS has", " ".join(done.stdout.split()))
            self.assertIn(str(named), done.stdout)

    def test_the_environment_names_them_where_the_option_does_not(self):
        one = self.interpreter("one/bin/python3", "3.11.9")
        two = self.interpreter("two/bin/python3", "3.13.1", "t")
        environment = {"UNDERTHREAD_PYTHONS": str(one)}
        self.assertEqual(self.found("python3", environment)[0], ["3.11.9"])
        self.assertEqual(self.found("found", environment)[0], ["3.11.9"])
        self.assertEqual(self.found(str(two), environment)[0], ["3.13.1t"])


if __name__ == "__main__":
    unittest.main()
