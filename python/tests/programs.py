"""Runs short programs on stock `_thread` and on ours."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

# Longer than anything here takes on a loaded machine; a program that reaches it hangs.
PATIENCE = 60

# A program that is to be interrupted must not inherit that it ignores it, as from a shell's
# background job.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs here wait for what only an interrupt ends, which is a deadlock, and is told as one: test_deadlock.py.
os.environ["UNDERTHREAD_DEADLOCK"] = "off"

STOCK = [sys.executable]
OURS = [sys.executable, "-m", "underthread"]

# Values of UNDERTHREAD that switch a process off, that leave it on, and that leave it on with one line on stderr.
SWITCHED_OFF = ("0", "off", "OFF", "No", "false", " 0 ", "\toff\n")
LEFT_ON = ("", " ", "1", "on", "ON", "Yes", "true", " 1 ")
UNKNOWN = ("2", "00", "of", "offf", "disable")


def says_unknown(value):
    return (
        f"underthread: UNDERTHREAD={value!r} is neither off (0, off, no, false) nor on (1, on, yes, true or empty); "
        "underthread stays on\n"
    )


class Program:
    """The text of a program, in a file of its own directory."""

    def __init__(self, text, name="program.py"):
        self._directory = tempfile.TemporaryDirectory()
        self.directory = os.path.realpath(self._directory.name)
        self.write(name, text)
        self.name = name

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(textwrap.dedent(text))
        return path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._directory.cleanup()

    def run(self, on, *arguments, **options):
        """Runs it, or what `arguments` say, to its end."""
        return subprocess.run(
            [*on, *(arguments or [self.name])],
            cwd=self.directory,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            **options,
        )

    def start(self, on, *arguments, **options):
        return subprocess.Popen(
            [*on, *(arguments or [self.name])],
            **options,
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


# For programs that fork with threads: from 3.12 on Python warns of that, whosever threads they are.
MAY_FORK = ("-W", "ignore:This process")

# For programs that interrupt their main thread: returns when that waits in the kernel, and not for the GIL, which
# would have woken it while this one slept. Should an interrupt come before the wait all the same, who is to be
# interrupted is to be ready for it.
AWAIT_MAIN = """\
import os, time
def await_main():
    before, now = [], ["R"]
    while now != before or len(now) != 2:
        time.sleep(0.001)
        with open(f"/proc/self/task/{os.getpid()}/status") as status:
            before, now = now, [line for line in status if line.startswith(("State:\\tS", "voluntary"))]
"""


def run(text, on=OURS, flags=()):
    """Runs a program; what it printed. It must end well and print nothing to stderr."""
    with Program(text) as program:
        ended = program.run([on[0], *flags, *on[1:]])
    if ended.returncode != 0 or ended.stderr:
        raise AssertionError(
            f"status {ended.returncode}\n--- stdout\n{ended.stdout}\n--- stderr\n{ended.stderr}"
        )
    return ended.stdout


def wait_for(condition, what):
    """Waits until `condition()` is true, and returns what it gave."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.001)
    return value


def is_asleep(pid, native_id=None):
    """True while that thread (without one: the main thread) waits in the kernel."""
    with open(f"/proc/{pid}/task/{native_id or pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"
