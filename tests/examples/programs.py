"""The examples as tests run them: as processes, each stopped at the end of its test."""

import errno
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(os.environ["UNDERTHREAD_SOURCE_DIR"])
BUILD = Path(os.environ["UNDERTHREAD_BUILD_DIR"])

INDEX_STDLIB = str(SOURCE / "examples" / "python" / "index_stdlib.py")
ON_STOCK = [sys.executable, INDEX_STDLIB]
ON_UNDERTHREAD = [sys.executable, "-m", "underthread", INDEX_STDLIB]
IN_CPP = [str(BUILD / "examples" / "index_files")]

# Builds with sanitizers have none: whoever runs the tests says so by leaving it off the path.
HAS_PACKAGE = str(BUILD / "python") in os.environ.get("PYTHONPATH", "").split(os.pathsep)
NO_PACKAGE = "this build has no Python package"

# Far more than anything here needs: a hang fails, a slow machine does not.
PATIENCE = 60.0


def start(test, command, **options):
    """A process with a pipe on each standard stream, killed at the end with all that it started."""
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    options = pipes | dict(start_new_session=True) | options
    # A test runner that was started in the background has SIGINT ignored, and we would inherit it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, **options)
    signal.signal(signal.SIGINT, before)

    def clean_up():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # as it should be: nobody is left
        process.communicate()

    test.addCleanup(clean_up)
    return process


def finish(process, text=None):
    """Its exit status, and what it wrote to stdout and stderr."""
    out, err = process.communicate(text.encode() if text else None, timeout=PATIENCE)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def run(test, command, text=None, **options):
    return finish(start(test, command, **options), text)


def open_for_writing(test, fifo, reader):
    """Waits until `reader` has opened the FIFO; it then reads for as long as we keep it open."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and reader.poll() is None:
        try:
            descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as reason:
            if reason.errno != errno.ENXIO:
                raise
            time.sleep(0.01)
        else:
            test.addCleanup(os.close, descriptor)
            return
    test.fail(f"nobody opened {fifo} for reading")


class Terminal:
    """A process on a terminal of its own, to which everything that it writes goes."""

    def __init__(self, test, command, environment=None):
        self.test = test
        self.seen = ""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment or os.environ)
        signal.signal(signal.SIGINT, before)
        self.status = None
        test.addCleanup(self._clean_up)

    def read_until(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            if not self._read(deadline):
                self.test.fail(f"{text!r} was not shown, but: {self.seen}")

    def press(self, keys):
        os.write(self.descriptor, keys)

    def finish(self):
        """Its status as subprocess gives it."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        self._wait()
        return self.status

    def _read(self, deadline):
        ready, _, _ = select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            self.test.fail(f"it hangs, after: {self.seen}")
        try:
            data = os.read(self.descriptor, 65536)
        except OSError as reason:
            if reason.errno != errno.EIO:
                raise
            return False  # what Linux says once the last process has closed the terminal
        self.seen += data.decode(errors="backslashreplace")
        return bool(data)

    def _wait(self):
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _clean_up(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self._wait()
        os.close(self.descriptor)
