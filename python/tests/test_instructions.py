"""Instructions of ours for what a program does most with a lock, as callgrind counts them: the same on every run."""

import os
import re
import shutil
import unittest

from programs import OURS, Program

TURNS = 10_000

# What each turn does with a lock of that kind; and for each of our functions that it calls how many instructions that
# takes at most, with all that it calls itself: the most on any interpreter, as users have it (Release), by Debian 12's
# g++ 12 for x86-64. They differ in whether True and None are counted (until 3.11), whether Python sees the lock's word
# or a flag beside it (until 3.12), and in how `with` calls. A change that needs more says here what it buys; one that
# needs fewer lowers the number.
WORKS = {
    # No parser, nothing that may throw: are there arguments, then as in C++ (tests/counts), the flag, the answer. The
    # parser and the frames of what may throw were another 50.
    "acquire and release": ("Lock", "lock.acquire(); lock.release()", {"acquire": 17, "release": 20}),
    "with": ("Lock", "with lock: pass", {"enter": 18, "exit": 21}),
    # A look at the word, and no compare-and-swap.
    "a try that fails": ("Lock", "lock.acquire(False)", {"acquire": 17}),
    # The parser, a float made nanoseconds, and then as without a limit: nobody has it, so no clock is read.
    "a wait with a limit": ("Lock", "lock.acquire(timeout=1); lock.release()", {"acquire": 255}),
    "with, first hold": ("RLock", "with lock: pass", {"enter": 22, "exit": 32}),
    # No compare-and-swap.
    "with, re-entry": ("RLock", "with lock: pass", {"enter": 21, "exit": 23}),
}
IS_HELD = {"a try that fails", "with, re-entry"}

# Other compilers choose and order otherwise; what this finds is a path that has become another.
MARGIN = 4

# One process for all of them, since its start is most of what callgrind takes: a part of its counts begins where the
# program asks for the stack size.
PROGRAM = """
import _thread
import threading
"""
PART = """
lock = threading.{kind}()
if {is_held}:
    lock.acquire()
_thread.stack_size()
for _ in range({turns}):
    {body}
"""


def count():
    """For each work {function of ours: instructions a call} of those that it calls each turn."""
    parts = [PART.format(kind=kind, body=body, turns=TURNS, is_held=name in IS_HELD)
             for name, (kind, body, _) in WORKS.items()]
    with Program(PROGRAM + "".join(parts)) as program:
        counts = os.path.join(program.directory, "counts")
        tool = ["valgrind", "--tool=callgrind", "--quiet", "--compress-strings=no", f"--callgrind-out-file={counts}",
                "--dump-before=underthread::python::stack_size(*"]
        ended = program.run([*tool, *OURS])
        if ended.returncode != 0:
            raise AssertionError(f"status {ended.returncode}: {ended.stderr}")
        written = []
        # The first part is what was before all of them.
        for number in range(2, len(WORKS) + 1):
            with open(f"{counts}.{number}") as file:
                written.append(file.read())
        with open(counts) as file:
            written.append(file.read())
    return dict(zip(WORKS, map(each_of, written)))


def each_of(written):
    # Behind each call is the line that it came from, and what it took with all that it called itself.
    calls, took = {}, {}
    ours = r"cfn=underthread::python::\(anonymous namespace\)::(\w+)\(.*\ncalls=(\d+) .*\n\S+ (\d+)$"
    for function, times, instructions in re.findall(ours, written, re.MULTILINE):
        calls[function] = calls.get(function, 0) + int(times)
        took[function] = took.get(function, 0) + int(instructions)
    # The first few are others', or find that the thread has no record yet.
    each = {function: round(took[function] / calls[function]) for function in calls if calls[function] >= TURNS}
    # Until 3.13 an RLock's __enter__ is its acquire.
    return {"enter": each.get("acquire"), **each}


@unittest.skipUnless(shutil.which("valgrind"), "valgrind is missing; script/setup installs it")
@unittest.skipIf(os.environ["UNDERTHREAD_BUILD_TYPE"] != "Release", "this build is not what users run")
class Instructions(unittest.TestCase):
    def test_none_has_become_more_than_its_limit(self):
        counts = count()
        for name, (kind, _, limits) in WORKS.items():
            for function, limit in limits.items():
                print(f"{kind}, {name}: {function} {counts[name][function]}, at most {limit}")
                with self.subTest(name, function=function):
                    self.assertLessEqual(counts[name][function], limit + MARGIN)


if __name__ == "__main__":
    unittest.main()
