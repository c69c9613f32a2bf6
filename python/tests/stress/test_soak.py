"""A short run of the soak that mixes everything; script/soak runs it for as long as one likes."""

import os
import pathlib
import unittest

from programs import OURS, Program

SOAK = pathlib.Path(__file__).resolve().parent.parent / "soak" / "interrupts.py"
SECONDS = os.environ.get("UNDERTHREAD_SOAK_SECONDS", "5")


class Soak(unittest.TestCase):
    def test_all_that_was_sent_is_accounted_for(self):
        with Program(SOAK.read_text(encoding="utf-8")) as program:
            ended = program.run([OURS[0], "-W", "ignore", *OURS[1:]], program.name, SECONDS)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), ended.stdout)


if __name__ == "__main__":
    unittest.main()
