"""Instructions of a lock that nobody else wants, as callgrind counts them: the same on every run."""

import json
import re
import tempfile
import unittest
from pathlib import Path

import programs

# By Debian 12's g++ 12 for x86-64, with -O2 and no padding. A change that needs more says here what it buys; one that
# needs fewer lowers the number. "Who I am" is the load of the thread's record from the thread pointer, and a look
# whether it has one: 3 instructions.
LIMITS = {
    # 11 to take it: who I am, is an interrupt due (3), a limit of time (2), my name, a compare-and-swap and a look at
    # how it went. 8 to let go: who I am, my name (2), a compare-and-swap to 0 and a look (3).
    "acquire_and_release": 19,
    # No safe point, so no looks for interrupts and limits (5 fewer); the name has the bit for a scoped hold (2 more).
    "lock_and_unlock": 16,
    # As acquire_and_release, and a look at the word before the compare-and-swap; and it says how it went.
    "try_and_release": 24,
    # A safe point, a look at the word, and no compare-and-swap: it would take the holder's cache line away.
    "failing_acquire": 12,
    # A look at the word.
    "failing_try_lock": 4,
    # The word, compared.
    "locked": 3,
    # A safe point; is it mine already, is it free; then as lock_and_unlock, and the count, both ways.
    "rlock_first_hold": 41,
    # A safe point; is it mine, and the count, with a look whether it can hold one more; is it mine, and the count.
    # No compare-and-swap.
    "rlock_re_entry": 30,
    # Who I am, and the number in the record.
    "ident": 4,
    "native_id": 4,
}

# Other compilers choose and order otherwise: Debian 12's clang++ 14 needs one more in four of these, and fewer in the
# large ones. A load more is found by g++; what this finds is a path that has become another.
MARGIN = 3


def count():
    """What the program says of itself, and what each of its works took, as a whole: {name: instructions}."""
    programs.run("instructions")  # skips where it says why it cannot be counted
    valgrind = programs.find("valgrind")
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        options = ["--tool=callgrind", "--quiet", "--compress-strings=no", f"--callgrind-out-file={counts}"]
        said = json.loads(programs.run("instructions", under=[valgrind, *options]))
        # Each is called once; behind the call is the line that it was called from, and what it took with all that it
        # called itself.
        calls = re.findall(r"^cfn=(\w+)\ncalls=1 .*\n\S+ (\d+)$", counts.read_text(), re.MULTILINE)
    return said, {name: int(instructions) for name, instructions in calls if name in said["works"]}


class Instructions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.build, wholes = count()
        # Rounded down: the rest is what comes before the loop and after it.
        turns = {name: whole // cls.build["turns"] for name, whole in wholes.items()}
        loop = turns.pop("nothing")
        cls.counts = {name: turn - loop for name, turn in turns.items()}

    def test_none_has_become_more_than_its_limit(self):
        margin = 0 if self.build["exact"] else MARGIN
        for work, limit in LIMITS.items():
            print(f"{work}: {self.counts[work]}, at most {limit + margin}")
            with self.subTest(work):
                self.assertLessEqual(self.counts[work], limit + margin)

    def test_every_work_has_a_limit(self):
        self.assertEqual(self.counts.keys(), LIMITS.keys())


if __name__ == "__main__":
    unittest.main()
