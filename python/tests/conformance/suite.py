"""Runs one of the interpreter's own suites, in a process of its own, and reads how each test went."""

import collections
import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree

from environment import clean_environment

# How unittest names a test that it starts (-v) or that failed: 3.9 and 3.10 leave the method out of the
# parentheses.
STARTED = re.compile(r"^(\w+) \(([\w.]+)\)(?: \.\.\. |$)", re.MULTILINE)
ENDED_BADLY = re.compile(r"^(?:FAIL|ERROR|UNEXPECTED SUCCESS): (\w+) \(([\w.<>]+)\)", re.MULTILINE)


def identity(method, where):
    return where if where.rpartition(".")[2] == method else where + "." + method


class Run:
    """How one run of a suite went.

    tests     {name: its endings, each "passed", "failed" or "skipped"}
    outcome   why the run as a whole did not end as it should ("" if it did; a failed test is no reason)
    is_lost   True if it did not come to its end: a hang or a crash
    """

    def __init__(self, tests=None, outcome="", is_lost=False, seconds=0.0, processes=0, log=None):
        self.tests = tests or {}
        self.outcome = outcome
        self.is_lost = is_lost
        self.seconds = seconds
        self.processes = processes
        self.log = log

    def status(self, test):
        """The worst of its endings; None: it did not run."""
        endings = self.tests.get(test, ())
        for ending in ("failed", "passed", "skipped"):
            if ending in endings:
                return ending
        return None

    def count(self, ending=None):
        return sum(len(e) if ending is None else e.count(ending) for e in self.tests.values())


def read_tests(report, output):
    """What each test did. From the report, which is written at the very end; and from the output, as a
    test of which only a sub-test fails is missing in the report, and all is if the process died."""
    tests = collections.defaultdict(list)
    try:
        cases = xml.etree.ElementTree.parse(str(report)).getroot().iter("testcase")
    except (OSError, xml.etree.ElementTree.ParseError):
        cases = ()
        for found in STARTED.finditer(output):
            tests[identity(*found.groups())].append("passed")
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            ending = "failed"
        elif case.get("outcome") == "UNEXPECTED_SUCCESS" or case.get("result") == "UNEXPECTED_SUCCESS":
            ending = "failed"
        else:
            ending = "skipped" if case.find("skipped") is not None else "passed"
        tests[case.get("name")].append(ending)
    for found in ENDED_BADLY.finditer(output):
        name = identity(*found.groups())
        # setUpClass and the like go by other names in the report.
        if "failed" not in tests.get(name, ()) and "{} ({})".format(*found.groups()) not in tests:
            tests[name] = ["failed"]
    return dict(tests)


def stop(process, log):
    """Ends a run that hangs, with all that it started; CPython's runner first shows where its threads
    are when it gets SIGUSR1."""
    size = os.path.getsize(str(log))
    process.send_signal(signal.SIGUSR1)
    patience = time.monotonic() + 5
    while process.poll() is None and os.path.getsize(str(log)) == size and time.monotonic() < patience:
        time.sleep(0.05)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(side, suite, folder, limit, only=None, resources=None, ignored=()):
    """Runs a suite on one side; with `only`, one test of it; without what is `ignored`. `limit()` is in
    seconds, and may become less while it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "{}-{}{}".format(suite, side.name, "-again" if only is not None else "")
    log, report = folder / (name + ".log"), folder / (name + ".xml")
    if report.exists():
        report.unlink()
    temporary = side.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    command = [str(side.python), "-u", "-m", "test", "-v", "--fail-env-changed",
               "--junit-xml", str(report), "--tempdir", str(temporary)]
    if resources:
        command += ["--use", resources]
    if only:
        command += ["--match", only]
    for test in ignored:
        command += ["--ignore", test]
    side.witnesses()
    start = time.monotonic()
    hung = False
    with open(str(log), "ab" if only is not None else "wb") as file:
        # A group of its own, so that a run that hangs can be ended with all its children.
        process = subprocess.Popen(
            command + [suite], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            cwd=str(folder), env=clean_environment(), start_new_session=True)
        try:
            while True:
                try:
                    process.wait(0.2)
                    break
                except subprocess.TimeoutExpired:
                    hung = time.monotonic() - start > limit()
                    if hung:
                        break
        finally:
            if process.poll() is None:
                stop(process, log)
    seconds = time.monotonic() - start
    output = log.read_text(errors="replace")
    tests = read_tests(report, output)
    processes, ends, strangers = side.witnesses()
    code = process.returncode
    started = list(STARTED.finditer(output))
    last = identity(*started[-1].groups()) if started else None
    outcome = ""
    is_lost = hung or not report.exists() and code not in (0, 4)
    if hung:
        outcome = "hangs: ended after {:.0f} s".format(seconds)
    elif code < 0:
        outcome = "killed by " + signal.Signals(-code).name
    elif strangers:
        outcome = "{} of its processes had the other _thread".format(strangers)
    elif not ends and code == 0:
        outcome = "the suite's process did not say at its end whose _thread it has"
    elif code and not any("failed" in endings for endings in tests.values()):
        outcome = "exit status {}".format(code)
        altered = re.search(r"^.*(?:altered the execution environment|env changed).*$", output, re.MULTILINE)
        if altered:
            outcome += ": " + altered.group(0).strip()
    if is_lost and last:
        outcome = (outcome or "exit status {}".format(code)) + ", in or after " + last
        tests[last] = ["failed"]
    return Run(tests, outcome, is_lost, seconds, processes, log)
