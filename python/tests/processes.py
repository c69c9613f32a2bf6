"""Programs that run beside a test, which sees whether they sleep and sends them signals."""

import os
import time

from programs import OURS, wait_for


def tasks(pid):
    """For each thread of a process its state and how often it has gone to sleep."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            status = dict(line.split(":\t", 1) for line in file)
        found[int(task)] = status["State"][0], int(status["voluntary_ctxt_switches"])
    return found


def sleeps(pid):
    """How often the main thread has gone to sleep, once all threads sleep at one moment; else None.

    One that sleeps at two looks, and has not gone to sleep in between, has slept all the time. If that is true of all
    of them, all slept when the first look ended: nothing is under way.
    """
    first = tasks(pid)
    if any(state != "S" for state, _ in first.values()):
        return None
    time.sleep(0.005)  # between two looks at a state
    return first[pid][1] if tasks(pid) == first else None


class Process:
    """A program that runs beside the test, and is killed with it. What it prints is in `out`, line by line."""

    def __init__(self, test, program, on=OURS, *arguments):
        self.test = test
        self.process = program.start(on, *arguments)
        self.pid = self.process.pid
        test.addCleanup(self._clean_up)

    def read_line(self):
        return self.process.stdout.readline()

    def send(self, signum):
        self.process.send_signal(signum)

    def has_ended(self):
        return self.process.poll() is not None

    def await_sleep(self, more_than=-1):
        """Waits until all threads sleep, the main thread more often than that, or it has ended."""

        def asleep():
            if self.has_ended():
                return True
            try:
                count = sleeps(self.pid)
            except (FileNotFoundError, ProcessLookupError, ValueError):
                return None
            return (count,) if count is not None and count > more_than else None

        found = wait_for(asleep, "threads that sleep")
        return -1 if found is True else found[0]

    def await_threads(self, count):
        wait_for(lambda: len(os.listdir(f"/proc/{self.pid}/task")) >= count, "threads")
        return self.await_sleep()

    def finish(self):
        """Its status, and what it printed."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def _clean_up(self):
        if not self.has_ended():
            self.process.kill()
        if not self.process.stdout.closed:
            self.process.communicate()
