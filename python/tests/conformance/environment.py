"""Two virtual environments of one interpreter: one as it is, and one in which every process is ours."""

import os
import pathlib
import shutil
import subprocess

# In both environments each process says, as it starts, whose `_thread` it has; the suite's own process
# (the runner is its parent) says so again as it ends. Processes that are forked, and those started with
# -S, say nothing.
WITNESS = """\
import atexit, os, sys
{ask}
def _witness(when):
    ours = sys.modules.get("underthread")
    whose = "ours" if ours is not None and ours.is_active() and {proof} else "stock"
    file = os.open({file!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, (when + " " + whose + "\\n").encode())
    os.close(file)

_witness("start")
if os.getppid() == {runner}:
    def _end(pid=os.getpid()):
        if os.getpid() == pid:
            _witness("end")
    atexit.register(_end)
"""

# Longer than an interpreter needs to start on a loaded machine.
PATIENCE = 60


class Unusable(Exception):
    """This interpreter cannot be tried, and why."""


def ask(python, text, *options):
    """What a program of that interpreter prints; what it says instead is the error."""
    try:
        done = subprocess.run(
            [str(python), *options, "-c", text],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Unusable("{} hangs in: {}".format(python, text.strip())) from None
    if done.returncode or done.stderr:
        raise Unusable("{}: {}".format(python, done.stderr.strip() or "exit status %d" % done.returncode))
    return done.stdout.strip()


def clean_environment():
    """Without what would change the one or the other side: PYTHONPATH, PYTHONDEVMODE, …"""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def switch_on(python, package):
    """Makes every process of an environment ours, as a user would."""
    done = subprocess.run(
        [str(python), "-m", "underthread", "--site", "on"],
        env=dict(clean_environment(), PYTHONPATH=str(package)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    if done.returncode:
        raise Unusable("{}: {}".format(python, done.stdout.strip()))


class Side:
    """An interpreter to run suites on; `name` is "stock" or "ours"."""

    def __init__(self, name, python, folder, package=None, launcher=None):
        self.name = name
        self.folder = folder
        done = subprocess.run(
            [str(python), "-I", "-m", "venv", "--without-pip", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            env=clean_environment(),
        )
        if done.returncode:
            raise Unusable("{} makes no virtual environment: {}".format(python, done.stdout.strip()))
        self.python = folder / "bin" / "python"
        site_packages = next((folder / "lib").glob("python3*")) / "site-packages"
        if launcher is not None:
            # Started under this name it finds the environment as the interpreter does, so that
            # children that are started by sys.executable are the launcher too.
            for link in (folder / "bin").glob("python*"):
                link.unlink()
                link.symlink_to(launcher)
            (site_packages / "underthread.pth").write_text("{}\n".format(package))
        elif package is not None:
            switch_on(self.python, package)
        self._said = folder / "witness"
        (site_packages / "underthread_witness.py").write_text(WITNESS.format(
            ask="import underthread" if launcher is not None else "",
            # The package's own word is not all: a module that is not built in has been loaded from somewhere.
            # In a launcher ours is built in.
            proof='sys.modules["_thread"].__spec__.origin != "built-in"' if launcher is None else "True",
            file=str(self._said),
            runner=os.getpid(),
        ))
        # After underthread.pth: they are read in the order of their names.
        (site_packages / "underthread_witness.pth").write_text("import underthread_witness\n")
        for options in ((), ("-I",)):
            ask(self.python, "import threading", *options)
            starts, ends, strangers = self.witnesses()
            if not starts or not ends or strangers:
                raise Unusable("{} {}: its _thread is not {}".format(
                    self.python, " ".join(options), "underthread's" if self.name == "ours" else "its own"))

    def witnesses(self):
        """Since last asked: processes that started, that ended as the suite's own, and that had the
        other side's `_thread`."""
        try:
            lines = self._said.read_text().split("\n")[:-1]
            self._said.unlink()
        except FileNotFoundError:
            lines = []
        return (
            sum(line.startswith("start ") for line in lines),
            sum(line.startswith("end ") for line in lines),
            sum(not line.endswith(" " + self.name) for line in lines),
        )


def both(python, package, launcher, folder):
    """(stock, ours)."""
    folder = pathlib.Path(folder)
    for name in ("stock", "ours"):
        shutil.rmtree(str(folder / name), ignore_errors=True)
    return (
        Side("stock", python, folder / "stock"),
        Side("ours", python, folder / "ours", package, launcher),
    )


def missing_tests(python):
    """Why this interpreter's own suites cannot be run, or None."""
    version, executable, has = ask(
        python,
        "import importlib.util as u, sys\n"
        "print('%d.%d' % sys.version_info[:2], sys.executable,\n"
        "      int(all(u.find_spec(n) for n in ('test', 'test.libregrtest', 'test.test_threading'))), sep='\\n')",
        "-I",
    ).split("\n")
    if has == "1":
        return None
    return "{} (CPython {}) has no `test` package; in Debian it is in libpython{}-testsuite".format(
        executable, version, version
    )


def has_suite(python, suite):
    return ask(
        python,
        "import importlib.util as u, sys\n"
        "try: print(u.find_spec('test.' + sys.argv[1]) is not None)\n"
        "except ModuleNotFoundError: print(False)".replace("sys.argv[1]", repr(suite)),
        "-I",
    ) == "True"
