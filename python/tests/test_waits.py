"""What script/bench measures, a few times each: no interrupt is lost and none comes twice, in any wait."""

import json
import os
import subprocess
import unittest

from programs import OURS, PATIENCE

WAITS = os.path.join(os.environ["UNDERTHREAD_SOURCE_DIR"], "bench", "interrupts", "waits.py")


class Waits(unittest.TestCase):
    def test_every_wait_is_interrupted_each_time_once(self):
        done = subprocess.run(
            [*OURS, WAITS, "--trials", "5"], capture_output=True, text=True, check=True, timeout=PATIENCE
        )
        self.assertEqual(done.stderr, "")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertGreaterEqual(len(rows), 22)
        for row in rows:
            with self.subTest(row["wait"]):
                self.assertEqual((len(row["ns"]), row["lost"], row["twice"]), (5, 0, 0))


if __name__ == "__main__":
    unittest.main()
