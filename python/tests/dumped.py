"""Programs that are asked for dumps while they run: test_dump, test_dump_command."""

import os
import signal
import subprocess
import threading
import time

from programs import OURS, PATIENCE, Program, is_asleep, wait_for

# What programs here begin with: `begin(f)` starts a thread; `say_ready()` lets the test go on, and `read()` waits for
# its answer.
SETUP = """
    import ctypes, os, signal, sys, threading, time, underthread
    def begin(function, name):
        thread = threading.Thread(target=function, name=name, daemon=True)
        thread.start()
        return thread
    def waits(thread):
        return any(one.ident == thread.ident and one.wait for one in underthread.snapshot().threads)
    def await_wait(thread):
        while not waits(thread): time.sleep(0.001)
    def say_ready():
        print("ready", flush=True)
    def read():
        return sys.stdin.readline()
    # Two threads that wait for each other.
    def dead_lock():
        a, b = threading.Lock(), threading.Lock()
        underthread.name(a, "accounts"), underthread.name(b, "orders")
        both = threading.Barrier(2)
        def take(mine, other):
            with mine:
                both.wait()
                with other: pass
        threads = [begin(lambda: take(a, b), "one"), begin(lambda: take(b, a), "two")]
        for thread in threads: await_wait(thread)
        # In the barrier they wait as well.
        while not (a.locked() and b.locked() and len(underthread.snapshot().deadlocks) == 1): time.sleep(0.001)
        return threads
    # In C for ever, with or without the GIL, and not to be woken by a signal.
    def stick(library):
        mutex = (ctypes.c_char * 64)()
        library.pthread_mutex_lock(mutex)
        say_ready()
        library.pthread_mutex_lock(mutex)
    def status(name):
        with open("/proc/self/status") as file:
            return next(line.split()[1] for line in file if line.startswith(name + ":"))
    """


class Running:
    """A program that runs beside the test, with what it has written to stderr so far."""

    def __init__(self, test, text, *flags, environment=None):
        program = Program(SETUP + text)
        self.process = program.start([*OURS, *flags], env={**os.environ, **(environment or {})})
        self.pid = self.process.pid
        self.started = time.monotonic()
        self._stderr = ""
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        test.addCleanup(self._clean_up, program)

    def _read_stderr(self):
        for line in self.process.stderr:
            self._stderr += line

    def await_ready(self):
        line = self.process.stdout.readline()
        if line != "ready\n":
            self.process.kill()
            self._reader.join()
            raise AssertionError(f"not ready: {line!r}\n{self._stderr}")
        return self

    def await_asleep(self):
        """Ready, and in its `read()` or `stick()`."""
        self.await_ready()
        wait_for(lambda: is_asleep(self.pid), "its main thread's sleep")
        return self

    def quit(self, signum=signal.SIGQUIT):
        self.process.send_signal(signum)
        return self

    def await_text(self, text):
        """What stderr has when it has that text."""
        try:
            return wait_for(lambda: text in self._stderr and self._stderr, repr(text))
        except AssertionError as error:
            raise AssertionError(f"{error}; there is\n{self._stderr}") from None

    def answer(self, line="\n"):
        """Lets it go on. @return what it prints, and stderr; it must end well"""
        try:
            self.process.stdin.write(line)
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it reads nothing
        # A program that hangs is killed, which ends what it prints.
        killer = threading.Timer(PATIENCE, self.process.kill)
        killer.start()
        out = self.process.stdout.read()
        self.process.wait()
        killer.cancel()
        self._reader.join()
        if self.process.returncode != 0:
            raise AssertionError(f"status {self.process.returncode}\n{out}\n{self._stderr}")
        return out

    @property
    def stderr(self):
        return self._stderr

    def _clean_up(self, program):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in self.process.stdin, self.process.stdout, self.process.stderr:
            stream.close()
        program.__exit__()


def ask(*words, **options):
    return subprocess.run([*OURS, "dump", *map(str, words)], capture_output=True, text=True, timeout=PATIENCE, **options)
