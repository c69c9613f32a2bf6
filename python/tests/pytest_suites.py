"""Runs pytest with our plugin over small suites of tests."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

from programs import PATIENCE, Program

NEEDED = ("pytest", "xdist", "pytest_asyncio", "pytest_timeout", "anyio")
DEBIAN = "/usr/lib/python3/dist-packages"
# What those are made of. Nothing else of Debian's folder is shown to an interpreter that is not Debian's.
PARTS = NEEDED + (
    "_pytest", "pytest_xdist", "py", "pluggy", "iniconfig", "packaging", "attr", "attrs", "execnet", "sniffio", "idna",
    "exceptiongroup", "tomli", "pygments", "typing_extensions",
)  # fmt: skip

farm = None


def set_up():
    """For `setUpModule`. An interpreter that has not what is needed is lent Debian's packages: they are all Python."""
    global farm
    farm = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(farm.cleanup)
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return
    for name in os.listdir(DEBIAN) if os.path.isdir(DEBIAN) else []:
        # A module, a package, or what says which plugins it has.
        if name.partition("-")[0].partition(".")[0] in PARTS:
            os.symlink(os.path.join(DEBIAN, name), os.path.join(farm.name, name))
    found = run_python("-c", "import " + ", ".join(NEEDED))
    if found.returncode:
        raise AssertionError(
            "the tests of the pytest plugin need {}. Install them:\n"
            "    apt-get install python3-pytest python3-pytest-xdist python3-pytest-asyncio python3-pytest-timeout "
            "python3-anyio python3-exceptiongroup python3-tomli\n"
            "    or {} -m pip install pytest pytest-xdist pytest-asyncio pytest-timeout anyio\n{}".format(
                ", ".join(NEEDED), sys.executable, found.stderr
            )
        )


def environment(**changes):
    without = {"UNDERTHREAD_DEADLOCK", "PYTEST_ADDOPTS", "PYTEST_TIMEOUT"}
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), farm.name]))
    return {
        **{name: value for name, value in os.environ.items() if name not in without},
        "PYTHONPATH": path,
        "COLUMNS": "200",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **changes,
    }


def run_python(*arguments):
    return subprocess.run([sys.executable, *arguments], env=environment(), capture_output=True, text=True, timeout=PATIENCE)


BEGIN = """
import asyncio, os, queue, socket, subprocess, sys, threading, time, unittest
import pytest, underthread
"""


class Suite(unittest.TestCase):
    def suite(self, text, **files):
        program = Program(BEGIN)
        self.addCleanup(program.__exit__)
        program.write("test_it.py", BEGIN + "\n" + textwrap.dedent(text))
        for name, content in files.items():
            program.write(name.replace("_py", ".py").replace("_ini", ".ini"), content)
        return program

    def command(self, *options, plugins=(), limit="0.5"):
        limits = ["--hang-timeout", limit] if limit is not None else []
        loaded = [word for name in ("pytest_underthread", *plugins) for word in ("-p", name)]
        return ["-m", "pytest", "-v", "-p", "no:cacheprovider", *loaded, *limits, *options]

    def run_suite(self, text, *options, plugins=(), limit="0.5", files={}, env={}):
        """Runs it; what it printed, and how each test of it ended: {name: "PASSED"}, {(name, phase): its report}."""
        program = self.suite(text, **files)
        self.ended = program.run(
            [sys.executable], *self.command(*options, plugins=plugins, limit=limit), env=environment(**env)
        )
        self.out = self.ended.stdout
        return dict(
            re.findall(r"^(?:\[gw\d\] .* )?(?:test_it\.py::)(\S+) (PASSED|FAILED|ERROR|XFAIL|SKIPPED)", self.out, re.M)
            + [(name, how) for how, name in re.findall(r"^\[gw\d\] .* (PASSED|FAILED|ERROR) test_it\.py::(\S+)", self.out, re.M)]
        )

    def report(self, title):
        """The report with that title: "test_x", "ERROR at teardown of test_x"."""
        found = re.search(r"^_+ {} _+\n(.*?)(?=^_{{5,}} |^={{5,}} )".format(re.escape(title)), self.out, re.M | re.S)
        self.assertTrue(found, f"no report {title!r} in\n{self.out}{self.ended.stderr}")
        return found[1]

    def assert_took_too_long(self, title, name, phase="call", seconds="0.5"):
        report = self.report(title)
        text = re.escape(f"hang_timeout: test_it.py::{name} ({phase}) took more than {seconds} s\n")
        self.assertRegex(report, f"(?m)^(E +Failed: )?{text}")
        return report
