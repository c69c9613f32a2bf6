"""Runs CPython's own suites on the interpreter's `_thread` and on ours, side by side, and compares them.

    python3 python/tests/conformance [--python PYTHON] [--package FOLDER] [SUITE...]

For each suite both sides run at the same time, each in a virtual environment in which all processes are
of its side, and how each test ended is compared. A test that is worse on ours is run once more, alone, on both.

Exit status: 0 if the two are equal; 1 if anything is worse on ours: a test fails, is skipped or does not run, a
suite hangs or crashes, or a process did not have our `_thread`; 2 if it could not be tried at all; 77 if it is
skipped, as the interpreter has no `test` package. With --report a skip is in the report and the status is 0.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import xml.etree.ElementTree as ElementTree

import compare
import environment
import known
import suite as suites

# Those that are about threads. Not every interpreter has all of them.
SUITES = [
    "test_thread", "test_threading", "test_threading_local", "test_threadsignals", "test_threadedtempfile",
    "test_queue", "test_fork1", "test_importlib.test_locks", "test_concurrent_futures", "test_signal",
]
# More tests than this that differ are a fault of everything: no more of them are run alone.
AGAIN = 10
# A run that has not ended after this many times what the other side needed hangs.
SLOWER = 10
ROW = "{:26}{:>7}{:>7}{:>8}{:>7}   {:>7}{:>7}{:>8}{:>7}{:>11}   {}"
SKIPPED = 77


def both_run(sides, suite, folder, limit, resources, ignored):
    """(stock's, ours), run at the same time."""
    runs = {}
    stopped = []

    def current_limit():
        done = next(iter(runs.values()), None)
        if stopped:
            return 0
        return limit if done is None else min(limit, max(limit / 5, SLOWER * done.seconds))

    def one(side):
        runs[side.name] = suites.run(side, suite, folder, current_limit, resources=resources, ignored=ignored)

    threads = [threading.Thread(target=one, args=(side,)) for side in sides]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            # A join without a limit is not interrupted in 3.9 to 3.12 without marking the thread as ended.
            while thread.is_alive():
                thread.join(0.2)
    except KeyboardInterrupt:
        stopped.append(True)
        raise
    return runs["stock"], runs["ours"]


def alone(sides, suite, test, folder, limit, resources):
    """How a test ends that runs by itself; first on stock, then on ours."""
    endings = []
    for side in sides:
        # Names of which a part is in parentheses (setUpClass) are none that can be asked for.
        run = suites.run(side, suite, folder, lambda: limit, only=test if test and " " not in test else "", resources=resources)
        endings.append((run.outcome or "well") if test is None else run.status(test) or "not run")
    return endings


def row(name, stock, ours, verdict):
    return ROW.format(
        name, stock.count(), stock.count("failed"), stock.count("skipped"), "%.1f" % stock.seconds,
        ours.count(), ours.count("failed"), ours.count("skipped"), "%.1f" % ours.seconds,
        "%d/%d" % (stock.processes, ours.processes), verdict)


class Report:
    """A case for each suite, as `ctest --output-junit` writes them."""

    def __init__(self, path, python):
        self._path = path
        self._name = python
        self._root = ElementTree.Element("testsuite", name="conformance")

    def add(self, name, status, text):
        case = ElementTree.SubElement(
            self._root, "testcase", name="conformance {} {}".format(self._name, name), status=status)
        if status == "fail":
            ElementTree.SubElement(case, "failure", message="worse on ours")
        elif status == "notrun":
            ElementTree.SubElement(case, "skipped", message=text)
        ElementTree.SubElement(case, "system-out").text = text

    def write(self):
        if self._path is not None:
            ElementTree.ElementTree(self._root).write(str(self._path))


def compare_all(arguments, version, names, sides, report):
    """Number of suites that differ."""
    print(ROW.format("", "stock", "", "", "", "ours", "", "", "", "processes", ""))
    print(ROW.format("suite", "run", "failed", "skipped", "s", "run", "failed", "skipped", "s", "of each", ""), flush=True)
    bad = 0
    for name in names:
        if not environment.has_suite(arguments.python, name):
            # Of those that we chose; one that was asked for and is not there was refused before.
            print("{:26}this interpreter has no such suite".format(name), flush=True)
            continue
        left_out = known.left_out(name, version)
        stock, ours = both_run(sides, name, arguments.logs, arguments.limit, arguments.use, [one.test for one in left_out])
        found = compare.differences(stock, ours)
        for difference in found[:AGAIN]:
            difference.tried_again(*alone(sides, name, difference.test, arguments.logs, arguments.limit, arguments.use))
        line = row(name, stock, ours, "%d worse" % len(found) if found else "equal")
        lines = ["  {}: {}".format(difference.verdict, difference) for difference in found]
        if found:
            lines.append("  logs: {} {}".format(stock.log, ours.log))
        lines += ["  " + note for note in compare.notes(stock, ours)]
        lines += ["  {}: left out, does not always end on stock: {}".format(one.test, one.why) for one in left_out]
        print("\n".join([line] + lines), flush=True)
        bad += bool(found)
        report.add(name, "fail" if found else "run", "\n".join([line] + lines))
    return bad


def parse():
    parser = argparse.ArgumentParser(
        prog="conformance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[3]
    parser.add_argument("--python", default=sys.executable, help="the interpreter (default: the one that runs this)")
    parser.add_argument("--package", type=pathlib.Path, default=root / "build" / "dev" / "python",
                        help="the folder that has the package `underthread` (default: build/dev/python)")
    parser.add_argument("--launcher", type=pathlib.Path,
                        help="an executable that is a whole python on underthread: ours is run by it, without a .pth")
    parser.add_argument("--limit", type=float, default=600, metavar="SECONDS",
                        help="a suite that takes longer hangs (default: 600); once one side is done, %d times what it "
                             "took, but at least a fifth of this" % SLOWER)
    parser.add_argument("--use", metavar="RESOURCES", help="as `python -m test --use`: cpu,walltime,…")
    parser.add_argument("--logs", type=pathlib.Path, help="where to keep what the suites print "
                        "(default: a folder that is removed if all is equal)")
    parser.add_argument("--report", type=pathlib.Path, help="writes the result as `ctest --output-junit` does")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="default: " + " ".join(SUITES))
    arguments = parser.parse_args()
    found = shutil.which(arguments.python)
    if found is None:
        parser.error("there is no interpreter {}".format(arguments.python))
    # Not resolved: a link in a virtual environment is that environment.
    arguments.python = os.path.abspath(found)
    for what in ("package", "launcher", "logs", "report"):
        if getattr(arguments, what) is not None:
            setattr(arguments, what, pathlib.Path(os.path.abspath(str(getattr(arguments, what)))))
    if not (arguments.package / "underthread" / "__init__.py").exists():
        parser.error("{} has no package underthread: build it (cmake --build --preset dev), or say --package"
                     .format(arguments.package))
    if arguments.launcher is not None and not os.access(str(arguments.launcher), os.X_OK):
        parser.error("{} is no executable".format(arguments.launcher))
    if not arguments.limit > 0:
        parser.error("--limit must be more than 0, not {}".format(arguments.limit))
    return arguments


def main():
    arguments = parse()
    # In children what is handled here is the default: one that ignores SIGINT, as a shell's background job
    # does, fails CPython's own tests. Nor may it be blocked.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # A killed run ends its suites too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    temporary = None
    if arguments.logs is None:
        arguments.logs = temporary = pathlib.Path(tempfile.mkdtemp(prefix="conformance-"))
    arguments.logs.mkdir(parents=True, exist_ok=True)
    keep = False
    try:
        number = environment.ask(arguments.python, "import sys; print('%d.%d.%d' % sys.version_info[:3])", "-I")
        version = "CPython " + number + environment.ask(arguments.python, "import sys; print(sys.abiflags)", "-I")
        report = Report(arguments.report, version)
        why = environment.missing_tests(arguments.python)
        if why is not None:
            print("skipped: " + why, flush=True)
            report.add("all suites", "notrun", why)
            report.write()
            return 0 if arguments.report else SKIPPED
        for name in arguments.suites:
            if not environment.has_suite(arguments.python, name):
                raise environment.Unusable("{} has no suite {}".format(arguments.python, name))
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            sides = environment.both(arguments.python, arguments.package, arguments.launcher, folder)
            print("{}: {}".format(version, arguments.launcher or arguments.python), flush=True)
            bad = compare_all(
                arguments, tuple(map(int, number.split('.'))), arguments.suites or SUITES, sides, report)
        report.write()
        keep = bad > 0
        print("{} of the suites differ".format(bad) if bad else "all suites are equal", flush=True)
        return 1 if bad else 0
    except environment.Unusable as why:
        print("conformance: {}".format(why), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("conformance: stopped", file=sys.stderr)
        return 130
    finally:
        if temporary is not None and not keep:
            shutil.rmtree(str(temporary), ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
