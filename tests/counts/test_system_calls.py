"""System calls of locks, as strace sees them: those of every thread, whoever makes them."""

import collections
import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import programs

# By which the program sees that another thread sleeps, and for how long: not the library's. It asks the system for
# the time where the processor's clock cannot be trusted.
WATCHING = {"openat", "read", "close", "sched_yield", "clock_gettime"}


def find_strace():
    strace = programs.find("strace")
    tried = subprocess.run(
        [strace, "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, timeout=programs.PATIENCE
    )
    # Containers may forbid it.
    if tried.returncode != 0:
        raise unittest.SkipTest(f"no process can be traced here: {tried.stderr.partition(chr(10))[0]}")
    return strace


def named(call, arguments):
    """A futex call goes by what it does."""
    operation = re.search(r"\bFUTEX_(WAIT|WAKE)", arguments) if call == "futex" else None
    return f"futex {operation.group(1).lower()}" if operation else call


def read(trace):
    """{work: {thread: Counter of calls}}; "main" is the thread that says where a work begins and ends."""
    works = {}
    work = main = None
    # A call that another thread's comes between has two lines; its name is in the first.
    for thread, call, arguments in re.findall(r"^(\d+) +(\w+)\((.*)$", trace, re.MULTILINE):
        said = re.match(r'1, "(begin|end) ([\w-]+)\\n"', arguments) if call == "write" else None
        if said:
            main = thread
            work = works.setdefault(said.group(2), {}) if said.group(1) == "begin" else None
        elif work is not None:
            calls = work.setdefault("main" if thread == main else "other", collections.Counter())
            calls[named(call, arguments)] += 1
    return works


class SystemCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        strace = find_strace()
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "trace"
            # LeakSanitizer looks at a process as strace does, and only one of them can.
            said = programs.run(
                "system_calls", under=[strace, "-f", "-qq", "-o", str(trace)], ASAN_OPTIONS="detect_leaks=0"
            )
            cls.works = read(trace.read_text())
        cls.build = json.loads(said.splitlines()[0])
        cls.turns = cls.build["turns"]

    def calls(self, work, thread):
        """The library's, in that thread."""
        calls = dict(self.works[work].get(thread, {}))
        if thread == "main":
            calls = {call: number for call, number in calls.items() if call not in WATCHING}
        if self.build["futex"] == "pthread":
            # POSIX semaphores are futexes; ours are asked for with signals blocked, and spinning yields.
            calls = {call: number for call, number in calls.items() if call.startswith("futex")}
        print(f"{work}, {self.turns} times: {thread} {calls}")
        return calls

    def assert_no_calls(self, work):
        self.assertIn(work, self.works)
        self.assertEqual(self.works[work], {})

    def assert_one_wake_and_one_wait(self, work):
        self.assertEqual(self.calls(work, "main"), {"futex wake": self.turns})
        self.assertEqual(self.calls(work, "other"), {"futex wait": self.turns})

    def test_a_lock_that_nobody_else_wants_makes_none(self):
        self.assert_no_calls("nobody-else")

    def test_a_lock_that_somebody_has_waited_for_makes_none(self):
        self.assert_no_calls("nobody-else-any-more")

    def test_a_release_after_a_wait_that_timed_out_makes_none(self):
        self.assert_no_calls("nobody-waits-any-more")

    def test_a_release_to_a_sleeping_waiter_makes_one_to_wake_and_the_waiter_one_to_wait(self):
        self.assert_one_wake_and_one_wait("release-to-a-sleeper")

    def test_the_same_where_the_waiter_is_handed_the_lock(self):
        self.assert_one_wake_and_one_wait("release-after-a-while")

    def test_a_wait_that_times_out_makes_one(self):
        self.assertEqual(self.calls("time-out", "main"), {"futex wait": self.turns})


if __name__ == "__main__":
    unittest.main()
